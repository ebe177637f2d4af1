//! A phone call as it is kept: what it is, how it may change, why it ends and what it costs.

use std::time::Duration;

use crate::ids::{AgentId, CallId, NumberId, TurnId};
use crate::ledger::Micros;
use crate::time::Timestamp;

/// A call as lists show it.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub id: CallId,
    /// The agent that spoke; cleared when it is deleted.
    pub agent_id: Option<AgentId>,
    pub agent_name: Option<String>,
    /// The number the call went over; a call from the web has none.
    pub number_id: Option<NumberId>,
    pub phone_number: String,
    pub from: String,
    pub to: String,
    pub direction: CallDirection,
    pub status: CallStatus,
    pub end_reason: Option<String>,
    pub started_at: Timestamp,
    /// Since when both could hear each other.
    pub answered_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub last_transcript_snippet: Option<String>,
    pub has_recording: bool,
    /// The customer's own, as JSON.
    pub metadata: Option<String>,
}

impl Call {
    /// How long both could hear each other, in whole seconds, once it is over: what is charged.
    #[must_use]
    pub fn duration_seconds(&self) -> Option<u64> {
        let end = self.ended_at?;
        Some(self.answered_at.map_or(0, |answered| whole_seconds(end.since(answered))))
    }
}

/// Who calls whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallDirection {
    Inbound,
    Outbound,
    /// From a browser.
    Web,
}

impl CallDirection {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::Web => "web",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Inbound, Self::Outbound, Self::Web].into_iter().find(|one| one.as_str() == text)
    }
}

/// How far a call is. It moves down this list and never up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallStatus {
    /// Kept, and not placed yet.
    Queued,
    Ringing,
    InProgress,
    /// It was answered, and is over.
    Completed,
    /// It never was.
    Failed,
}

impl CallStatus {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Ringing => "ringing",
            Self::InProgress => "in-progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Queued, Self::Ringing, Self::InProgress, Self::Completed, Self::Failed]
            .into_iter()
            .find(|one| one.as_str() == text)
    }

    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }

    /// Whether a call that is over did what it was for: somebody answered, and no machine.
    #[must_use]
    pub fn was_successful(self, end_reason: Option<&str>) -> bool {
        self == Self::Completed && end_reason != Some(EndReason::Voicemail.as_str())
    }
}

/// Why a call ended (contract, "Calls": `endReason`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    UserHangup,
    AgentHangup,
    /// Ended through the API before it was answered.
    Canceled,
    Transferred,
    /// Nobody said anything for too long.
    Silence,
    /// It was as long as a call may be.
    MaxDuration,
    Busy,
    NoAnswer,
    Rejected,
    InvalidNumber,
    /// A machine answered.
    Voicemail,
    /// The network failed.
    Failed,
    /// Nothing was heard of the other side any more, or of the node that led the call.
    ConnectionLost,
    /// The account could not pay for more of it.
    BalanceExhausted,
    /// The node that led it was stopped.
    Shutdown,
}

impl EndReason {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserHangup => "user_hangup",
            Self::AgentHangup => "agent_hangup",
            Self::Canceled => "canceled",
            Self::Transferred => "transferred",
            Self::Silence => "silence",
            Self::MaxDuration => "max_duration",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Rejected => "rejected",
            Self::InvalidNumber => "invalid_number",
            Self::Voicemail => "voicemail",
            Self::Failed => "failed",
            Self::ConnectionLost => "connection_lost",
            Self::BalanceExhausted => "balance_exhausted",
            Self::Shutdown => "shutdown",
        }
    }

    /// What a call is afterwards. One that was cut off by a failure of ours or the network's has failed, also where it had
    /// been answered.
    #[must_use]
    pub const fn status(self, was_answered: bool) -> CallStatus {
        match self {
            Self::Failed | Self::ConnectionLost => CallStatus::Failed,
            _ if was_answered => CallStatus::Completed,
            _ => CallStatus::Failed,
        }
    }
}

/// Who said something in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    User,
    Agent,
}

impl Speaker {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Agent => "agent",
        }
    }
}

/// Turns of one call that are shown; one of two hours has some hundreds.
pub const MOST_TURNS: i64 = 10_000;

/// Something that was said in a call.
#[derive(Debug, Clone, PartialEq)]
pub struct SpokenTurn {
    pub id: TurnId,
    pub speaker: Speaker,
    pub content: String,
    /// 0 to 1; of what the agent said, none.
    pub confidence: Option<f64>,
    pub at: Timestamp,
}

/// A user's words with the agent's answer, as transcripts show them (contract, "Calls": `transcripts`).
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    pub id: TurnId,
    /// Empty where the agent spoke first.
    pub transcript: String,
    pub response: Option<String>,
    pub confidence: Option<f64>,
    pub created_at: Timestamp,
}

/// Puts what was said together, in its order: an answer belongs to the words before it.
#[must_use]
pub fn exchanges(turns: &[SpokenTurn]) -> Vec<Exchange> {
    let mut all: Vec<Exchange> = Vec::new();
    for turn in turns {
        let open = all.last_mut().filter(|last| last.response.is_none());
        match (turn.speaker, open) {
            (Speaker::Agent, Some(last)) => last.response = Some(turn.content.clone()),
            (Speaker::Agent, None) => all.push(Exchange {
                id: turn.id.clone(),
                transcript: String::new(),
                response: Some(turn.content.clone()),
                confidence: None,
                created_at: turn.at,
            }),
            (Speaker::User, _) => all.push(Exchange {
                id: turn.id.clone(),
                transcript: turn.content.clone(),
                response: None,
                confidence: turn.confidence,
                created_at: turn.at,
            }),
        }
    }
    all
}

/// What an answered call costs: by the second, rounded up to whole ones, and something at least.
#[must_use]
pub fn price(a_minute: Micros, least: Micros, talked: Duration) -> Micros {
    let seconds = i64::try_from(whole_seconds(talked)).unwrap_or(i64::MAX);
    // Rounded up: no part of a micro-dollar is given away, and none is made up.
    let exact = a_minute.0.saturating_mul(seconds);
    Micros(exact / 60 + i64::from(exact % 60 != 0)).max(least)
}

/// A second that has begun counts.
#[must_use]
pub fn whole_seconds(talked: Duration) -> u64 {
    talked.as_secs() + u64::from(talked.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Id;

    #[test]
    fn a_call_costs_by_the_second_and_a_cent_at_least() {
        let price = |talked| price(Micros(130_000), Micros(10_000), talked);
        assert_eq!(price(Duration::from_secs(60)), Micros(130_000));
        assert_eq!(price(Duration::from_millis(60_001)), Micros(132_167), "the 61st second has begun");
        assert_eq!(price(Duration::from_secs(1)), Micros(10_000));
        assert_eq!(super::price(Micros::ZERO, Micros::ZERO, Duration::from_secs(3600)), Micros::ZERO);
    }

    #[test]
    fn what_was_cut_off_has_failed_and_what_was_answered_was_completed() {
        assert_eq!(EndReason::UserHangup.status(true), CallStatus::Completed);
        assert_eq!(EndReason::Voicemail.status(true), CallStatus::Completed);
        assert_eq!(EndReason::Busy.status(false), CallStatus::Failed);
        assert_eq!(EndReason::ConnectionLost.status(true), CallStatus::Failed);
    }

    #[test]
    fn an_answer_belongs_to_the_words_before_it() {
        let at = Timestamp::from_micros(7);
        let said = |speaker, content: &str| SpokenTurn {
            id: TurnId::generate(at),
            speaker,
            content: content.to_owned(),
            confidence: None,
            at,
        };
        let turns = [
            said(Speaker::Agent, "Hello."),
            said(Speaker::User, "Wait"),
            said(Speaker::User, "What is it?"),
            said(Speaker::Agent, "A phone."),
            said(Speaker::Agent, "Anything else?"),
        ];
        let shown: Vec<_> =
            exchanges(&turns).into_iter().map(|one| (one.transcript, one.response.unwrap_or_default())).collect();
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let expected =
            [pair("", "Hello."), pair("Wait", ""), pair("What is it?", "A phone."), pair("", "Anything else?")];
        assert_eq!(shown, expected);
    }
}
