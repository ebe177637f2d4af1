//! What happened in a call and when: one timeline for signalling, sound, speech, brain and turns. In: marks as they are
//! made. Out: the same in order, with their times since the call began. Words and numbers are never in it.

use std::time::Duration;

/// A thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Mark {
    /// The call began: it came, or was placed.
    Began,
    Ringing,
    Answered,
    /// A SIP message or state that explains something: a status, an offer, a hold.
    Signalling(String),
    /// The first packet of sound, each way.
    FirstPacketIn,
    FirstPacketOut,
    /// How well it is heard: lost packets in percent, jitter, and an estimate of the opinion score (1 to 4.5).
    Quality {
        lost_percent: f64,
        jitter_ms: f64,
        opinion: f64,
    },
    SpeechBegan,
    SpeechEnded,
    /// The transcriber's last word on an utterance; how long after speech ended.
    Words {
        after: Duration,
    },
    /// The brain was asked.
    BrainAsked {
        turn: u64,
    },
    /// Its first word, or that it said nothing.
    BrainFirst {
        turn: u64,
    },
    BrainEnded {
        turn: u64,
    },
    BrainFailed {
        turn: u64,
    },
    /// A sentence was given to the speaker, and its first sound came.
    SpeakerAsked {
        turn: u64,
        sentence: usize,
    },
    SpeakerFirst {
        turn: u64,
        sentence: usize,
    },
    /// The first sound of a turn went out.
    TurnHeard {
        turn: u64,
    },
    BargeIn {
        turn: u64,
    },
    Keys(usize),
    SpeechFailed(String),
    Transfer(String),
    Over(String),
}

impl Mark {
    /// Its name in `GET /v1/calls/{id}/trace`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Began => "began",
            Self::Ringing => "ringing",
            Self::Answered => "answered",
            Self::Signalling(_) => "signalling",
            Self::FirstPacketIn => "first_packet_in",
            Self::FirstPacketOut => "first_packet_out",
            Self::Quality { .. } => "quality",
            Self::SpeechBegan => "speech_began",
            Self::SpeechEnded => "speech_ended",
            Self::Words { .. } => "words",
            Self::BrainAsked { .. } => "brain_asked",
            Self::BrainFirst { .. } => "brain_first",
            Self::BrainEnded { .. } => "brain_ended",
            Self::BrainFailed { .. } => "brain_failed",
            Self::SpeakerAsked { .. } => "speaker_asked",
            Self::SpeakerFirst { .. } => "speaker_first",
            Self::TurnHeard { .. } => "turn_heard",
            Self::BargeIn { .. } => "barge_in",
            Self::Keys(_) => "keys",
            Self::SpeechFailed(_) => "speech_failed",
            Self::Transfer(_) => "transfer",
            Self::Over(_) => "over",
        }
    }
}

/// A mark with its place: since the call began.
#[derive(Debug, Clone, PartialEq)]
pub struct Marked {
    pub at: Duration,
    pub mark: Mark,
}

/// A long call is not kept whole: more marks than these are not taken.
const MOST_MARKS: usize = 10_000;

/// The marks of one call that were not handed on yet.
#[derive(Debug, Default)]
pub struct Timeline {
    marks: Vec<Marked>,
    taken: usize,
}

impl Timeline {
    /// Marks are made in the order of their times.
    pub fn mark(&mut self, at: Duration, mark: Mark) {
        if self.taken + self.marks.len() < MOST_MARKS || matches!(mark, Mark::Over(_)) {
            self.marks.push(Marked { at, mark });
        }
    }

    /// Those that are new since the last time.
    pub fn take(&mut self) -> Vec<Marked> {
        self.taken += self.marks.len();
        std::mem::take(&mut self.marks)
    }
}
