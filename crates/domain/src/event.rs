//! Events as the customer's server reads them (contract, part 2). Serialised once; those bytes are kept,
//! signed and sent on every attempt.

use serde::Serialize;
use serde_json::Value;

use crate::call::{CallDirection, CallStatus, SpokenTurn};
use crate::ids::{AgentId, CallId, ContactId, ConversationId, MessageId, NumberId, TurnId};
use crate::message::{Channel, Direction, MessageStatus};
use crate::time::Timestamp;
use crate::webhook::EventType;

/// `{event, channel, timestamp, agentId, data, conversationState, recentHistory, test?}`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope<'a, D, H = HistoryItem> {
    pub event: EventType,
    pub channel: &'a str,
    pub timestamp: Timestamp,
    pub agent_id: Option<&'a AgentId>,
    pub data: D,
    pub conversation_state: Option<&'a Value>,
    pub recent_history: &'a [H],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<bool>,
}

/// One earlier message, oldest first.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryItem {
    pub message_id: MessageId,
    pub content: String,
    pub direction: Direction,
    pub channel: Channel,
    pub at: Timestamp,
}

/// For an event that tells of nothing before it.
pub const NO_HISTORY: &[HistoryItem] = &[];

/// One earlier turn of a call, oldest first: of the same shape.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VoiceHistoryItem {
    pub message_id: TurnId,
    pub content: String,
    pub direction: Direction,
    /// `voice`.
    pub channel: &'static str,
    pub at: Timestamp,
}

/// `data` of `agent.message` on a text channel.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageData<'a> {
    pub message_id: &'a MessageId,
    pub external_message_id: Option<&'a str>,
    pub conversation_id: Option<&'a ConversationId>,
    pub number_id: Option<&'a NumberId>,
    pub from: &'a str,
    pub to: &'a str,
    pub contact: Option<ContactData<'a>>,
    pub message: &'a str,
    pub media_url: Option<&'a str>,
    pub media_urls: &'a [String],
    pub direction: Direction,
    pub received_at: Timestamp,
    pub external_id: Option<&'a str>,
    /// What the text did: `opted_out`, `opted_in` or `help`. Absent from ordinary texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opt_out: Option<&'a str>,
}

/// The address-book entry of the sender, where there is one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContactData<'a> {
    pub id: &'a ContactId,
    pub name: Option<&'a str>,
    pub email: Option<&'a str>,
    pub phone_number: &'a str,
}

/// `data` of `message.status`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusData<'a> {
    pub message_id: &'a MessageId,
    pub conversation_id: &'a ConversationId,
    pub number_id: &'a NumberId,
    pub from: &'a str,
    pub to: &'a str,
    pub status: MessageStatus,
    pub failure_reason: Option<&'a str>,
    pub error_code: Option<&'a str>,
    pub at: Timestamp,
}

/// `data` of `number.released`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleasedData<'a> {
    pub number_id: &'a NumberId,
    pub phone_number: &'a str,
    pub external_id: Option<&'a str>,
    /// `requested`, `expired` or `unpaid`.
    pub reason: &'a str,
    pub at: Timestamp,
}

/// `data` of `agent.message` on `voice`: something that was said in a call, to be answered at once.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VoiceTurnData<'a> {
    pub call_id: &'a CallId,
    pub number_id: Option<&'a NumberId>,
    pub from: &'a str,
    pub to: &'a str,
    pub contact: Option<ContactData<'a>>,
    /// `in-progress`.
    pub status: CallStatus,
    pub transcript: &'a str,
    pub confidence: f64,
    pub direction: CallDirection,
    pub message_id: &'a TurnId,
    /// The transcript, for clients that treat it as a message.
    pub message: &'a str,
    pub received_at: Timestamp,
    pub media_urls: [&'a str; 0],
}

/// `data` of `agent.call_ended`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallEndedData<'a> {
    pub call_id: &'a CallId,
    pub number_id: Option<&'a NumberId>,
    pub from: &'a str,
    pub to: &'a str,
    pub contact: Option<ContactData<'a>>,
    pub direction: CallDirection,
    pub status: CallStatus,
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
    pub duration_seconds: u64,
    pub disconnection_reason: &'a str,
    /// The whole of it.
    pub transcript: Vec<SaidData<'a>>,
    pub summary: Option<&'a str>,
    pub user_sentiment: Option<&'a str>,
    pub call_successful: bool,
}

/// One turn of a transcript.
#[derive(Debug, Serialize)]
pub struct SaidData<'a> {
    /// `agent` or `user`.
    pub role: &'a str,
    pub content: &'a str,
}

impl<'a> SaidData<'a> {
    /// As the call's owner reads it.
    #[must_use]
    pub fn of(turn: &'a SpokenTurn) -> Self {
        Self { role: turn.speaker.as_str(), content: &turn.content }
    }
}

impl Serialize for CallDirection {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl Serialize for CallStatus {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl Serialize for EventType {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}
