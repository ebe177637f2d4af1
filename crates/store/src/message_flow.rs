//! Messages on their way in and out, up to the commit that keeps them. What becomes of them is in `outcomes`.

use std::collections::{HashMap, HashSet};

use offhook_domain::conversation::preview;
use offhook_domain::event::HistoryItem;
use offhook_domain::message::{Channel, Direction, Message, MessageStatus};
use offhook_domain::one_time_code;
use offhook_domain::{AccountId, AgentId, ContactId, ConversationId, Micros, NumberId, Timestamp};

use crate::engine::{Row, Tx, params, statements_for_many};
use crate::error::StoreError;

statements_for_many! {
    // A fresh conversation is as old as the first of the messages, so `created_at` tells where they begin.
    TOUCH = {
        one: "INSERT INTO conversations (id, account_id, number_id, phone_number, participant, agent_id, channel,
            last_message_at, last_message_preview, message_count, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
            ON CONFLICT (number_id, participant) DO UPDATE SET
                agent_id = COALESCE(excluded.agent_id, conversations.agent_id),
                channel = excluded.channel,
                last_message_preview = excluded.last_message_preview,
                last_message_at = CASE WHEN excluded.created_at > conversations.last_message_at
                    THEN excluded.last_message_at ELSE conversations.last_message_at + excluded.message_count END,
                message_count = conversations.message_count + excluded.message_count
            RETURNING number_id, participant, id, metadata, send_held_until, last_message_at",
        all: "INSERT INTO conversations (id, account_id, number_id, phone_number, participant, agent_id, channel,
            last_message_at, last_message_preview, message_count, created_at)
            SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[],
                $8::BIGINT[], $9::TEXT[], $10::BIGINT[], $11::BIGINT[])
            ON CONFLICT (number_id, participant) DO UPDATE SET
                agent_id = COALESCE(excluded.agent_id, conversations.agent_id),
                channel = excluded.channel,
                last_message_preview = excluded.last_message_preview,
                last_message_at = CASE WHEN excluded.created_at > conversations.last_message_at
                    THEN excluded.last_message_at ELSE conversations.last_message_at + excluded.message_count END,
                message_count = conversations.message_count + excluded.message_count
            RETURNING number_id, participant, id, metadata, send_held_until, last_message_at",
    };
    SEEN = {
        one: "SELECT carrier_message_id, carrier FROM messages
            WHERE carrier_message_id = $1 AND carrier = $2 AND direction = 'inbound'",
        all: "SELECT f.* FROM unnest($1::TEXT[], $2::TEXT[]) AS e (carrier_message_id, carrier)
            CROSS JOIN LATERAL (SELECT m.carrier_message_id, m.carrier FROM messages m
                WHERE m.carrier_message_id = e.carrier_message_id AND m.carrier = e.carrier
                AND m.direction = 'inbound' OFFSET 0) f",
    };
    HISTORY = {
        one: "SELECT id, body, direction, channel, at FROM messages WHERE conversation_id = $1 AND at < $2
            ORDER BY at DESC LIMIT $3",
        all: "SELECT e.n, f.* FROM unnest($1::TEXT[], $2::BIGINT[], $3::BIGINT[])
                WITH ORDINALITY AS e (conversation_id, before, most, n)
            CROSS JOIN LATERAL (SELECT m.id, m.body, m.direction, m.channel, m.at FROM messages m
                WHERE m.conversation_id = e.conversation_id AND m.at < e.before ORDER BY m.at DESC LIMIT e.most) f",
    };
    CONTACT = {
        one: "SELECT id, name, email FROM contacts WHERE account_id = $1 AND phone_number = $2",
        all: "SELECT e.n, c.id, c.name, c.email
            FROM unnest($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS e (account_id, phone_number, n)
            JOIN contacts c ON c.account_id = e.account_id AND c.phone_number = e.phone_number",
    };
    INSERT = {
        one: "INSERT INTO messages (id, account_id, number_id, conversation_id, direction, channel, status, body,
            media_urls, segments, price, carrier, carrier_message_id, at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        all: "INSERT INTO messages (id, account_id, number_id, conversation_id, direction, channel, status, body,
            media_urls, segments, price, carrier, carrier_message_id, at)
            SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[],
                $8::TEXT[], $9::TEXT[], $10::BIGINT[], $11::BIGINT[], $12::TEXT[], $13::TEXT[], $14::BIGINT[])",
    };
}

/// A conversation that gets messages, and is made where there is none.
#[derive(Debug, Clone)]
pub struct Touch<'a> {
    /// Used when there is none yet.
    pub fresh_id: &'a ConversationId,
    pub account_id: &'a AccountId,
    pub number_id: &'a NumberId,
    pub phone_number: &'a str,
    pub participant: &'a str,
    pub agent_id: Option<&'a AgentId>,
    pub channel: Channel,
    /// The last message's.
    pub body: &'a str,
    /// When its new messages came, in order; at least one.
    pub at: &'a [Timestamp],
}

/// What a touched conversation tells.
#[derive(Debug, Clone)]
pub struct Touched {
    pub id: ConversationId,
    pub metadata: Option<serde_json::Value>,
    /// An earlier message waits until then, and these behind it.
    pub send_held_until: Timestamp,
    /// The times of the new messages: after every other of their conversation, whichever node's clock told theirs.
    pub at: Vec<Timestamp>,
}

/// The sender's address-book entry.
#[derive(Debug, Clone)]
pub struct KnownContact {
    pub id: ContactId,
    pub name: Option<String>,
    pub email: Option<String>,
}

impl Tx {
    /// Adds messages to the counts and previews of their conversations, each named once, which are made where there are
    /// none. On PostgreSQL they stay locked until the commit: that is what keeps their order. Whoever touches several
    /// takes them in the order of [`Touch::order`], so that no two wait for each other.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn touch_conversations(&mut self, touches: &[Touch<'_>]) -> Result<Vec<Touched>, StoreError> {
        let each = touches.iter().filter_map(|touch| {
            let (first, last) = (touch.at.first()?, touch.at.last()?);
            Some(params![
                touch.fresh_id,
                touch.account_id,
                touch.number_id,
                touch.phone_number,
                touch.participant,
                touch.agent_id,
                touch.channel.as_str(),
                *last,
                preview(touch.body),
                touch.at.len() as i64,
                *first
            ])
        });
        let mut touched = HashMap::new();
        for mut row in self.rows_of_all(TOUCH, each.collect()).await? {
            let key: (String, String) = (row.take()?, row.take()?);
            touched.insert(key, (row.take()?, row.take()?, row.take()?, row.take()?));
        }
        let found = touches.iter().map(|touch| {
            let key = (touch.number_id.to_string(), touch.participant.to_owned());
            let (id, metadata, send_held_until, last) =
                touched.remove(&key).ok_or_else(|| StoreError::Corrupt("a conversation was not touched".to_owned()))?;
            Ok(Touched { id, metadata, send_held_until, at: times(touch.at, last) })
        });
        found.collect()
    }

    /// # Errors
    /// [`StoreError::Clash`] when a number has a message of the same microsecond: take another and try again.
    pub async fn insert_messages(&mut self, messages: &[(&Message, Micros)]) -> Result<(), StoreError> {
        let each = messages.iter().map(|(message, price)| {
            let Message { id, account_id, number_id, conversation_id, direction, channel, status, .. } = message;
            params![
                id,
                account_id,
                number_id,
                conversation_id,
                direction.as_str(),
                channel.as_str(),
                status.as_str(),
                &message.body,
                message.media_urls.as_slice(),
                message.segments,
                *price,
                &message.carrier,
                message.carrier_message_id.as_ref(),
                message.at
            ]
        });
        self.run_each(INSERT, each.collect()).await
    }
}

/// What is asked of the past: the last messages of a conversation before a moment, so many at most.
#[derive(Debug, Clone, Copy)]
pub struct Past<'a> {
    pub conversation: &'a ConversationId,
    pub before: Timestamp,
    pub most: i64,
}

impl Tx {
    /// Which of these texts carriers have brought before, by the carriers' ids.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn received_before(&mut self, ids: &[(&str, &str)]) -> Result<HashSet<(String, String)>, StoreError> {
        let asked = ids.iter().map(|(carrier, id)| params![*id, *carrier]).collect();
        let rows = self.rows_of_all(SEEN, asked).await?;
        rows.into_iter().map(|mut row| row.take().and_then(|id| Ok((row.take()?, id)))).collect()
    }

    /// The last messages of conversations, each list oldest first. In order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn histories(&mut self, pasts: &[Past<'_>]) -> Result<Vec<Vec<HistoryItem>>, StoreError> {
        let mut lists: Vec<Vec<HistoryItem>> = pasts.iter().map(|_| Vec::new()).collect();
        let places: Vec<usize> = (0..pasts.len()).filter(|n| pasts[*n].most > 0).collect();
        let asked = places.iter().map(|n| params![pasts[*n].conversation, pasts[*n].before, pasts[*n].most]);
        let asked = asked.collect();
        for (n, rows) in places.into_iter().zip(self.rows_each(HISTORY, asked).await?) {
            lists[n] = rows.into_iter().rev().map(read_history).collect::<Result<_, _>>()?;
        }
        Ok(lists)
    }

    /// The address-book entries of participants, each in its account. In order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn known_contacts(
        &mut self,
        participants: &[(&AccountId, &str)],
    ) -> Result<Vec<Option<KnownContact>>, StoreError> {
        let asked = participants.iter().map(|(account, participant)| params![*account, *participant]).collect();
        let read = |mut row: Row| Ok(KnownContact { id: row.take()?, name: row.take()?, email: row.take()? });
        let found = self.rows_each(CONTACT, asked).await?;
        found.into_iter().map(|rows| rows.into_iter().next().map(read).transpose()).collect()
    }
}

impl<'a> Touch<'a> {
    /// By what conversations are put in order before they are touched.
    #[must_use]
    pub fn order(&self) -> (&'a str, &'a str) {
        (self.phone_number, self.participant)
    }
}

/// The times of new messages, where the last of them came to `last`: as they were, or, behind a clock that went ahead,
/// one microsecond after the other.
fn times(wanted: &[Timestamp], last: Timestamp) -> Vec<Timestamp> {
    if wanted.last() == Some(&last) {
        return wanted.to_vec();
    }
    let before = |n: usize| Timestamp::from_micros(last.as_micros() - n as i64);
    (0..wanted.len()).rev().map(before).collect()
}

fn read_history(mut row: Row) -> Result<HistoryItem, StoreError> {
    Ok(HistoryItem {
        message_id: row.take()?,
        content: one_time_code::masked(row.take()?),
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
