//! What voice is packed with. In: frames of `i16`. Out: payloads, and back. Which codec a call has is agreed in
//! [`crate::sdp`]; when to decode what, [`crate::jitter`] says.

pub mod comfort_noise;
pub mod g711;
pub mod g722;
pub mod opus;

/// A codec that we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// G.711 µ-law, 64 kbit/s: every phone network's common ground.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722, 64 kbit/s: wideband.
    G722,
    /// Opus, here as wideband mono voice.
    Opus,
}

/// A payload that its codec can't read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a broken {0:?} payload")]
pub struct Broken(pub Codec);

impl Codec {
    /// All of them, the best first.
    pub const ALL: [Self; 4] = [Self::Opus, Self::G722, Self::Pcmu, Self::Pcma];

    /// The encoding name of `a=rtpmap`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::Opus => "opus",
        }
    }

    /// How fast RTP timestamps of it run. G.722's is half its audio rate, by an old mistake that RFC 3551 keeps.
    #[must_use]
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 8_000,
            Self::Opus => 48_000,
        }
    }

    /// Samples in a second of what it is given and gives. Opus runs at any; 16 kHz is what speech recognition wants, at
    /// a third of the work of 48.
    #[must_use]
    pub const fn sample_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8_000,
            Self::G722 | Self::Opus => 16_000,
        }
    }

    /// The payload type that RFC 3551 gives it, or the one that we give.
    #[must_use]
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::G722 => 9,
            Self::Opus => 111,
        }
    }

    /// Ready to encode a stream.
    #[must_use]
    pub fn encoder(self) -> Box<dyn Encoder> {
        match self {
            Self::Pcmu => Box::new(g711::Law::Mu),
            Self::Pcma => Box::new(g711::Law::A),
            Self::G722 => Box::new(g722::G722Encoder::default()),
            Self::Opus => Box::new(opus::Voice::default()),
        }
    }

    /// Ready to decode a stream from its beginning.
    #[must_use]
    pub fn decoder(self) -> Box<dyn Decoder> {
        match self {
            Self::Pcmu => Box::new(g711::Law::Mu),
            Self::Pcma => Box::new(g711::Law::A),
            Self::G722 => Box::new(g722::G722Decoder::default()),
            Self::Opus => Box::new(opus::Ear::default()),
        }
    }
}

/// One direction of a stream: audio into payloads.
pub trait Encoder: Send {
    /// Adds the payload of these samples (a whole number of frames) to `payload`.
    fn encode(&mut self, samples: &[i16], payload: &mut Vec<u8>);
}

/// One direction of a stream: payloads into audio.
pub trait Decoder: Send {
    /// Adds what a payload says to `samples`.
    ///
    /// # Errors
    /// The payload is not one of this codec; nothing is added.
    fn decode(&mut self, payload: &[u8], samples: &mut Vec<i16>) -> Result<(), Broken>;

    /// How many samples a payload would add.
    fn duration(&self, payload: &[u8]) -> usize;

    /// Where the codec can tell from the packet after it what a lost one said, or guess it, adds exactly `count` samples.
    fn recover(&mut self, _next: Option<&[u8]>, _count: usize, _samples: &mut Vec<i16>) -> bool {
        false
    }
}
