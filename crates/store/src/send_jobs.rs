//! Messages that wait to be handed to a carrier. A line is the sending number's id.
//!
//! A job is claimed before the carrier is asked and not earlier, under the epoch of the line's hold, and deleted
//! with the outcome. A job that is still claimed under an epoch that is over was cut off between the two: its
//! outcome is unknown, and it is never sent again.

use offhook_domain::campaign::CampaignClass;
use offhook_domain::message::Message;
use offhook_domain::{CampaignId, ConversationId, MessageId, NumberId, Timestamp};

use crate::campaigns::read_class;
use crate::engine::{Row, Tx, params, statements, statements_for_many};
use crate::error::StoreError;

/// What [`read_waiting`] reads, of a job `j` with the rows that [`waiting_joins`] joins to it.
macro_rules! waiting_columns {
    () => {
        concat!(
            "j.message_id, j.conversation_id, j.at, j.attempts, c.phone_number, c.participant, m.body, m.media_urls,
            m.carrier, n.status, CASE WHEN j.exempt = 0 THEN ",
            $crate::opt_outs::is_opted_out!("j.line", "m.account_id", "c.participant"),
            " ELSE 0 END, m.segments, j.tried_since, k.id, k.class"
        )
    };
}
macro_rules! waiting_joins {
    () => {
        "JOIN messages m ON m.id = j.message_id JOIN conversations c ON c.id = j.conversation_id
        JOIN numbers n ON n.id = j.line
        LEFT JOIN campaigns k ON k.account_id = n.account_id AND k.status = 'approved' AND n.country = 'US'"
    };
}

/// The first message of each conversation of a line behind one, in the order of the conversations' ids, as CONVERSATIONS.
macro_rules! heads {
    ($line:literal, $after:literal, $most:literal) => {
        concat!(
            "WITH RECURSIVE turns (conversation_id) AS (
            SELECT MIN(conversation_id) FROM send_jobs WHERE line = ",
            $line,
            " AND conversation_id > ",
            $after,
            "
            UNION ALL
            SELECT (SELECT MIN(j.conversation_id) FROM send_jobs j
                WHERE j.line = ",
            $line,
            " AND j.conversation_id > turns.conversation_id)
            FROM turns WHERE turns.conversation_id IS NOT NULL
        ), passed (conversation_id) AS (
            SELECT conversation_id FROM turns WHERE conversation_id IS NOT NULL LIMIT ",
            $most,
            ")
        SELECT j.epoch, j.due_at, ",
            waiting_columns!(),
            "
        FROM passed JOIN send_jobs j ON j.message_id = (SELECT s.message_id FROM send_jobs s
            WHERE s.line = ",
            $line,
            " AND s.conversation_id = passed.conversation_id ORDER BY s.at LIMIT 1) ",
            waiting_joins!()
        )
    };
}

statements! {
    // Steps from one line to the next through the index, so that it costs as many look-ups as there are lines.
    LINES = "WITH RECURSIVE lines (line) AS (
            SELECT MIN(line) FROM send_jobs WHERE epoch IS NULL
            UNION ALL
            SELECT (SELECT MIN(j.line) FROM send_jobs j WHERE j.epoch IS NULL AND j.line > lines.line)
            FROM lines WHERE lines.line IS NOT NULL
        )
        SELECT line FROM lines WHERE line IS NOT NULL AND EXISTS
            (SELECT 1 FROM send_jobs j WHERE j.line = lines.line AND j.epoch IS NULL AND j.due_at <= $1)
            AND NOT EXISTS (SELECT 1 FROM line_holds h WHERE h.line = lines.line AND h.until > $1)";
    RELEASED_LINES = "WITH RECURSIVE lines (line) AS (
            SELECT MIN(line) FROM send_jobs WHERE epoch IS NULL
            UNION ALL
            SELECT (SELECT MIN(j.line) FROM send_jobs j WHERE j.epoch IS NULL AND j.line > lines.line)
            FROM lines WHERE lines.line IS NOT NULL
        )
        SELECT line FROM lines WHERE line IS NOT NULL AND EXISTS
            (SELECT 1 FROM numbers n WHERE n.id = lines.line AND n.status = 'released')";
    CLAIMED_LINES = "SELECT DISTINCT line FROM send_jobs WHERE epoch IS NOT NULL";
    WAITING = concat!("SELECT ", waiting_columns!(), "
        FROM send_jobs j ", waiting_joins!(), "
        WHERE j.line = $1 AND j.epoch IS NULL AND j.due_at <= $2 ORDER BY j.due_at, j.at LIMIT $3");
    // `+ 0`, here and below, keeps SQLite from the index of what is due, which has the whole line in it.
    WAITING_OF = concat!("SELECT ", waiting_columns!(), "
        FROM send_jobs j ", waiting_joins!(), "
        WHERE j.line = $1 AND j.conversation_id = $2 AND j.epoch IS NULL AND j.due_at + 0 <= $3 ORDER BY j.at LIMIT $4");
    // Steps from one conversation to the next through the index, and no further than its reader asks.
    CONVERSATIONS = "WITH RECURSIVE turns (conversation_id) AS (
            SELECT MIN(conversation_id) FROM send_jobs WHERE line = $1 AND conversation_id > $2
            UNION ALL
            SELECT (SELECT MIN(j.conversation_id) FROM send_jobs j
                WHERE j.line = $1 AND j.conversation_id > turns.conversation_id)
            FROM turns WHERE turns.conversation_id IS NOT NULL
        )
        SELECT conversation_id FROM turns WHERE conversation_id IS NOT NULL LIMIT $3";
    NEXT_DUE = "SELECT MIN(due_at) FROM send_jobs WHERE line = $1 AND epoch IS NULL";
    UNCLAIM = "UPDATE send_jobs SET epoch = NULL WHERE message_id = $1 AND epoch = $2";
    UNCLAIM_LINE = "UPDATE send_jobs SET epoch = NULL WHERE line = $1 AND epoch = $2";
    STRANDED = "SELECT message_id, epoch FROM send_jobs WHERE line = $1 AND epoch IS NOT NULL AND epoch <> $2 LIMIT $3";
    END_WAITING = "DELETE FROM send_jobs WHERE line = $1 AND epoch IS NULL RETURNING message_id";

    PUT_BACK = "UPDATE send_jobs SET epoch = NULL, attempts = attempts + 1, tried_since = COALESCE(tried_since, $1)
        WHERE message_id = $2 AND epoch = $3";
    HOLD_JOBS = "UPDATE send_jobs SET due_at = $1 WHERE line = (SELECT number_id FROM conversations WHERE id = $2)
        AND conversation_id = $2 AND due_at + 0 < $3 AND epoch IS NULL";
    HOLD_CONVERSATION = "UPDATE conversations SET send_held_until = $1 WHERE id = $2";
    DEPTH = "SELECT COUNT(*), MIN(at) FROM send_jobs";
}

statements_for_many! {
    HEADS = {
        one: heads!("$1", "$2", "$3"),
        all: concat!("SELECT e.n, h.* FROM unnest($1::TEXT[], $2::TEXT[], $3::BIGINT[])
            WITH ORDINALITY AS e (line, after, most, n) CROSS JOIN LATERAL (", heads!("e.line", "e.after", "e.most"), ") h"),
    };
    INSERT = {
        one: "INSERT INTO send_jobs (message_id, line, conversation_id, at, due_at, exempt)
            VALUES ($1, $2, $3, $4, $5, $6)",
        all: "INSERT INTO send_jobs (message_id, line, conversation_id, at, due_at, exempt)
            SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::BIGINT[], $5::BIGINT[], $6::BIGINT[])",
    };
    // Also where it is this epoch's already: the commit of the same claim may have gone unanswered.
    CLAIM = {
        one: "UPDATE send_jobs SET epoch = $1 WHERE message_id = $2 AND (epoch IS NULL OR epoch = $1)",
        all: "UPDATE send_jobs j SET epoch = e.epoch
            FROM unnest($1::BIGINT[], $2::TEXT[]) WITH ORDINALITY AS e (epoch, message_id, n)
            WHERE j.message_id = e.message_id AND (j.epoch IS NULL OR j.epoch = e.epoch) RETURNING e.n",
    };
    FINISH = {
        one: "DELETE FROM send_jobs WHERE message_id = $1 AND epoch = $2",
        all: "DELETE FROM send_jobs j
            USING unnest($1::TEXT[], $2::BIGINT[]) WITH ORDINALITY AS e (message_id, epoch, n)
            WHERE j.message_id = e.message_id AND j.epoch = e.epoch RETURNING e.n",
    };
}

/// A message to be handed to its carrier, not before `due_at`.
#[derive(Debug, Clone)]
pub struct SendJob<'a> {
    pub message: &'a Message,
    pub due_at: Timestamp,
    /// Whether it goes out to somebody who is opted out: an answer of ours to a keyword.
    pub exempt: bool,
}

/// A message that waits, with all that a carrier needs of it.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub message_id: MessageId,
    pub conversation_id: ConversationId,
    pub at: Timestamp,
    /// Tries that certainly came to nothing.
    pub attempts: i64,
    pub from: String,
    pub to: String,
    pub body: String,
    pub media_urls: Vec<String>,
    pub carrier: String,
    /// Whether the sending number is still held.
    pub number_active: bool,
    /// Whether the receiver asked to be left alone, and the message is not our answer to that.
    pub opted_out: bool,
    pub segments: i64,
    /// Since when it is tried in vain.
    pub tried_since: Option<Timestamp>,
    /// The campaign that its number sends under, where there is an approved one.
    pub campaign: Option<Campaign>,
}

/// What limits the numbers of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    pub id: CampaignId,
    pub class: CampaignClass,
}

/// The first message of a conversation, be it under way, put off, or free to go.
#[derive(Debug, Clone)]
pub struct Head {
    /// Somebody has it under way.
    pub is_claimed: bool,
    pub due_at: Timestamp,
    pub message: Waiting,
}

impl Tx {
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_send_jobs(&mut self, jobs: &[SendJob<'_>]) -> Result<(), StoreError> {
        let each = jobs.iter().map(|SendJob { message, due_at, exempt }| {
            let exempt = i64::from(*exempt);
            params![&message.id, &message.number_id, &message.conversation_id, message.at, *due_at, exempt]
        });
        self.run_each(INSERT, each.collect()).await
    }

    /// Lines with a message due, or with one that was claimed and not finished.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn send_lines_due(&mut self, now: Timestamp) -> Result<Vec<String>, StoreError> {
        let mut lines = self.rows(LINES, params![now]).await?;
        lines.extend(self.rows(CLAIMED_LINES, []).await?);
        let mut lines: Vec<String> = lines.into_iter().map(|mut row| row.take()).collect::<Result<_, _>>()?;
        lines.sort();
        lines.dedup();
        Ok(lines)
    }

    /// The next due messages of a line that nobody has claimed, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn waiting_sends(&mut self, line: &str, now: Timestamp, limit: i64) -> Result<Vec<Waiting>, StoreError> {
        self.rows(WAITING, params![line, now, limit]).await?.into_iter().map(read_waiting).collect()
    }

    /// The next due messages of one conversation of a line that nobody has claimed, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn waiting_sends_of(
        &mut self,
        line: &str,
        conversation: &ConversationId,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<Waiting>, StoreError> {
        let rows = self.rows(WAITING_OF, params![line, conversation, now, limit]).await?;
        rows.into_iter().map(read_waiting).collect()
    }

    /// Conversations of a line that have messages, in the order of their ids, behind `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn conversations_sending(
        &mut self,
        line: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<ConversationId>, StoreError> {
        let rows = self.rows(CONVERSATIONS, params![line, after, limit]).await?;
        rows.into_iter().map(|mut row| row.take()).collect()
    }

    /// Of each line the first messages of so many of its conversations, those behind a conversation, in the order of the
    /// conversations' ids.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn heads_of_lines(&mut self, lines: &[(&str, &str, i64)]) -> Result<Vec<Vec<Head>>, StoreError> {
        let each = lines.iter().map(|(line, after, most)| params![*line, *after, *most]);
        let pages = self.rows_each(HEADS, each.collect()).await?;
        pages.into_iter().map(read_heads).collect()
    }

    /// Claims messages that are about to be handed over; tells of each whether it was still free.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_send_jobs(&mut self, messages: &[&MessageId], epoch: i64) -> Result<Vec<bool>, StoreError> {
        self.claim_each(&messages.iter().map(|id| (*id, epoch)).collect::<Vec<_>>()).await
    }

    /// As [`Tx::claim_send_jobs`], each under an epoch of its own.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_each(&mut self, claims: &[(&MessageId, i64)]) -> Result<Vec<bool>, StoreError> {
        self.change_each(CLAIM, claims.iter().map(|(id, epoch)| params![*epoch, *id]).collect()).await
    }

    /// When the next message of a line is due.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn next_send_due(&mut self, line: &str) -> Result<Option<Timestamp>, StoreError> {
        self.one(NEXT_DUE, params![line]).await?.take()
    }

    /// Messages of a line that were claimed under another epoch than this, with that epoch: their outcome is unknown.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn stranded_sends(
        &mut self,
        line: &str,
        epoch: i64,
        limit: i64,
    ) -> Result<Vec<(MessageId, i64)>, StoreError> {
        let rows = self.rows(STRANDED, params![line, epoch, limit]).await?;
        rows.into_iter().map(|mut row| Ok((row.take()?, row.take()?))).collect()
    }

    /// Ends jobs, each of its epoch.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish_send_jobs(&mut self, claims: &[(&MessageId, i64)]) -> Result<(), StoreError> {
        self.run_each(FINISH, claims.iter().map(|(id, epoch)| params![*id, *epoch]).collect()).await
    }

    /// Ends jobs, each where it is still claimed under the epoch given with it; tells of each whether it was.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn drop_send_jobs(&mut self, claims: &[(MessageId, i64)]) -> Result<Vec<bool>, StoreError> {
        self.change_each(FINISH, claims.iter().map(|(id, epoch)| params![id, *epoch]).collect()).await
    }

    /// Gives up a claim that was not acted on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unclaim_send_job(&mut self, message: &MessageId, epoch: i64) -> Result<(), StoreError> {
        self.run(UNCLAIM, params![message, epoch]).await
    }

    /// Gives up all claims of a line under an epoch, by a worker that has none under way.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unclaim_line(&mut self, line: &str, epoch: i64) -> Result<(), StoreError> {
        self.run(UNCLAIM_LINE, params![line, epoch]).await
    }

    /// Ends the jobs of a number that nobody has claimed; tells their messages.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_waiting_sends(&mut self, number: &NumberId) -> Result<Vec<MessageId>, StoreError> {
        let rows = self.rows(END_WAITING, params![number]).await?;
        rows.into_iter().map(|mut row| row.take()).collect()
    }

    /// Released numbers for which a message waits all the same: its send crossed with the release, or its claim
    /// came to nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn released_with_sends(&mut self) -> Result<Vec<NumberId>, StoreError> {
        self.rows(RELEASED_LINES, []).await?.into_iter().map(|mut row| row.take()).collect()
    }

    /// Puts a message back that the carrier certainly does not have; those behind it in its conversation
    /// wait with it until `due_at`. Since when it was tried is kept the first time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_back_send_job(
        &mut self,
        message: &MessageId,
        conversation: &ConversationId,
        epoch: i64,
        tried_since: Timestamp,
        due_at: Timestamp,
    ) -> Result<(), StoreError> {
        // The conversation first: it is what a send under way has locked (PostgreSQL).
        self.change(HOLD_CONVERSATION, params![due_at, conversation]).await?;
        self.run(PUT_BACK, params![tried_since, message, epoch]).await?;
        self.run(HOLD_JOBS, params![due_at, conversation, due_at]).await
    }

    /// How many messages wait, and since when the oldest does.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn send_queue_depth(&mut self) -> Result<(i64, Option<Timestamp>), StoreError> {
        let mut row = self.one(DEPTH, []).await?;
        Ok((row.take()?, row.take()?))
    }
}

fn read_heads(rows: Vec<Row>) -> Result<Vec<Head>, StoreError> {
    let read = |mut row: Row| {
        let (epoch, due_at): (Option<i64>, _) = (row.take()?, row.take()?);
        Ok(Head { is_claimed: epoch.is_some(), due_at, message: read_waiting(row)? })
    };
    let mut heads: Vec<Head> = rows.into_iter().map(read).collect::<Result<_, StoreError>>()?;
    heads.sort_by(|a, b| a.message.conversation_id.cmp(&b.message.conversation_id));
    Ok(heads)
}

fn read_waiting(mut row: Row) -> Result<Waiting, StoreError> {
    Ok(Waiting {
        message_id: row.take()?,
        conversation_id: row.take()?,
        at: row.take()?,
        attempts: row.take()?,
        from: row.take()?,
        to: row.take()?,
        body: row.take()?,
        media_urls: row.take()?,
        carrier: row.take()?,
        number_active: row.take::<String>()? == "active",
        opted_out: row.take::<i64>()? != 0,
        segments: row.take()?,
        tried_since: row.take()?,
        campaign: read_campaign(row.take()?, row.take()?)?,
    })
}

fn read_campaign(id: Option<CampaignId>, class: Option<String>) -> Result<Option<Campaign>, StoreError> {
    let (Some(id), Some(class)) = (id, class) else { return Ok(None) };
    Ok(Some(Campaign { id, class: read_class(&class)? }))
}
