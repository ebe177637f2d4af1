//! What is kept of one person, to be handed out or erased; and what is older than an account wants to keep.
//!
//! In: an account and the other side's number, or a time. Out: its messages and calls, or how much is gone. Each step is one
//! transaction of bounded work, and finds by itself what is left to do. What is still on its way is never touched: a text
//! without its words must not go out.

use std::collections::{BTreeMap, HashSet};

use offhook_domain::call::Call;
use offhook_domain::contact::Contact;
use offhook_domain::conversation::Conversation;
use offhook_domain::message::{Channel, Message};
use offhook_domain::{CallId, ConversationId, Id, MessageId, NumberId, Timestamp};

use crate::engine::{Row, Tx, params, statements, statements_for_many};
use crate::error::StoreError;
use crate::scope::Scope;
use crate::{calls, contacts, conversations, messages};

statements! {
    CONTACT = concat!(contacts::select_contacts!(), " WHERE account_id = $1 AND phone_number = $2");
    DELETE_CONTACT = "DELETE FROM contacts WHERE account_id = $1 AND phone_number = $2";
    // Number by number: an index over participants would make every message dearer.
    CONVERSATION = concat!(conversations::select_conversations!(), "
        WHERE c.number_id = $1 AND c.participant = $2 AND c.account_id = $3");
    MESSAGES = concat!(messages::select_messages!(), "
        WHERE m.conversation_id = $1 AND m.account_id = $2 AND m.at > $3 ORDER BY m.at LIMIT $4");
    CALLS = concat!(calls::select_calls!(), "
        WHERE c.number_id = $1 AND c.account_id = $2 AND (c.from_number = $3 OR c.to_number = $3) ORDER BY c.id LIMIT $4");
    BLANK_CALL = "UPDATE calls SET last_transcript_snippet = NULL, recording_path = NULL
        WHERE account_id = $1 AND id = $2";
    DROP_TURNS = "DELETE FROM call_turns WHERE call_id = $1 AND account_id = $2";
    DROP_MARKS = "DELETE FROM call_marks WHERE call_id = $1 AND account_id = $2";
    RECORDING = "SELECT recording_path FROM calls WHERE id = $1 AND account_id = $2";
    OLD_CALLS = "SELECT id FROM calls WHERE account_id = $1 AND id < $2 AND alive_until IS NULL ORDER BY id LIMIT $3";
    DELETE_CALL = "DELETE FROM calls WHERE id = $1 AND account_id = $2";
    BLANK_CONVERSATION = "UPDATE conversations SET last_message_preview = '', metadata = NULL, group_name = NULL
        WHERE account_id = $1 AND id = $2";
    BLANK_PROOF = "UPDATE opt_out_log SET note = NULL WHERE account_id = $1 AND participant = $2 AND note IS NOT NULL";
    // What the sandbox's phone of that person shows of them.
    BLANK_SANDBOX = "UPDATE sandbox_messages SET body = '', media_urls = NULL
        WHERE handset = $1 AND (sender = $2 OR receiver = $2)";
    PORTION = "SELECT at, status, id, channel FROM messages WHERE conversation_id = $1 AND account_id = $2 AND at > $3
        ORDER BY at LIMIT $4";
    BLANK_MESSAGES = "UPDATE messages SET body = '', media_urls = NULL WHERE conversation_id = $1 AND account_id = $2
        AND at > $3 AND at <= $4 AND status <> 'queued'";
    DELIVERIES = "SELECT id, event_id, lane, status, at FROM deliveries WHERE account_id = $1 AND at > $2
        ORDER BY at LIMIT $3";
    NUMBERS = "SELECT id FROM numbers WHERE account_id = $1";
    // Words to a number that was given up and has another holder are not this account's.
    NUMBERS_REACHED = "SELECT DISTINCT n.phone_number FROM numbers n WHERE n.account_id = $1 AND (n.status = 'active'
        OR NOT EXISTS (SELECT 1 FROM numbers h WHERE h.phone_number = n.phone_number AND h.status = 'active'))
        ORDER BY n.phone_number";
    OLD_MESSAGES = "SELECT m.id, m.channel, m.conversation_id, c.participant FROM messages m
        JOIN conversations c ON c.id = m.conversation_id
        WHERE m.number_id = $1 AND m.account_id = $2 AND m.at < $3 AND m.status <> 'queued' ORDER BY m.at LIMIT $4";
    SHORTEN = "UPDATE conversations SET message_count = message_count - $1,
        last_message_preview = CASE WHEN last_message_at < $2 THEN '' ELSE last_message_preview END
        WHERE account_id = $3 AND id = $4";
    OLD_DELIVERIES = "SELECT id, event_id FROM deliveries WHERE account_id = $1 AND at < $2 AND status <> 'pending'
        ORDER BY at LIMIT $3";
}

statements_for_many! {
    DELETE_MESSAGE = {
        one: "DELETE FROM messages WHERE id = $1",
        all: "DELETE FROM messages m USING unnest($1::TEXT[]) WITH ORDINALITY AS e (id, n) WHERE m.id = e.id RETURNING e.n",
    };
    DELETE_DELIVERY = {
        one: "DELETE FROM deliveries WHERE id = $1",
        all: "DELETE FROM deliveries d USING unnest($1::TEXT[]) AS e (id) WHERE d.id = e.id",
    };
    DELETE_EVENT = {
        one: "DELETE FROM events WHERE id = $1",
        all: "DELETE FROM events v USING unnest($1::TEXT[]) AS e (id) WHERE v.id = e.id",
    };
}

/// How far a walk through a long list has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Up to where it is done; `None` at the end.
    pub next: Option<Timestamp>,
    /// What had to be left, because it is still on its way.
    pub left: usize,
}

/// When the files of messages that go are to be deleted.
#[derive(Debug, Clone, Copy)]
pub struct Removals {
    pub now: Timestamp,
    /// For what is just being fetched: when no try that is under way can write any more.
    pub leftovers_due: Timestamp,
}

impl Removals {
    async fn of(self, tx: &mut Tx, message: &MessageId) -> Result<(), StoreError> {
        tx.forget_media_of(message, self.now, self.leftovers_due).await
    }
}

/// The channel of messages that have no files.
const TEXT_ONLY: &str = Channel::Sms.as_str();

impl Scope<'_> {
    /// The address-book entry with this number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn contact_with_number(&mut self, phone_number: &str) -> Result<Option<Contact>, StoreError> {
        self.tx.row(CONTACT, params![self.account, phone_number]).await?.map(contacts::read).transpose()
    }

    /// The account's conversations with somebody, one for each of its numbers at the most.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn conversations_with(&mut self, participant: &str) -> Result<Vec<Conversation>, StoreError> {
        let mut found = Vec::new();
        for number in self.numbers_ever().await? {
            let rows = self.tx.rows(CONVERSATION, params![&number, participant, self.account]).await?;
            for row in rows {
                found.push(conversations::read(row)?);
            }
        }
        // The order in which everybody takes several of them.
        found.sort_by(|a, b| a.phone_number.cmp(&b.phone_number));
        Ok(found)
    }

    /// The first messages of a conversation behind a time, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn messages_after(
        &mut self,
        conversation: &ConversationId,
        after: Timestamp,
        limit: i64,
    ) -> Result<Vec<Message>, StoreError> {
        let rows = self.tx.rows(MESSAGES, params![conversation, self.account, after, limit]).await?;
        rows.into_iter().map(messages::read).collect()
    }

    /// The account's calls with somebody, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn calls_with(&mut self, participant: &str, limit: i64) -> Result<Vec<Call>, StoreError> {
        let mut found = Vec::new();
        for number in self.numbers_ever().await? {
            for row in self.tx.rows(CALLS, params![&number, self.account, participant, limit]).await? {
                found.push(calls::read(row)?);
            }
        }
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found.truncate(usize::try_from(limit).unwrap_or(0));
        Ok(found)
    }

    /// Deletes the address-book entry and texts that came in parts, and empties what conversations, calls and the proofs of opt-outs show of somebody.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_person(
        &mut self,
        participant: &str,
        calls: i64,
        at: Timestamp,
    ) -> Result<(Vec<ConversationId>, Vec<CallId>), StoreError> {
        self.tx.run(DELETE_CONTACT, params![self.account, participant]).await?;
        self.tx.run(BLANK_PROOF, params![self.account, participant]).await?;
        for mut row in self.tx.rows(NUMBERS_REACHED, params![self.account]).await? {
            self.tx.forget_parts_of(&row.take::<String>()?, participant).await?;
        }
        let mut conversations = Vec::new();
        for conversation in self.conversations_with(participant).await? {
            self.tx.run(BLANK_CONVERSATION, params![self.account, &conversation.id]).await?;
            self.tx.run(BLANK_SANDBOX, params![participant, conversation.phone_number.as_str()]).await?;
            conversations.push(conversation.id);
        }
        let mut emptied = Vec::new();
        for call in self.calls_with(participant, calls).await? {
            self.forget_words_of_call(&call.id, at).await?;
            self.tx.run(BLANK_CALL, params![self.account, &call.id]).await?;
            emptied.push(call.id);
        }
        Ok((conversations, emptied))
    }

    /// What was said in a call goes, and its recording is to be deleted.
    async fn forget_words_of_call(&mut self, call: &CallId, at: Timestamp) -> Result<(), StoreError> {
        self.tx.run(DROP_TURNS, params![call, self.account]).await?;
        let recording = self.tx.row(RECORDING, params![call, self.account]).await?;
        if let Some(object) = recording.map_or(Ok(None), |mut row| row.take::<Option<String>>())? {
            self.tx.remove_object(&object, at).await?;
        }
        Ok(())
    }

    /// Deletes calls that began before a time, with all that was kept of them; tells how many, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_old_calls(
        &mut self,
        before: Timestamp,
        limit: i64,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        // Ids are in the order of their times.
        let first = CallId::generate(before);
        let rows = self.tx.rows(OLD_CALLS, params![self.account, &first, limit]).await?;
        let count = rows.len();
        for mut row in rows {
            let call: CallId = row.take()?;
            self.forget_words_of_call(&call, now).await?;
            self.tx.run(DROP_MARKS, params![&call, self.account]).await?;
            self.tx.run(DELETE_CALL, params![&call, self.account]).await?;
        }
        Ok(count)
    }

    /// Empties a portion of a conversation's messages, those behind `after`, and has their files deleted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn blank_messages(
        &mut self,
        conversation: &ConversationId,
        after: Timestamp,
        limit: i64,
        removals: Removals,
    ) -> Result<Step, StoreError> {
        let rows = self.tx.rows(PORTION, params![conversation, self.account, after, limit]).await?;
        let (mut last, mut left, full) = (None, 0, rows.len() as i64 == limit);
        for mut row in rows {
            last = Some(row.take::<Timestamp>()?);
            let is_queued = row.take::<String>()? == "queued";
            left += usize::from(is_queued);
            let (message, channel): (MessageId, String) = (row.take()?, row.take()?);
            if !is_queued && channel != TEXT_ONLY {
                removals.of(self.tx, &message).await?;
            }
        }
        let Some(last) = last else { return Ok(Step { next: None, left: 0 }) };
        self.tx.run(BLANK_MESSAGES, params![conversation, self.account, after, last]).await?;
        Ok(Step { next: full.then_some(last), left })
    }

    /// Drops from a portion of the log of deliveries, behind `after`, what tells of these conversations.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn drop_deliveries_of(
        &mut self,
        conversations: &HashSet<String>,
        after: Timestamp,
        limit: i64,
    ) -> Result<Step, StoreError> {
        let rows = self.tx.rows(DELIVERIES, params![self.account, after, limit]).await?;
        let (mut last, mut left, full) = (after, 0, rows.len() as i64 == limit);
        let (mut deliveries, mut events) = (Vec::new(), Vec::new());
        for mut row in rows {
            let (id, event): (String, String) = (row.take()?, row.take()?);
            let (lane, status): (String, String) = (row.take()?, row.take()?);
            last = row.take()?;
            if !conversations.contains(&lane) {
                continue;
            }
            if status == "pending" {
                left += 1;
            } else {
                deliveries.push(params![id]);
                events.push(params![event]);
            }
        }
        self.tx.run_each(DELETE_DELIVERY, deliveries).await?;
        self.tx.run_each(DELETE_EVENT, events).await?;
        Ok(Step { next: full.then_some(last), left })
    }

    /// All numbers that the account has or had.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn numbers_ever(&mut self) -> Result<Vec<NumberId>, StoreError> {
        let rows = self.tx.rows(NUMBERS, params![self.account]).await?;
        let mut numbers: Vec<NumberId> = rows.into_iter().map(|mut row| row.take()).collect::<Result<_, _>>()?;
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Deletes messages of a number that are older than `before`, with their files; tells how many, at most `limit`. Several nodes may do
    /// it at a time: what another one deleted counts for him.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_old_messages(
        &mut self,
        number: &NumberId,
        before: Timestamp,
        limit: i64,
        removals: Removals,
    ) -> Result<usize, StoreError> {
        let rows = self.tx.rows(OLD_MESSAGES, params![number, self.account, before, limit]).await?;
        let (mut messages, mut places) = (Vec::new(), Vec::new());
        for mut row in rows {
            let (message, channel): (MessageId, String) = (row.take()?, row.take()?);
            if channel != TEXT_ONLY {
                removals.of(self.tx, &message).await?;
            }
            messages.push(params![&message]);
            let (conversation, participant): (ConversationId, String) = (row.take()?, row.take()?);
            places.push((participant, conversation));
        }
        let count = messages.len();
        let gone = self.tx.change_each(DELETE_MESSAGE, messages).await?;
        // Conversations of one number in the order in which everybody takes them.
        let mut conversations: BTreeMap<(String, ConversationId), i64> = BTreeMap::new();
        for (place, _) in places.into_iter().zip(gone).filter(|(_, gone)| *gone) {
            *conversations.entry(place).or_default() += 1;
        }
        for ((_, conversation), count) in conversations {
            self.tx.run(SHORTEN, params![count, before, self.account, &conversation]).await?;
        }
        Ok(count)
    }

    /// Drops ended deliveries that are older than `before` from the log; tells how many, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn drop_old_deliveries(&mut self, before: Timestamp, limit: i64) -> Result<usize, StoreError> {
        let rows: Vec<Row> = self.tx.rows(OLD_DELIVERIES, params![self.account, before, limit]).await?;
        let (mut deliveries, mut events) = (Vec::new(), Vec::new());
        for mut row in rows {
            deliveries.push(params![row.take::<String>()?]);
            events.push(params![row.take::<String>()?]);
        }
        let count = deliveries.len();
        self.tx.run_each(DELETE_DELIVERY, deliveries).await?;
        self.tx.run_each(DELETE_EVENT, events).await?;
        Ok(count)
    }
}
