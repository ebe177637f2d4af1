//! What a call goes over: a trunk, or somebody who types. In: orders. Out: what happens on it, in order.
//!
//! A line knows nothing of conversations: it speaks what it is told to, says how far that was heard, and tells what the
//! other side says. Where there is sound, recognising speech is the line's affair; where there is none, words just come.

use async_trait::async_trait;

use crate::host::Plan;
use crate::timeline::Mark;
use crate::turn::taking::{Input, SentenceId};

/// One leg of a call, from before it is answered until it is over.
#[async_trait]
pub trait Line: Send {
    /// What happened next. May be dropped at any await without losing anything. After [`LineEvent::Over`] it waits for ever.
    async fn next(&mut self) -> LineEvent;

    /// Whether [`LineEvent::Over`] was told: there is nothing to hang up any more.
    fn is_over(&self) -> bool;

    /// Told how the call is to be led, before anything is ordered.
    fn prepare(&mut self, plan: &Plan) {
        let _ = plan;
    }

    /// Takes an order and never waits. What no longer makes sense is ignored.
    fn order(&mut self, order: LineOrder);
}

/// Something that happened on a line.
#[derive(Debug, Clone, PartialEq)]
pub enum LineEvent {
    /// A call of ours rings at the other side.
    Ringing,
    /// From now on both can hear each other: a call of ours was answered, or a call of theirs that we answered stands.
    Answered,
    /// What the conversation is made of: speech, words, and how far sentences were played.
    Turn(Input),
    /// The other side pressed a key: `0-9`, `*`, `#`, `A-D`.
    Key(char),
    /// The transfer that was ordered succeeded, and the line is over; or it did not, and the call goes on.
    Transferred,
    TransferFailed,
    /// For the call's timeline only.
    Mark(Mark),
    /// It is over. The last event.
    Over(LineEnd),
}

/// Why a line is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineEnd {
    /// They hung up.
    TheyHungUp,
    /// We hung up, or refused.
    WeHungUp,
    /// Nobody took our call in the time it may ring.
    NoAnswer,
    Busy,
    /// They refuse to be called: 403, 603 and the like.
    Rejected,
    /// No such number.
    Unknown,
    /// They gave up before we answered.
    TheyGaveUp,
    /// The network failed: the SIP status that says how, or 0.
    Unreachable(u16),
    /// It was a call, and then nothing was heard of the other side any more.
    Lost,
}

/// What is to be done on a line.
#[derive(Debug, Clone, PartialEq)]
pub enum LineOrder {
    /// Tell them that it rings.
    Ring,
    /// Take their call.
    Answer,
    /// Don't.
    Refuse(Refusal),
    /// Behind what is being spoken.
    Speak {
        sentence: SentenceId,
        text: String,
    },
    /// Keys to press behind what is being spoken: `0-9*#A-D`, and `w` for half a second of waiting.
    Press(String),
    /// Be quiet at once, and forget what was to be spoken and pressed.
    Hush,
    /// Hand the other side over to somebody, by number or address, and be gone.
    Transfer(String),
    HangUp,
}

/// Why a call of theirs is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No such number here: 404.
    NoSuchNumber,
    /// Nobody is there to take it: 480.
    NobodyThere,
    /// There are too many calls: 486.
    Busy,
    /// Not from them, or not with this account: 403.
    NotAllowed,
    /// Something is broken here; another server may do better: 503.
    Broken,
}

impl Refusal {
    /// The SIP status that says so (RFC 3261 §21).
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::NoSuchNumber => 404,
            Self::NobodyThere => 480,
            Self::Busy => 486,
            Self::NotAllowed => 403,
            Self::Broken => 503,
        }
    }
}
