//! Messages on their way: what a send, an outcome, a receipt and an inbound text write.

use offhook_domain::conversation::preview;
use offhook_domain::event::HistoryItem;
use offhook_domain::message::{Channel, Direction, Failure, Message, MessageStatus, ReceiptStatus};
use offhook_domain::{AccountId, AgentId, ContactId, ConversationId, MessageId, Micros, NumberId, Timestamp};

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
    FLIGHT = "SELECT m.id, m.account_id, m.number_id, m.conversation_id, m.channel, m.status, m.segments, m.price,
        m.carrier, m.at, c.phone_number, c.participant, a.id
        FROM messages m JOIN conversations c ON c.id = m.conversation_id LEFT JOIN agents a ON a.id = c.agent_id
        WHERE m.id = $1";
    FLIGHT_AT_CARRIER = "SELECT m.id, m.account_id, m.number_id, m.conversation_id, m.channel, m.status, m.segments,
        m.price, m.carrier, m.at, c.phone_number, c.participant, a.id
        FROM messages m JOIN conversations c ON c.id = m.conversation_id LEFT JOIN agents a ON a.id = c.agent_id
        WHERE m.carrier_message_id = $1 AND m.carrier = $2 AND m.direction = 'outbound'";
    STATE = "SELECT status, error_code FROM messages WHERE id = $1";
    SET_STATUS = "UPDATE messages SET status = $1, error_code = $2, failure_reason = $3, delivered_at = $4
        WHERE id = $5 AND status = $6";
    // A carrier that gives one id to two messages must not stop the line: the second goes without.
    SET_CARRIER_ID = "UPDATE messages SET carrier_message_id = $1 WHERE id = $2 AND carrier_message_id IS NULL
        AND NOT EXISTS (SELECT 1 FROM messages o WHERE o.carrier_message_id = $1 AND o.carrier = messages.carrier
            AND o.direction = 'outbound')";
    KEEP_RECEIPT = "INSERT INTO early_receipts (carrier, carrier_message_id, status, message_id, error_code,
        failure_reason, at) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
    EARLY = "SELECT carrier_message_id, status, error_code, failure_reason, at FROM early_receipts
        WHERE carrier = $1 AND carrier_message_id = $2 ORDER BY at";
    EARLY_FOR = "SELECT carrier_message_id, status, error_code, failure_reason, at FROM early_receipts
        WHERE message_id = $1 ORDER BY at";
    DROP_EARLY = "DELETE FROM early_receipts WHERE carrier = $1 AND carrier_message_id = $2";
    /// A CROSS JOIN, because SQLite keeps its order: from the few receipts to their messages.
    BELATED = "SELECT m.id, e.carrier_message_id FROM early_receipts e CROSS JOIN messages m
        WHERE m.carrier_message_id = e.carrier_message_id AND m.carrier = e.carrier AND m.direction = 'outbound'
        UNION
        SELECT m.id, e.carrier_message_id FROM early_receipts e CROSS JOIN messages m
        WHERE m.id = e.message_id AND m.status = 'unconfirmed'
        LIMIT 100";
    PRUNE_EARLY = "DELETE FROM early_receipts WHERE at < $1";
}

/// A message as the ways out and back need it, with the two ends in words.
#[derive(Debug, Clone)]
pub struct Flight {
    pub id: MessageId,
    pub account_id: AccountId,
    pub number_id: NumberId,
    pub conversation_id: ConversationId,
    pub channel: Channel,
    pub status: MessageStatus,
    pub segments: u32,
    pub price: Micros,
    pub carrier: String,
    pub at: Timestamp,
    /// The number's own digits.
    pub phone_number: String,
    pub participant: String,
    pub agent_id: Option<AgentId>,
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

/// A receipt that is kept or was kept for a message.
#[derive(Debug, Clone)]
pub struct KeptReceipt {
    pub carrier_message_id: String,
    pub status: ReceiptStatus,
    pub failure: Option<Failure>,
    pub at: Timestamp,
}

/// A message's way from one status to another.
#[derive(Debug)]
pub struct StatusMove<'a> {
    pub message: &'a MessageId,
    pub from: MessageStatus,
    pub to: MessageStatus,
    pub failure: Option<&'a Failure>,
    pub delivered_at: Option<Timestamp>,
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

/// What carriers and workers do: they come with a message's or the carrier's id, not with an account.
impl Tx {
    /// Whether a carrier brought this text before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn was_received(&mut self, carrier: &str, carrier_message_id: &str) -> Result<bool, StoreError> {
        Ok(self.row(SEEN, params![carrier_message_id, carrier]).await?.is_some())
    }

    /// Messages by their ids; `None` where there is none. In order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn flights(&mut self, messages: &[MessageId]) -> Result<Vec<Option<Flight>>, StoreError> {
        let found = self.rows_each(FLIGHT, messages.iter().map(|id| params![id]).collect()).await?;
        found.into_iter().map(|rows| rows.into_iter().next().map(read_flight).transpose()).collect()
    }

    /// The outbound messages that a carrier knows by these ids of its own; `None` where there is none. In order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn flights_at_carrier(&mut self, ids: &[(&str, &str)]) -> Result<Vec<Option<Flight>>, StoreError> {
        let asked = ids.iter().map(|(carrier, id)| params![*id, *carrier]).collect();
        let found = self.rows_each(FLIGHT_AT_CARRIER, asked).await?;
        found.into_iter().map(|rows| rows.into_iter().next().map(read_flight).transpose()).collect()
    }

    /// Where a message stands, with the error code where there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn message_state(
        &mut self,
        message: &MessageId,
    ) -> Result<Option<(MessageStatus, Option<String>)>, StoreError> {
        let row = self.row(STATE, params![message]).await?;
        row.map(|mut row| Ok((read_status(&row.take::<String>()?)?, row.take()?))).transpose()
    }

    /// Moves messages on, each from the status it was read in; false where it has moved since. In order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_message_statuses(&mut self, moves: &[StatusMove<'_>]) -> Result<Vec<bool>, StoreError> {
        let each = moves.iter().map(|m| {
            let (code, reason) = (m.failure.map(|f| f.code.as_str()), m.failure.map(|f| f.reason.as_str()));
            params![m.to.as_str(), code, reason, m.delivered_at, m.message, m.from.as_str()]
        });
        Ok(self.change_each(SET_STATUS, each.collect()).await?.into_iter().map(|changed| changed == 1).collect())
    }

    /// Keeps the carrier's id of a message.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_carrier_message_id(&mut self, message: &MessageId, id: &str) -> Result<(), StoreError> {
        self.run(SET_CARRIER_ID, params![id, message]).await
    }

    /// Keeps a receipt until the send's own answer is in.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_receipt(
        &mut self,
        carrier: &str,
        message: Option<&MessageId>,
        receipt: &KeptReceipt,
    ) -> Result<(), StoreError> {
        let failure = receipt.failure.as_ref();
        let (code, reason) = (failure.map(|f| f.code.as_str()), failure.map(|f| f.reason.as_str()));
        let (id, status) = (&receipt.carrier_message_id, receipt.status.as_str());
        self.run(KEEP_RECEIPT, params![carrier, id, status, message, code, reason, receipt.at]).await
    }

    /// Takes the receipts kept under carriers' ids, each list oldest first. In order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_early_receipts(&mut self, ids: &[(&str, &str)]) -> Result<Vec<Vec<KeptReceipt>>, StoreError> {
        let kept = self.rows_each(EARLY, ids.iter().map(|(carrier, id)| params![*carrier, *id]).collect()).await?;
        self.taken(ids.iter().map(|(carrier, _)| *carrier), kept).await
    }

    /// Takes the receipts that name these messages of ours, each list oldest first. In order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_receipts_for(&mut self, flights: &[&Flight]) -> Result<Vec<Vec<KeptReceipt>>, StoreError> {
        let kept = self.rows_each(EARLY_FOR, flights.iter().map(|flight| params![&flight.id]).collect()).await?;
        self.taken(flights.iter().map(|flight| flight.carrier.as_str()), kept).await
    }

    async fn taken<'a>(
        &mut self,
        carriers: impl Iterator<Item = &'a str>,
        kept: Vec<Vec<Row>>,
    ) -> Result<Vec<Vec<KeptReceipt>>, StoreError> {
        let mut lists = Vec::with_capacity(kept.len());
        for (carrier, rows) in carriers.zip(kept) {
            let list: Vec<_> = rows.into_iter().map(read_kept).collect::<Result<_, _>>()?;
            for receipt in &list {
                self.run(DROP_EARLY, params![carrier, &receipt.carrier_message_id]).await?;
            }
            lists.push(list);
        }
        Ok(lists)
    }

    /// Messages for which a receipt was kept although their own answer is in, or they were given up (the two met
    /// half-way), with the carrier's id of each.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn belated_receipts(&mut self) -> Result<Vec<(MessageId, String)>, StoreError> {
        let rows = self.rows(BELATED, []).await?;
        rows.into_iter().map(|mut row| Ok((row.take()?, row.take()?))).collect()
    }

    /// Drops receipts that nobody asked for in time; tells how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prune_early_receipts(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        self.change(PRUNE_EARLY, params![before]).await
    }
}

fn read_flight(mut row: Row) -> Result<Flight, StoreError> {
    Ok(Flight {
        id: row.take()?,
        account_id: row.take()?,
        number_id: row.take()?,
        conversation_id: row.take()?,
        channel: read_channel(&row.take::<String>()?)?,
        status: read_status(&row.take::<String>()?)?,
        segments: row.take()?,
        price: row.take()?,
        carrier: row.take()?,
        at: row.take()?,
        phone_number: row.take()?,
        participant: row.take()?,
        agent_id: row.take()?,
    })
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

fn read_kept(mut row: Row) -> Result<KeptReceipt, StoreError> {
    let carrier_message_id = row.take()?;
    let status = match row.take::<String>()?.as_str() {
        "sent" => ReceiptStatus::Sent,
        "delivered" => ReceiptStatus::Delivered,
        "undelivered" => ReceiptStatus::Undelivered,
        "failed" => ReceiptStatus::Failed,
        other => return Err(StoreError::Corrupt(format!("receipt status {other}"))),
    };
    let (code, reason): (Option<String>, Option<String>) = (row.take()?, row.take()?);
    let failure = code.map(|code| Failure { code, reason: reason.unwrap_or_default() });
    Ok(KeptReceipt { carrier_message_id, status, failure, at: row.take()? })
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
