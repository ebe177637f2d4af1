//! What may be in a packet, and which payload type stands for it.

use super::Ability;
use crate::codec::Codec;

/// What may be in a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Sound.
    Codec(Codec),
    /// Digits (RFC 4733), on a clock of so many ticks a second.
    Digits(u32),
    /// A description of noise (RFC 3389).
    ComfortNoise,
}

/// A payload type, and what it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapped {
    /// Its number.
    pub payload_type: u8,
    /// What it stands for.
    pub format: Format,
}

impl Mapped {
    pub(super) const fn is_codec(&self) -> bool {
        matches!(self.format, Format::Codec(_))
    }

    /// Ticks of its clock in a second.
    #[must_use]
    pub const fn clock_rate(&self) -> u32 {
        match self.format {
            Format::Codec(codec) => codec.clock_rate(),
            Format::Digits(rate) => rate,
            Format::ComfortNoise => 8000,
        }
    }

    /// The encoding of `a=rtpmap`.
    pub(super) fn encoding(&self) -> String {
        match self.format {
            Format::Codec(Codec::Opus) => "opus/48000/2".to_owned(),
            Format::Codec(codec) => format!("{}/{}", codec.name(), codec.clock_rate()),
            Format::Digits(rate) => format!("telephone-event/{rate}"),
            Format::ComfortNoise => "CN/8000".to_owned(),
        }
    }

    /// The parameters of `a=fmtp`. Opus is mono and wideband, which is all that speech needs.
    pub(super) const fn parameters(&self) -> Option<&'static str> {
        match self.format {
            Format::Codec(Codec::Opus) => Some("maxplaybackrate=16000; sprop-maxcapturerate=16000; useinbandfec=1"),
            Format::Digits(_) => Some("0-15"),
            _ => None,
        }
    }

    /// Reads an `a=rtpmap` encoding.
    pub(super) fn parse(payload_type: u8, encoding: &str) -> Option<Self> {
        let mut parts = encoding.trim().split('/');
        let (name, rate) = (parts.next()?, parts.next()?.trim().parse::<u32>().ok()?);
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let format = if is("telephone-event") && (8000..=48_000).contains(&rate) {
            Format::Digits(rate)
        } else if is("CN") && rate == 8000 {
            Format::ComfortNoise
        } else {
            Format::Codec(Codec::ALL.into_iter().find(|codec| is(codec.name()) && codec.clock_rate() == rate)?)
        };
        Some(Self { payload_type, format })
    }

    /// What RFC 3551 has a number stand for, without an `a=rtpmap`.
    pub(super) fn fixed(payload_type: u8) -> Option<Self> {
        let format = match payload_type {
            0 => Format::Codec(Codec::Pcmu),
            8 => Format::Codec(Codec::Pcma),
            9 => Format::Codec(Codec::G722),
            13 => Format::ComfortNoise,
            _ => return None,
        };
        Some(Self { payload_type, format })
    }
}

/// What we offer, the best first; of codecs, the one in use before all.
pub(super) fn ours(ability: &Ability, in_use: Option<Codec>) -> Vec<Mapped> {
    let mut codecs = ability.codecs.clone();
    codecs.sort_by_key(|&codec| Some(codec) != in_use);
    let mut formats: Vec<Mapped> = codecs
        .iter()
        .map(|&codec| Mapped { payload_type: codec.payload_type(), format: Format::Codec(codec) })
        .collect();
    formats.push(Mapped { payload_type: 101, format: Format::Digits(8000) });
    if codecs.contains(&Codec::Opus) {
        formats.push(Mapped { payload_type: 110, format: Format::Digits(48_000) });
    }
    if ability.comfort_noise {
        formats.push(Mapped { payload_type: 13, format: Format::ComfortNoise });
    }
    formats
}
