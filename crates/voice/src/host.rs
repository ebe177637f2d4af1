//! The platform as a call sees it. In: what happens in a call. Out: whose it is and how it is to be led. The server
//! implements it (`app/host_calls.rs`); nothing else of the platform is known here.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use offhook_domain::CallId;
use offhook_domain::call::EndReason;
use offhook_domain::pii::PiiPhone;

use crate::brain::Brain;
use crate::line::Refusal;
use crate::timeline::Marked;
use crate::turn::taking::{Manners, Turn};

/// What a call asks of the platform. What is told is kept by the time a method returns, however long that takes: it is
/// never told twice. Calls tell in order, from a task beside the conversation, which a slow database so does not delay.
#[async_trait]
pub trait CallHost: Send + Sync + 'static {
    /// Somebody calls one of our numbers. The call is kept before it is taken.
    ///
    /// # Errors
    /// It is not to be taken, and what to tell them.
    async fn arrives(&self, arrival: Arrival) -> Result<Job, Refusal>;

    /// A call of ours rings.
    async fn rings(&self, call: &CallId);

    /// Both can hear each other: from now on it costs.
    async fn answered(&self, call: &CallId);

    /// A turn for the transcript, and what the timeline has since the last time: kept together.
    async fn said(&self, call: &CallId, turn: Turn, marks: Vec<Marked>);

    /// What the timeline has since the last time.
    async fn marked(&self, call: &CallId, marks: Vec<Marked>);

    /// It is over, and this is the last that is told of it.
    async fn ended(&self, call: &CallId, ended: Ended);
}

/// A call that somebody makes to us.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// As the network gives it: E.164 where it is one, or a name, or nothing for who hides it.
    pub from: PiiPhone,
    /// The number that was called.
    pub to: String,
    /// Which trunks it may have come over; for the sandbox's network, none.
    pub trunks: Vec<String>,
    /// What it goes over, for the operator: `sip`, `sandbox`.
    pub over: &'static str,
}

/// A call that is to be led.
pub struct Job {
    pub plan: Plan,
    pub brain: Box<dyn Brain>,
}

/// How a call is led.
#[derive(Debug, Clone)]
pub struct Plan {
    pub call: CallId,
    pub manners: Manners,
    /// What the agent says first.
    pub greeting: Option<String>,
    pub wishes: Wishes,
    /// Where cold transfers go: E.164, or a SIP address.
    pub transfer_to: Option<String>,
    /// It is ended then.
    pub longest: Duration,
    /// How long a call of ours may ring.
    pub ring_for: Duration,
    /// The file that the sound is kept in; none: it is not.
    pub recording: Option<PathBuf>,
    /// What is said to a machine that takes messages; without it, the agent hangs up.
    pub voicemail_message: Option<String>,
    /// What is said to a machine that asks who calls: who, and what about.
    pub screening: Option<(String, String)>,
}

/// How the agent speaks and listens.
#[derive(Debug, Clone, PartialEq)]
pub struct Wishes {
    /// BCP-47.
    pub language: String,
    /// The voice's name, as the provider has it.
    pub voice: Option<String>,
    /// 0.5 to 2.0.
    pub speed: f64,
    /// Better recognition, if slower.
    pub accurate: bool,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    pub reason: EndReason,
    /// How long both could hear each other.
    pub talked: Duration,
    /// Whether there is a recording, in the file that the plan has.
    pub recorded: bool,
}
