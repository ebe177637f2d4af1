//! Events as the customer's server reads them (contract, part 2). Serialised once; those bytes are kept,
//! signed and sent on every attempt.

use serde::Serialize;
use serde_json::Value;

use crate::ids::{AgentId, ContactId, ConversationId, MessageId, NumberId};
use crate::message::{Channel, Direction, MessageStatus};
use crate::time::Timestamp;
use crate::webhook::EventType;

/// `{event, channel, timestamp, agentId, data, conversationState, recentHistory, test?}`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope<'a, D> {
    pub event: EventType,
    pub channel: &'a str,
    pub timestamp: Timestamp,
    pub agent_id: Option<&'a AgentId>,
    pub data: D,
    pub conversation_state: Option<&'a Value>,
    pub recent_history: &'a [HistoryItem],
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

impl Serialize for EventType {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}
