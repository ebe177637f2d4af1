//! A conversation: everything between one number and one participant.

use crate::ids::{AccountId, AgentId, ConversationId, NumberId};
use crate::time::Timestamp;

/// How many characters of the last message a conversation shows.
pub const PREVIEW_CHARS: usize = 100;

#[derive(Debug, Clone)]
pub struct Conversation {
    pub id: ConversationId,
    pub account_id: AccountId,
    pub number_id: NumberId,
    /// The number's E.164 text.
    pub phone_number: String,
    /// The agent the conversation belongs to; cleared when the agent is deleted.
    pub agent_id: Option<AgentId>,
    /// The other side: E.164, a short code or an address.
    pub participant: String,
    pub channel: String,
    pub group_name: Option<String>,
    /// The customer's own JSON object.
    pub metadata: Option<serde_json::Value>,
    pub last_message_at: Timestamp,
    pub last_message_preview: String,
    pub message_count: i64,
    pub created_at: Timestamp,
    /// Whether its number is still held.
    pub number_active: bool,
    /// Who provides its number.
    pub number_carrier: String,
    /// Its number's, ISO 3166-1 alpha-2.
    pub number_country: String,
    /// Whether the other side asked to be left alone.
    pub opted_out: bool,
}

/// The first [`PREVIEW_CHARS`] characters of a text.
#[must_use]
pub fn preview(body: &str) -> &str {
    body.char_indices().nth(PREVIEW_CHARS).map_or(body, |(end, _)| &body[..end])
}
