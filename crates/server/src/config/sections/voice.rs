//! `[voice]` and the sections below it: calls. In: the reader. Out: checked sections. Never here: opening a socket, or asking
//! a speech service anything.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use offhook_domain::sip_trunk::{MediaEncryption, SipTransport};

use super::Reader;
pub use super::speech::{Listen, Offline, OpenAi, Speak, Speech, SpeechPatience};

/// `[voice]`
#[derive(Debug)]
pub struct Voice {
    /// Whether calls are taken and placed.
    pub enabled: bool,
    /// How others reach this node; none: by the address it has towards them.
    pub public_address: Option<IpAddr>,
    /// A call is ended then.
    pub longest_call: Duration,
    /// How long a call of ours rings before it is given up.
    pub ring_for: Duration,
    /// Whether calls are recorded where nobody says otherwise.
    pub record: bool,
    /// What is said where the agent can't answer.
    pub apology: String,
    /// Whether agents may transfer calls, and how long the other side has to take one.
    pub transfers: bool,
    pub transfer_for: Duration,
    pub sip: Sip,
    pub media: VoiceMedia,
    pub speech: Speech,
    pub recordings: Recordings,
}

/// `[voice.sip]`
#[derive(Debug)]
pub struct Sip {
    /// None: no SIP, and calls are the sandbox's only.
    pub listen: Vec<(SipTransport, SocketAddr)>,
    /// Certificate and key, PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The name by which customers' telephone systems call us, and for which they prove who they are.
    pub domain: Option<String>,
    /// At a time, on this node.
    pub most_calls: usize,
    /// What becomes of calls from nobody's trunk.
    pub strangers: SipStrangers,
}

/// What who is on no trunk is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SipStrangers {
    Ignored,
    Refused,
    Welcome,
}

/// `[voice.media]`
#[derive(Debug)]
pub struct VoiceMedia {
    pub listen: IpAddr,
    /// As it stands in what we offer; none: [`Voice::public_address`].
    pub public_address: Option<IpAddr>,
    /// None: whichever are free.
    pub ports: Option<RangeInclusive<u16>>,
    /// 0: one per core.
    pub threads: usize,
    /// A call of which nothing is heard for so long is over.
    pub timeout: Duration,
    /// The first is wanted the most.
    pub codecs: Vec<Codec>,
    pub srtp: MediaEncryption,
}

/// How sound is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    Pcmu,
    Pcma,
    G722,
    Opus,
}

impl Codec {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "pcmu" => Some(Self::Pcmu),
            "pcma" => Some(Self::Pcma),
            "g722" => Some(Self::G722),
            "opus" => Some(Self::Opus),
            _ => None,
        }
    }
}

/// `[voice.recordings]`
#[derive(Debug)]
pub struct Recordings {
    /// How long links hold.
    pub link: Duration,
}

impl Voice {
    /// `speaks_sip`: a carrier that is reached by SIP, where there is one.
    pub(in crate::config) fn read(reader: &mut Reader, speaks_sip: Option<&str>) -> Self {
        let apology = reader.required("voice.apology", "must be 1 to 500 characters in one line", |text| {
            let good = (1..=500).contains(&text.chars().count()) && !text.contains(char::is_control);
            good.then(|| text.to_owned())
        });
        let enabled = reader.boolean("voice.enabled");
        let sip = Sip::read(reader);
        if let Some(name) = speaks_sip.filter(|_| enabled && sip.listen.is_empty()) {
            let rule = format!("must name an address such as \"udp:0.0.0.0:5060\": carriers.{name} is reached by SIP");
            reader.refuse::<()>("voice.sip.listen", &rule, None);
        }
        Self {
            enabled,
            public_address: address(reader, "voice.public_address"),
            longest_call: reader.seconds("voice.longest_call_seconds", 60..=86_400),
            ring_for: reader.seconds("voice.ring_seconds", 5..=180),
            record: reader.boolean("voice.record"),
            apology: apology.unwrap_or_default(),
            transfers: reader.boolean("voice.transfers"),
            transfer_for: reader.seconds("voice.transfer_seconds", 5..=180),
            sip,
            media: VoiceMedia::read(reader),
            speech: Speech::read(reader),
            recordings: Recordings::read(reader),
        }
    }
}

impl Sip {
    fn read(reader: &mut Reader) -> Self {
        let rule = "must be a list of addresses like \"udp:0.0.0.0:5060\", \"tcp:[::]:5060\" or \"tls:0.0.0.0:5061\"";
        let listen = reader.each("voice.sip.listen", rule, |text| {
            let (transport, address) = text.split_once(':')?;
            Some((SipTransport::parse(transport)?, address.parse::<SocketAddr>().ok()?))
        });
        let certificate = file(reader, "voice.sip.tls_certificate");
        let key = file(reader, "voice.sip.tls_key");
        if certificate.is_some() != key.is_some() {
            reader.refuse::<()>("voice.sip.tls_key", "must be set with voice.sip.tls_certificate, or neither", None);
        }
        let tls = certificate.zip(key);
        if tls.is_none() && listen.iter().any(|(transport, _)| *transport == SipTransport::Tls) {
            reader.refuse::<()>("voice.sip.tls_certificate", "must be set: voice.sip.listen names a TLS address", None);
        }
        let strangers = "must be \"ignored\", \"refused\" or \"welcome\"";
        Self {
            listen,
            tls,
            domain: reader.optional("voice.sip.domain", "must be a host name, or \"\"", |text| {
                let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
                ((1..=253).contains(&text.len()) && text.bytes().all(legal)).then(|| text.to_ascii_lowercase())
            }),
            most_calls: reader.count("voice.sip.most_calls", 1..=100_000),
            strangers: reader
                .required("voice.sip.strangers", strangers, |text| match text {
                    "ignored" => Some(SipStrangers::Ignored),
                    "refused" => Some(SipStrangers::Refused),
                    "welcome" => Some(SipStrangers::Welcome),
                    _ => None,
                })
                .unwrap_or(SipStrangers::Ignored),
        }
    }
}

impl VoiceMedia {
    fn read(reader: &mut Reader) -> Self {
        let listen = reader.required("voice.media.listen", "must be an IP address", |text| text.parse().ok());
        let codecs = reader.each("voice.media.codecs", "must be a list of pcmu, pcma, g722 and opus", Codec::parse);
        if codecs.is_empty() || codecs.iter().enumerate().any(|(n, codec)| codecs[..n].contains(codec)) {
            reader.refuse::<()>("voice.media.codecs", "must name at least one codec, and each once", None);
        }
        Self {
            listen: listen.unwrap_or(IpAddr::from([0, 0, 0, 0])),
            public_address: address(reader, "voice.media.public_address"),
            ports: ports(reader),
            threads: reader.count("voice.media.threads", 0..=256),
            timeout: reader.seconds("voice.media.timeout_seconds", 5..=3600),
            codecs,
            srtp: encryption(reader, "voice.media.srtp").unwrap_or(MediaEncryption::Offered),
        }
    }
}

impl Recordings {
    fn read(reader: &mut Reader) -> Self {
        Self { link: Duration::from_secs(3_600) * reader.integer("voice.recordings.link_hours", 1..=87_600) }
    }
}

/// `"never"`, `"offered"` or `"always"`.
fn encryption(reader: &mut Reader, key: &str) -> Option<MediaEncryption> {
    reader.required(key, "must be \"never\", \"offered\" or \"always\"", MediaEncryption::parse)
}

/// Two ports for each call; both 0 for whichever are free.
fn ports(reader: &mut Reader) -> Option<RangeInclusive<u16>> {
    let (first, last) =
        (reader.integer("voice.media.first_port", 0..=65_534), reader.integer("voice.media.last_port", 0..=65_535));
    if first == 0 && last == 0 {
        return None;
    }
    let even = first + first % 2;
    if first < 1024 || last <= even {
        let rule = "must be above voice.media.first_port, which must be 1024 or more, with room for an even port and the odd \
                    one above it; or both 0";
        reader.refuse::<()>("voice.media.last_port", rule, None);
    }
    Some(u16::try_from(first).ok()?..=u16::try_from(last).ok()?)
}

fn address(reader: &mut Reader, key: &str) -> Option<IpAddr> {
    reader.optional(key, "must be an IP address that others can reach, or \"\"", |text| {
        text.parse::<IpAddr>().ok().filter(|ip| !ip.is_unspecified())
    })
}

pub(super) fn file(reader: &mut Reader, key: &str) -> Option<PathBuf> {
    reader.optional(key, "must name a file, or be \"\"", |text| {
        (!text.contains(char::is_control)).then(|| PathBuf::from(text))
    })
}
