//! Messages on their way in and out, up to the commit that keeps them. What becomes of them is in `outcomes`.

use offhook_domain::conversation::preview;
use offhook_domain::event::HistoryItem;
use offhook_domain::message::{Channel, Direction, Message, MessageStatus};
use offhook_domain::{AgentId, ContactId, ConversationId, Micros, NumberId, Timestamp};

use crate::engine::{Row, Tx, params, statements};
use crate::error::StoreError;
use crate::scope::Scope;

statements! {
    TOUCH = "INSERT INTO conversations (id, account_id, number_id, phone_number, participant, agent_id, channel,
        last_message_at, last_message_preview, message_count, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10)
        ON CONFLICT (number_id, participant) DO UPDATE SET
            agent_id = COALESCE(excluded.agent_id, conversations.agent_id),
            channel = excluded.channel,
            last_message_preview = excluded.last_message_preview,
            last_message_at = CASE WHEN excluded.last_message_at > conversations.last_message_at
                THEN excluded.last_message_at ELSE conversations.last_message_at + 1 END,
            message_count = conversations.message_count + 1
        RETURNING id, metadata, send_held_until, last_message_at";
    INSERT = "INSERT INTO messages (id, account_id, number_id, conversation_id, direction, channel, status, body,
        media_urls, segments, price, carrier, carrier_message_id, at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    SEEN = "SELECT id FROM messages WHERE carrier_message_id = $1 AND carrier = $2 AND direction = 'inbound'";
    HISTORY = "SELECT id, body, direction, channel, at FROM messages WHERE conversation_id = $1 AND at < $2
        ORDER BY at DESC LIMIT $3";
    CONTACT = "SELECT id, name, email FROM contacts WHERE account_id = $1 AND phone_number = $2";
}

/// What a touched conversation tells.
#[derive(Debug, Clone)]
pub struct Touched {
    pub id: ConversationId,
    pub metadata: Option<serde_json::Value>,
    /// An earlier message waits until then, and this one behind it.
    pub send_held_until: Timestamp,
    /// The time of the new message: after every other of its conversation, whichever node's clock told theirs.
    pub at: Timestamp,
}

/// Which conversation a message belongs to, made where there is none.
#[derive(Debug, Clone)]
pub struct Touch<'a> {
    /// Used when there is none yet.
    pub fresh_id: &'a ConversationId,
    pub number_id: &'a NumberId,
    pub phone_number: &'a str,
    pub participant: &'a str,
    pub agent_id: Option<&'a AgentId>,
    pub channel: Channel,
    pub body: &'a str,
    pub at: Timestamp,
}

/// The sender's address-book entry.
#[derive(Debug, Clone)]
pub struct KnownContact {
    pub id: ContactId,
    pub name: Option<String>,
    pub email: Option<String>,
}

impl Scope<'_> {
    /// Adds one message to the count and the preview of its conversation, which is made where there is none.
    /// On PostgreSQL the conversation stays locked until the commit: that is what keeps its order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn touch_conversation(&mut self, touch: &Touch<'_>) -> Result<Touched, StoreError> {
        let Touch { fresh_id, number_id, phone_number, participant, agent_id, channel, body, at } = *touch;
        let values = params![
            fresh_id,
            self.account,
            number_id,
            phone_number,
            participant,
            agent_id,
            channel.as_str(),
            at,
            preview(body),
            at
        ];
        let mut row = self.tx.one(TOUCH, values).await?;
        Ok(Touched { id: row.take()?, metadata: row.take()?, send_held_until: row.take()?, at: row.take()? })
    }

    /// # Errors
    /// [`StoreError::Clash`] when its number has a message of the same microsecond: take another and try again.
    pub async fn insert_message(&mut self, message: &Message, price: Micros) -> Result<(), StoreError> {
        let Message { id, number_id, conversation_id, direction, channel, status, .. } = message;
        let values = params![
            id,
            self.account,
            number_id,
            conversation_id,
            direction.as_str(),
            channel.as_str(),
            status.as_str(),
            &message.body,
            message.media_urls.as_slice(),
            message.segments,
            price,
            &message.carrier,
            message.carrier_message_id.as_ref(),
            message.at
        ];
        self.tx.run(INSERT, values).await
    }

    /// The last messages of a conversation before a moment, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn history(
        &mut self,
        conversation: &ConversationId,
        before: Timestamp,
        limit: i64,
    ) -> Result<Vec<HistoryItem>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let rows = self.tx.rows(HISTORY, params![conversation, before, limit]).await?;
        let mut items: Vec<_> = rows.into_iter().map(read_history).collect::<Result<_, _>>()?;
        items.reverse();
        Ok(items)
    }

    /// The address-book entry of a participant.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn known_contact(&mut self, participant: &str) -> Result<Option<KnownContact>, StoreError> {
        let row = self.tx.row(CONTACT, params![self.account, participant]).await?;
        row.map(|mut row| Ok(KnownContact { id: row.take()?, name: row.take()?, email: row.take()? })).transpose()
    }
}

/// What carriers do: they come with their own id, not with an account.
impl Tx {
    /// Whether a carrier brought this text before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn was_received(&mut self, carrier: &str, carrier_message_id: &str) -> Result<bool, StoreError> {
        Ok(self.row(SEEN, params![carrier_message_id, carrier]).await?.is_some())
    }
}

fn read_history(mut row: Row) -> Result<HistoryItem, StoreError> {
    Ok(HistoryItem {
        message_id: row.take()?,
        content: row.take()?,
        direction: read_direction(&row.take::<String>()?)?,
        channel: read_channel(&row.take::<String>()?)?,
        at: row.take()?,
    })
}

/// # Errors
/// [`StoreError::Corrupt`] for a word that is no status.
pub(crate) fn read_status(text: &str) -> Result<MessageStatus, StoreError> {
    use MessageStatus::{Delivered, Failed, Queued, Received, Sent, Unconfirmed, Undelivered};
    let all = [Received, Queued, Sent, Delivered, Undelivered, Failed, Unconfirmed];
    let found = all.into_iter().find(|status| status.as_str() == text);
    found.ok_or_else(|| StoreError::Corrupt(format!("message status {text}")))
}

/// # Errors
/// [`StoreError::Corrupt`] for a word that is no direction.
pub(crate) fn read_direction(text: &str) -> Result<Direction, StoreError> {
    match text {
        "inbound" => Ok(Direction::Inbound),
        "outbound" => Ok(Direction::Outbound),
        other => Err(StoreError::Corrupt(format!("direction {other}"))),
    }
}

/// # Errors
/// [`StoreError::Corrupt`] for a word that is no channel.
pub(crate) fn read_channel(text: &str) -> Result<Channel, StoreError> {
    match text {
        "sms" => Ok(Channel::Sms),
        "mms" => Ok(Channel::Mms),
        other => Err(StoreError::Corrupt(format!("channel {other}"))),
    }
}
