//! Their description, as far as a phone call needs it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sdp_types::{Media, Session};

use super::crypto::Crypto;
use super::format::{Format, Mapped};
use super::{Direction, Unusable};

/// No phone call is described in more.
const LONGEST: usize = 16_384;

/// What they say of the sound.
#[derive(Debug)]
pub struct Theirs {
    /// Their media lines, each of which an answer has to answer.
    pub medias: Vec<Media>,
    /// Which of them is the sound.
    pub audio: usize,
    /// Where they want it. None: on hold, in the old way.
    pub address: Option<SocketAddr>,
    pub reports: Option<SocketAddr>,
    pub direction: Direction,
    /// In their order.
    pub formats: Vec<Mapped>,
    pub packet_time: Duration,
    pub sealed: bool,
    pub crypto: Vec<Crypto>,
}

impl Theirs {
    /// Some offer the same sound twice, sealed and not: `sealed` says which is taken, if there is a choice.
    pub fn read(text: &str, sealed: Option<bool>) -> Result<Self, Unusable> {
        if text.len() > LONGEST {
            return Err(Unusable::TooLong(text.len()));
        }
        let session = Session::parse(text.as_bytes()).map_err(|error| Unusable::NotSdp(error.to_string()))?;
        let is_sound = |media: &Media| media.media == "audio" && media.port != 0 && protocol(media).is_some();
        let fits = |media: &Media| is_sound(media) && protocol(media) == sealed;
        let fitting = session.medias.iter().position(fits);
        let audio = fitting.or_else(|| session.medias.iter().position(is_sound)).ok_or(Unusable::NoAudio)?;
        let media = &session.medias[audio];
        let address = address(&session, media)?;
        let held = address.ip().is_unspecified();
        let direction = direction(&session, media);
        Ok(Self {
            audio,
            address: (!held).then_some(address),
            reports: (!held).then(|| reports(media, address)),
            direction: if held { direction.deaf() } else { direction },
            formats: formats(media),
            packet_time: packet_time(media),
            sealed: protocol(media) == Some(true),
            crypto: media.get_attribute_values("crypto").flatten().filter_map(Crypto::parse).collect(),
            medias: session.medias,
        })
    }

    /// Digits that go with a codec: on its clock, or else on any.
    pub fn digits_for(&self, codec: Format) -> Option<Mapped> {
        let rate = Mapped { payload_type: 0, format: codec }.clock_rate();
        let digits = || self.formats.iter().filter(|mapped| matches!(mapped.format, Format::Digits(_)));
        digits().find(|mapped| mapped.clock_rate() == rate).or_else(|| digits().next()).copied()
    }

    /// Their codecs, for an error.
    pub fn names(&self) -> String {
        let media = &self.medias[self.audio];
        let named: Vec<&str> = media.get_attribute_values("rtpmap").flatten().collect();
        let names = if named.is_empty() { media.fmt.clone() } else { named.join(", ") };
        names.chars().take(200).collect()
    }
}

impl Direction {
    /// Without receiving.
    const fn deaf(self) -> Self {
        Self::from_ways(self.ways().0, false)
    }
}

/// Whether it is RTP, and sealed. The variants with feedback are answered as they are; we just send none.
fn protocol(media: &Media) -> Option<bool> {
    match media.proto.as_str() {
        "RTP/AVP" | "RTP/AVPF" => Some(false),
        "RTP/SAVP" | "RTP/SAVPF" => Some(true),
        _ => None,
    }
}

fn address(session: &Session, media: &Media) -> Result<SocketAddr, Unusable> {
    let connection = media.connections.first().or(session.connection.as_ref()).ok_or(Unusable::NoAddress)?;
    Ok(SocketAddr::new(ip(&connection.connection_address)?, media.port))
}

fn ip(text: &str) -> Result<IpAddr, Unusable> {
    let wrong = || Unusable::Address(text.chars().take(100).collect());
    let ip: IpAddr = text.parse().map_err(|_| wrong())?;
    if ip.is_multicast() { Err(wrong()) } else { Ok(ip) }
}

/// `a=rtcp` (RFC 3605), or the port after the sound's.
fn reports(media: &Media, sound: SocketAddr) -> SocketAddr {
    let value = media.get_first_attribute_value("rtcp").flatten().unwrap_or_default();
    let mut words = value.split_ascii_whitespace();
    let port = words.next().and_then(|port| port.parse().ok()).filter(|&port| port != 0);
    let own = words.nth(2).and_then(|address| ip(address).ok()).filter(|ip| !ip.is_unspecified());
    SocketAddr::new(own.unwrap_or(sound.ip()), port.unwrap_or(sound.port().saturating_add(1)))
}

fn direction(session: &Session, media: &Media) -> Direction {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    let all = [SendRecv, SendOnly, RecvOnly, Inactive];
    let own = all.into_iter().find(|direction| media.has_attribute(direction.attribute()));
    own.or_else(|| all.into_iter().find(|direction| session.has_attribute(direction.attribute()))).unwrap_or(SendRecv)
}

/// In the order of the m= line, which is their preference.
fn formats(media: &Media) -> Vec<Mapped> {
    let named: Vec<(u8, &str)> = media
        .get_attribute_values("rtpmap")
        .flatten()
        .filter_map(|value| value.trim().split_once(' '))
        .filter_map(|(number, encoding)| Some((number.parse().ok()?, encoding)))
        .collect();
    let mut formats: Vec<Mapped> = Vec::new();
    for number in media.fmt.split_ascii_whitespace().filter_map(|word| word.parse().ok()).take(64) {
        let mapped = match named.iter().find(|(named, _)| *named == number) {
            Some((_, encoding)) => Mapped::parse(number, encoding),
            None => Mapped::fixed(number),
        };
        let known = formats.iter().any(|known| known.payload_type == number);
        formats.extend(mapped.filter(|_| number < 128 && !known));
    }
    formats
}

/// A whole number of our frames: what they ask for, if that is sensible.
fn packet_time(media: &Media) -> Duration {
    let number = |name| {
        let value = media.get_first_attribute_value(name).flatten()?;
        value.trim().parse::<f32>().ok().filter(|ms| ms.is_finite())
    };
    let wanted = number("ptime").unwrap_or(20.0).min(number("maxptime").unwrap_or(60.0));
    Duration::from_millis(if wanted >= 60.0 {
        60
    } else if wanted >= 40.0 {
        40
    } else {
        20
    })
}
