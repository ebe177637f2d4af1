//! What may happen, as data: steps that can be drawn at random, left out one by one, and written down as code.
//!
//! A step names things by their place among those there are ("the newest number"), so that it means something whatever
//! came before it: leaving a step out never makes the others impossible.

use std::fmt;

/// One of the two accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    A,
    B,
}

/// A thing by its place among all there ever were of its kind, the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    Own(u8),
    /// The other account's.
    Others(u8),
    /// One that never was.
    Nobody,
}

/// What happens next.
#[derive(Debug, Clone)]
pub enum Step {
    Ask(Ask),
    /// All at the same time.
    Crowd(Vec<Ask>),
    /// One request under one key, so many times at once.
    Twins(Ask, u8),
    /// The nth last request once more, to the letter, key included.
    Again(u8),
    /// Workers, carriers and endpoints do all that is due.
    Work,
    Wait(Span),
    /// So many cents.
    Credit(Who, i64),
    /// A carrier tells of a message, in one go, all under one id of its own.
    Receipts {
        who: Who,
        message: u8,
        named: Named,
        says: Vec<Says>,
    },
    /// A carrier brings one text so many times.
    Brings {
        from: u8,
        to: Pick,
        times: u8,
    },
    /// The account's key is revoked, and it gets another.
    NewKey(Who),
}

/// A request.
#[derive(Debug, Clone)]
pub struct Ask {
    pub who: Who,
    /// With the key that was revoked last.
    pub revoked: bool,
    /// Its `Idempotency-Key`; both accounts use the same few.
    pub once: Option<u8>,
    pub deed: Deed<Pick>,
}

/// What is asked for. `R` is how it names things: by place, or by their ids.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed<R> {
    MakeAgent {
        name: u8,
        messaging: bool,
    },
    ChangeAgent {
        agent: R,
        name: Option<u8>,
        messaging: Option<bool>,
    },
    DeleteAgent(R),
    Attach {
        agent: R,
        number: R,
    },
    Detach {
        agent: R,
        number: R,
    },
    Buy {
        what: Wanted,
        agent: Option<R>,
        ends: Option<Span>,
    },
    Release(R),
    SetNumber {
        number: R,
        external: Option<u8>,
        ends: Option<Option<Span>>,
    },
    Send {
        from: Sender<R>,
        agent: Option<R>,
        to: Receiver<R>,
        text: Words,
        media: bool,
    },
    MakeContact {
        phone: u8,
        name: u8,
    },
    ChangeContact {
        contact: R,
        phone: Option<u8>,
        name: Option<u8>,
    },
    DeleteContact(R),
    Annotate {
        conversation: R,
        metadata: Option<Option<u8>>,
        group_name: Option<Option<u8>>,
    },
    /// Refused always, for there is no iMessage.
    Typing(R),
    SetWebhook {
        agent: Option<R>,
        place: Place,
        statuses: bool,
        rotate: bool,
    },
    DeleteWebhook(Option<R>),
    TestWebhook(Option<R>),
    Replay(R),
    /// A handset texts a number: this needs no key.
    Text {
        from: u8,
        to: R,
        text: Words,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Any number of this area.
    Near(&'static str),
    /// This very number.
    This(&'static str),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Sender<R> {
    Number(R),
    /// By its digits.
    Digits(R),
    OfAgent,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Receiver<R> {
    /// A handset, a magic number, a short code or an address.
    Outside(&'static str),
    /// A number of the platform, by its digits.
    Number(R),
}

/// A text by its kind; every request has words of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    pub kind: u8,
    /// Given when the request is made.
    pub serial: u32,
}

/// What an endpoint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Good,
    /// 500.
    Bad,
    /// 410.
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// By the carrier's id of the message, where it has one.
    Carrier,
    /// By ours, with an id of the carrier's that nobody knows.
    Ours,
    /// By an id that nobody knows.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    Sent,
    Delivered,
    Undelivered,
    Failed,
}

/// A while, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub i64);

impl Step {
    /// Whether it may go this way or that.
    pub fn is_chancy(&self) -> bool {
        matches!(self, Self::Crowd(_) | Self::Twins(..))
    }
}

pub const HANDSETS: [&str; 3] = ["+14152011234", "+12122019876", "+442079470000"];

/// Steps, one behind the other.
#[derive(Clone)]
pub struct Story(pub Vec<Step>);

/// As it can be pasted into `found`.
impl fmt::Debug for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| write!(f, "\n{step:?},"))
    }
}
