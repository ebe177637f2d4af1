//! What the endpoint tells the call engine, and what it can be ordered.

use std::time::Duration;

use super::PeerName;
use crate::Flow;
use crate::digest::Credentials;
use crate::message::{HeaderName, Headers, NameAddr, Request, Uri};

/// A call, in or out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub(super) u64);

/// A registration that is kept up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegistrationId(pub(super) u64);

/// A question whether somebody is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PingId(pub(super) u64);

/// One way to reach the callee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The Request-URI.
    pub uri: Uri,
    /// Over which sockets; names have been resolved.
    pub flow: Flow,
    /// The lowest is tried first.
    pub priority: u16,
    /// Among equals, how often this one is the first.
    pub weight: u16,
}

/// A call to be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallOrder {
    /// Where to, in any order.
    pub targets: Vec<Target>,
    /// Who calls.
    pub from: NameAddr,
    /// Who is called.
    pub to: NameAddr,
    /// The SDP offer.
    pub offer: Vec<u8>,
    /// For a trunk that asks.
    pub credentials: Option<Credentials>,
    /// P-Asserted-Identity and the like.
    pub headers: Vec<(HeaderName, String)>,
    /// How long it may ring.
    pub ring_for: Duration,
}

/// Why a call is over that had begun, or that they gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// We hung up.
    ByUs,
    /// They hung up; with the Reason header, if there was one.
    ByThem(Option<String>),
    /// They gave up before we answered.
    Cancelled,
    /// We let it ring for too long.
    Unanswered,
    /// They never confirmed our answer.
    Unconfirmed,
    /// They no longer know of the call, or no longer refresh it.
    Lost,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody calls. To be answered with `ring`, `accept` or `reject`.
    Incoming {
        /// The new call.
        call: CallId,
        /// As it came.
        invite: Box<Request>,
        /// Their offer; without one, `accept` takes ours and [`Event::Confirmed`] brings their answer.
        offer: Option<Vec<u8>>,
        /// Where it came from.
        flow: Flow,
        /// Which of the configured peers it may be. Empty where strangers are welcome.
        peers: Vec<PeerName>,
    },
    /// A call of ours rings, or something is to be heard before it is answered.
    Progress {
        /// Which call.
        call: CallId,
        /// 101 to 199.
        status: u16,
        /// Early media.
        answer: Option<Vec<u8>>,
    },
    /// A call of ours is answered.
    Answered {
        /// Which call.
        call: CallId,
        /// Their answer; absent if an earlier reliable provisional response brought it.
        answer: Option<Vec<u8>>,
        /// All else that the 2xx said.
        headers: Box<Headers>,
    },
    /// A call of ours came to nothing; over.
    Failed {
        /// Which call.
        call: CallId,
        /// Of the last target that was tried; 408 where nothing came, 503 where nothing could be sent.
        status: u16,
        /// For people.
        reason: String,
        /// Where a 3xx sends us.
        elsewhere: Vec<NameAddr>,
    },
    /// They have our answer: media flows from now on.
    Confirmed {
        /// Which call.
        call: CallId,
        /// Their answer, where the offer was ours.
        answer: Option<Vec<u8>>,
    },
    /// They want the media otherwise (hold, codec, address). To be answered with `answer_offer` or `refuse_offer`.
    Offer {
        /// Which call.
        call: CallId,
        /// Without one, `answer_offer` takes our offer, and [`Event::Confirmed`] brings their answer.
        offer: Option<Vec<u8>>,
    },
    /// Our offer was agreed to.
    OfferAnswered {
        /// Which call.
        call: CallId,
        /// Theirs.
        answer: Option<Vec<u8>>,
    },
    /// Our offer was refused; everything stays as it was.
    OfferRefused {
        /// Which call.
        call: CallId,
        /// Why.
        status: u16,
    },
    /// They ask us to call somebody else. To be answered with `accept_referral` or `refuse_referral`.
    Referred {
        /// Which call.
        call: CallId,
        /// Whom; its URI may carry Replaces.
        refer_to: Box<NameAddr>,
        /// At whose wish.
        referred_by: Option<String>,
    },
    /// How the transfer goes that we asked for.
    Transfer {
        /// Which call.
        call: CallId,
        /// As they report it; a refusal of the wish itself looks the same.
        status: u16,
        /// No more will be reported.
        is_final: bool,
    },
    /// INFO, already answered: old trunks send digits in it.
    Info {
        /// Which call.
        call: CallId,
        /// `application/dtmf-relay` and the like.
        content_type: String,
        /// As it came.
        body: Vec<u8>,
    },
    /// The call is over.
    Ended {
        /// Which call.
        call: CallId,
        /// Why.
        why: Ended,
    },
    /// The trunk knows where we are.
    Registered {
        /// Which registration.
        registration: RegistrationId,
        /// For how long, if it is not refreshed, which it will be.
        lasts: Duration,
    },
    /// The trunk does not know where we are.
    Unregistered {
        /// Which registration.
        registration: RegistrationId,
        /// Why; 200 where it was our wish.
        status: u16,
    },
    /// Somebody is there (any status), or nobody is.
    Pong {
        /// Which question.
        ping: PingId,
        /// What was answered, if anything.
        status: Option<u16>,
    },
}

/// Why an order can't be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// There is no such call (any more).
    #[error("no such call")]
    Unknown,
    /// The call is not in a state for this.
    #[error("the call is not in a state for this")]
    WrongState,
    /// Something of the kind is under way; try again when it is settled.
    #[error("another request is under way")]
    Pending,
    /// There is nowhere to call.
    #[error("no target")]
    NoTarget,
}
