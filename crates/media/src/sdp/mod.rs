//! What both sides agree on before there is sound: SDP offers and answers (RFC 3264). In: what the other side says, as
//! text, and what we can. Out: what we say, and what is [`Agreed`]; or what is wrong with it. The grammar of SDP is
//! `sdp-types`' work, which stays behind this module.

mod compose;
pub mod crypto;
pub mod format;
mod read;

use std::net::SocketAddr;
use std::time::Duration;

use crate::codec::Codec;
use crate::srtp::Suite;
use crate::srtp::keys::MasterKey;
use crypto::Crypto;
use format::{Format, Mapped};
use read::Theirs;

/// What we can and want in a call.
#[derive(Debug, Clone)]
pub struct Ability {
    /// The best first.
    pub codecs: Vec<Codec>,
    /// Whether noise may be described instead of sent.
    pub comfort_noise: bool,
    /// Whether sound is sealed.
    pub security: Security,
}

/// Whether sound is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Never; who insists is refused.
    Never,
    /// Where the other side offers it.
    IfOffered,
    /// Always; who doesn't is refused.
    Always,
}

/// Which way sound goes, seen from who says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    SendRecv,
    /// The other side is on hold.
    SendOnly,
    /// We are on hold.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// Whether it sends, and whether it receives.
    const fn ways(self) -> (bool, bool) {
        match self {
            Self::SendRecv => (true, true),
            Self::SendOnly => (true, false),
            Self::RecvOnly => (false, true),
            Self::Inactive => (false, false),
        }
    }

    const fn from_ways(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// What is left of ours beside theirs.
    const fn beside(self, theirs: Self) -> Self {
        let ((sends, receives), (they_send, they_receive)) = (self.ways(), theirs.ways());
        Self::from_ways(sends && they_receive, receives && they_send)
    }

    const fn attribute(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }
}

/// What a call has agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// Where to send sound, until it is seen where theirs comes from. None: they are not to be sent any.
    pub remote: Option<SocketAddr>,
    /// Where to send reports.
    pub remote_reports: Option<SocketAddr>,
    /// Which way sound goes, seen from us.
    pub direction: Direction,
    /// What we send.
    pub codec: Codec,
    /// Its payload type.
    pub payload_type: u8,
    /// What digits are sent as: payload type and clock rate. None: as tones.
    pub digits: Option<(u8, u32)>,
    /// How much sound a packet of ours has: 20, 40 or 60 ms.
    pub packet_time: Duration,
    /// What may come, by its payload type.
    pub receives: Vec<Mapped>,
    /// How sound is sealed.
    pub sealed: Option<Sealed>,
}

/// How sound is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// How.
    pub suite: Suite,
    /// With what we seal.
    pub ours: MasterKey,
    /// With what they do.
    pub theirs: MasterKey,
}

/// Why there is no agreement. For an offer: 488, and this in a Warning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is longer than any description of a phone call.
    #[error("an SDP body of {0} bytes is too long")]
    TooLong(usize),
    /// It isn't SDP.
    #[error("not SDP: {0}")]
    NotSdp(String),
    /// No sound, or only such as isn't sent over RTP.
    #[error("no audio over RTP is offered")]
    NoAudio,
    /// Their address is none.
    #[error("\"{0}\" is not an IP address")]
    Address(String),
    /// There is no address.
    #[error("no c= line says where audio goes")]
    NoAddress,
    /// None of their codecs is one of ours.
    #[error("no codec in common; offered were {0}")]
    NoCommonCodec(String),
    /// We want sound sealed, they don't.
    #[error("only SRTP (RTP/SAVP) is accepted here")]
    NotSealed,
    /// They want sound sealed, we don't.
    #[error("SRTP is not accepted here")]
    Sealed,
    /// They want it sealed in no way that we know.
    #[error("no usable a=crypto line")]
    NoCommonCrypto,
    /// An answer came to no offer of ours.
    #[error("an answer without an offer")]
    NoOffer,
}

/// The agreement of one call, from its first offer to its last. One at a time: SIP sees to it that offers don't cross.
#[derive(Debug)]
pub struct Negotiation {
    ability: Ability,
    local: SocketAddr,
    key: MasterKey,
    session: u64,
    version: u64,
    /// The offer of ours that is not answered.
    offered: Option<(Direction, Vec<Mapped>, bool)>,
    /// The last that we said, to know whether it has changed.
    said: String,
    agreed: Option<Agreed>,
}

impl Negotiation {
    /// For a call whose sound we receive at `local`, as the other side sees it. `session` and `key` are to be random.
    #[must_use]
    pub fn new(ability: Ability, local: SocketAddr, session: u64, key: MasterKey) -> Self {
        Self { ability, local, key, session, version: 0, offered: None, said: String::new(), agreed: None }
    }

    /// What is agreed at present.
    #[must_use]
    pub const fn agreed(&self) -> Option<&Agreed> {
        self.agreed.as_ref()
    }

    /// Our offer: for a call that we place, for one that came without an offer, or to hold and resume one.
    pub fn offer(&mut self, direction: Direction) -> String {
        let formats = format::ours(&self.ability, self.agreed.as_ref().map(|agreed| agreed.codec));
        let sealed = match &self.agreed {
            Some(agreed) => agreed.sealed.is_some(),
            None => self.ability.security == Security::Always,
        };
        let crypto = if sealed { Suite::ALL.to_vec() } else { Vec::new() };
        let crypto = crypto.into_iter().zip(1..).map(|(suite, tag)| Crypto { tag, suite, key: self.key.clone() });
        let audio = compose::Audio { direction, formats: formats.clone(), crypto: crypto.collect() };
        let text = self.say(|origin| compose::offer(origin, &audio));
        self.offered = Some((direction, formats, sealed));
        text
    }

    /// Their answer to our offer.
    ///
    /// # Errors
    /// It can't be agreed with; what was agreed before still holds.
    pub fn answered(&mut self, text: &str) -> Result<&Agreed, Unusable> {
        let (direction, ours, sealed) = self.offered.take().ok_or(Unusable::NoOffer)?;
        let theirs = Theirs::read(text, None)?;
        // The first that they name is the one that they would like.
        let chosen =
            theirs.formats.iter().find(|mapped| ours.iter().any(|own| own.format == mapped.format && own.is_codec()));
        let chosen = *chosen.ok_or_else(|| Unusable::NoCommonCodec(theirs.names()))?;
        let sealed = match (sealed, theirs.sealed) {
            (false, false) => None,
            (true, false) => return Err(Unusable::NotSealed),
            (false, true) => return Err(Unusable::Sealed),
            (true, true) => Some(theirs.crypto.first().ok_or(Unusable::NoCommonCrypto)?),
        };
        let sealed = sealed.map(|crypto| self.sealed_with(crypto));
        let agreed = agree(&theirs, direction, chosen, &ours, sealed);
        Ok(self.agreed.insert(agreed))
    }

    /// Their offer, which we answer: at the call's beginning, or when they hold, resume, or move. A codec that is in use
    /// is kept if it may be.
    ///
    /// # Errors
    /// It can't be agreed with; what was agreed before still holds.
    pub fn answer(&mut self, text: &str, direction: Direction) -> Result<(String, &Agreed), Unusable> {
        let theirs = Theirs::read(text, Some(self.ability.security != Security::Never))?;
        let in_use = self.agreed.as_ref().map(|agreed| agreed.codec);
        let ours = format::ours(&self.ability, in_use);
        let offered = |own: &Mapped| theirs.formats.iter().find(|mapped| mapped.format == own.format);
        let chosen = ours.iter().filter(|own| own.is_codec()).find_map(offered);
        let chosen = *chosen.ok_or_else(|| Unusable::NoCommonCodec(theirs.names()))?;
        let crypto = match (self.ability.security, theirs.sealed) {
            (Security::Always, false) => return Err(Unusable::NotSealed),
            (Security::Never, true) => return Err(Unusable::Sealed),
            (_, false) => None,
            (_, true) => Some(theirs.crypto.first().ok_or(Unusable::NoCommonCrypto)?),
        };
        let direction = direction.beside(theirs.direction);
        // Only the chosen codec is answered, so that none is changed to without a word; by their numbers.
        let mut formats = vec![chosen];
        formats.extend(theirs.digits_for(chosen.format));
        if self.ability.comfort_noise {
            formats.extend(theirs.formats.iter().find(|mapped| mapped.format == Format::ComfortNoise));
        }
        let answered_crypto = crypto.map(|crypto| Crypto { key: self.key.clone(), ..crypto.clone() });
        let audio =
            compose::Audio { direction, formats: formats.clone(), crypto: answered_crypto.into_iter().collect() };
        let sealed = crypto.map(|crypto| self.sealed_with(crypto));
        let text = self.say(|origin| compose::answer(origin, &audio, &theirs));
        let agreed = agree(&theirs, direction, chosen, &formats, sealed);
        self.offered = None;
        Ok((text, self.agreed.insert(agreed)))
    }

    fn sealed_with(&self, crypto: &Crypto) -> Sealed {
        Sealed { suite: crypto.suite, ours: self.key.clone(), theirs: crypto.key.clone() }
    }

    /// The version of a description rises when it has changed (RFC 3264 §8).
    fn say(&mut self, compose: impl Fn(&compose::Origin) -> String) -> String {
        let mut origin = compose::Origin { session: self.session, version: self.version, local: self.local };
        let mut text = compose(&origin);
        if !self.said.is_empty() && text != self.said {
            self.version += 1;
            origin.version = self.version;
            text = compose(&origin);
        }
        self.said.clone_from(&text);
        text
    }
}

fn agree(theirs: &Theirs, direction: Direction, chosen: Mapped, ours: &[Mapped], sealed: Option<Sealed>) -> Agreed {
    let codec = match chosen.format {
        Format::Codec(codec) => codec,
        // Nothing else is ever chosen.
        Format::Digits(_) | Format::ComfortNoise => Codec::Pcmu,
    };
    let digits =
        theirs.digits_for(chosen.format).filter(|_| ours.iter().any(|own| matches!(own.format, Format::Digits(_))));
    // By our numbers; and by theirs, which some use for what they send as well.
    let mut receives = ours.to_vec();
    for mapped in &theirs.formats {
        let known = ours.iter().any(|own| own.format == mapped.format);
        if known && receives.iter().all(|own| own.payload_type != mapped.payload_type) {
            receives.push(*mapped);
        }
    }
    Agreed {
        remote: theirs.address,
        remote_reports: theirs.reports,
        direction: direction.beside(theirs.direction),
        codec,
        payload_type: chosen.payload_type,
        digits: digits.map(|mapped| (mapped.payload_type, mapped.clock_rate())),
        packet_time: theirs.packet_time,
        receives,
        sealed,
    }
}
