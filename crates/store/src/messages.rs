//! Messages as their owner reads them: newest first, by time. How they come to be is in `message_flow`.

use offhook_domain::message::{Direction, Failure, Message};
use offhook_domain::{ConversationId, MessageId, NumberId, Timestamp};

use crate::engine::{Row, params, statements};
use crate::error::StoreError;
use crate::message_flow::{read_channel, read_direction, read_status};
use crate::scope::Scope;

/// What [`read`] reads.
macro_rules! select_messages {
    () => {
        "SELECT m.id, m.account_id, m.number_id, m.conversation_id, m.direction, m.channel, m.status, m.body,
        m.media_urls, m.segments, m.error_code, m.failure_reason, m.carrier, m.carrier_message_id, m.at, m.delivered_at,
        c.phone_number, c.participant FROM messages m JOIN conversations c ON c.id = m.conversation_id"
    };
}
pub(crate) use select_messages;

statements! {
    GET = concat!(select_messages!(), " WHERE m.account_id = $1 AND m.id = $2");
    OF_NUMBER = concat!(select_messages!(), "
        WHERE m.number_id = $1 AND m.account_id = $2 AND m.at > $3 AND m.at < $4 ORDER BY m.at DESC LIMIT $5");
    OF_CONVERSATION = concat!(select_messages!(), "
        WHERE m.conversation_id = $1 AND m.account_id = $2 AND m.at > $3 AND m.at < $4 ORDER BY m.at DESC LIMIT $5");
}

/// Part of a list that is paged by time. No two messages of a number have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Only what is newer than this.
    pub after: Timestamp,
    /// Only what is older than this.
    pub before: Timestamp,
    pub limit: i64,
}

impl Span {
    /// The newest ones.
    #[must_use]
    pub fn newest(limit: i64) -> Self {
        Self { after: Timestamp::from_micros(i64::MIN), before: Timestamp::from_micros(i64::MAX), limit }
    }
}

/// The newest of a span, and whether it has more.
#[derive(Debug)]
pub struct Slice<T> {
    pub items: Vec<T>,
    pub has_more: bool,
}

impl Scope<'_> {
    /// # Errors
    /// [`StoreError`].
    pub async fn message(&mut self, id: &MessageId) -> Result<Option<Message>, StoreError> {
        self.tx.row(GET, params![self.account, id]).await?.map(read).transpose()
    }

    /// # Errors
    /// [`StoreError`].
    pub async fn messages_of_number(&mut self, number: &NumberId, span: Span) -> Result<Slice<Message>, StoreError> {
        let Span { after, before, limit } = span;
        slice(self.tx.rows(OF_NUMBER, params![number, self.account, after, before, limit + 1]).await?, limit)
    }

    /// # Errors
    /// [`StoreError`].
    pub async fn messages_of_conversation(
        &mut self,
        conversation: &ConversationId,
        span: Span,
    ) -> Result<Slice<Message>, StoreError> {
        let Span { after, before, limit } = span;
        slice(
            self.tx.rows(OF_CONVERSATION, params![conversation, self.account, after, before, limit + 1]).await?,
            limit,
        )
    }
}

/// One row more than asked for was read, to see whether there is more.
fn slice(mut rows: Vec<Row>, limit: i64) -> Result<Slice<Message>, StoreError> {
    let limit = usize::try_from(limit).unwrap_or(0);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    Ok(Slice { items: rows.into_iter().map(read).collect::<Result<_, _>>()?, has_more })
}

/// # Errors
/// [`StoreError::Corrupt`] for a row that is none.
pub(crate) fn read(mut row: Row) -> Result<Message, StoreError> {
    let (id, account_id, number_id, conversation_id) = (row.take()?, row.take()?, row.take()?, row.take()?);
    let direction = read_direction(&row.take::<String>()?)?;
    let channel = read_channel(&row.take::<String>()?)?;
    let status = read_status(&row.take::<String>()?)?;
    let (body, media_urls, segments) = (row.take()?, row.take()?, row.take()?);
    let (code, reason): (Option<String>, Option<String>) = (row.take()?, row.take()?);
    let (carrier, carrier_message_id, at, delivered_at) = (row.take()?, row.take()?, row.take()?, row.take()?);
    let (ours, theirs) = (row.take()?, row.take()?);
    let (from, to) = if direction == Direction::Outbound { (ours, theirs) } else { (theirs, ours) };
    Ok(Message {
        id,
        account_id,
        number_id,
        conversation_id,
        direction,
        channel,
        status,
        from,
        to,
        body,
        media_urls,
        segments,
        failure: code.map(|code| Failure { code, reason: reason.unwrap_or_default() }),
        carrier,
        carrier_message_id,
        at,
        delivered_at,
        estimated_send_at: None,
    })
}
