//! Our description.

use std::net::SocketAddr;

use sdp_types::{Connection, Media, MediaType, Session, Time, TransportProto};

use super::Direction;
use super::crypto::Crypto;
use super::format::Mapped;
use super::read::Theirs;

/// Whose description it is.
pub struct Origin {
    pub session: u64,
    pub version: u64,
    pub local: SocketAddr,
}

/// What we say of the sound.
pub struct Audio {
    pub direction: Direction,
    pub formats: Vec<Mapped>,
    /// None: it is not sealed.
    pub crypto: Vec<Crypto>,
}

/// Only the sound.
pub fn offer(origin: &Origin, audio: &Audio) -> String {
    let protocol = if audio.crypto.is_empty() { "RTP/AVP" } else { "RTP/SAVP" };
    written(origin, vec![media(origin, audio, protocol)])
}

/// Each of their media lines is answered, in their order: the sound, and that we want none of the others.
pub fn answer(origin: &Origin, audio: &Audio, theirs: &Theirs) -> String {
    let answered = theirs.medias.iter().enumerate().map(|(at, offered)| {
        if at == theirs.audio {
            return media(origin, audio, &offered.proto);
        }
        let mut refused = offered.clone();
        refused.port = 0;
        refused.num_ports = None;
        refused.media_title = None;
        refused.connections.clear();
        refused.bandwidths.clear();
        refused.key = None;
        refused.attributes.clear();
        refused
    });
    written(origin, answered.collect())
}

fn media(origin: &Origin, audio: &Audio, protocol: &str) -> Media {
    let numbers: Vec<String> = audio.formats.iter().map(|mapped| mapped.payload_type.to_string()).collect();
    let mut media = Media::new(MediaType::Audio, origin.local.port(), TransportProto::RtpAvp, numbers.join(" "));
    protocol.clone_into(&mut media.proto);
    for mapped in &audio.formats {
        media.add_attribute_with_value("rtpmap", format!("{} {}", mapped.payload_type, mapped.encoding()));
        if let Some(parameters) = mapped.parameters() {
            media.add_attribute_with_value("fmtp", format!("{} {parameters}", mapped.payload_type));
        }
    }
    for crypto in &audio.crypto {
        media.add_attribute_with_value("crypto", crypto.write());
    }
    media.add_attribute_with_value("ptime", 20);
    media.add_attribute_from_str(audio.direction.attribute());
    media
}

fn written(origin: &Origin, medias: Vec<Media>) -> String {
    let ip = origin.local.ip();
    let from = sdp_types::Origin::with_ip_addr(origin.session, origin.version, ip);
    let mut session = Session::new(from, "-");
    session.set_connection(Connection::from_ip_addr(ip));
    session.times = vec![Time::new(0, 0)];
    session.medias = medias;
    let mut text = Vec::new();
    // Memory takes all that is written to it.
    let _ = session.write(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}
