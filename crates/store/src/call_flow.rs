//! How calls come to be, go on and end. Each step is guarded by how far the call is: one that comes twice, or too late,
//! changes nothing.
//!
//! A call that is not over has a node that leads it. That it still does is said in the database's time, so that another
//! node can tell when nobody leads it any more.

use std::time::Duration;

use offhook_domain::call::{CallDirection, CallStatus, EndReason, SpokenTurn};
use offhook_domain::{AccountId, AgentId, CallId, Micros, NumberId, Timestamp};

use crate::calls::{CallMark, read_as};
use crate::engine::{Row, Tx, params, statements, statements_for_many};
use crate::error::StoreError;
use crate::scope::Scope;

/// The beginning of what was said last is shown in lists.
const SNIPPET: usize = 200;

/// What [`read_open`] reads.
macro_rules! select_open {
    () => {
        "SELECT id, account_id, agent_id, number_id, phone_number, from_number, to_number, direction, status, started_at,
        answered_at, voice_mode, recording_path, options, carrier FROM calls"
    };
}

statements! {
    INSERT = "INSERT INTO calls (id, account_id, agent_id, number_id, phone_number, from_number, to_number, direction,
        status, started_at, voice_mode, carrier, metadata, options, node, alive_until)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, now + $16 FROM database_clock";
    ALIVE_OF = "SELECT COUNT(*) FROM calls WHERE account_id = $1 AND alive_until IS NOT NULL";
    RINGS = "UPDATE calls SET status = 'ringing' WHERE id = $1 AND status = 'queued'";
    ANSWERED = "UPDATE calls SET status = 'in-progress', answered_at = $1
        WHERE id = $2 AND status IN ('queued', 'ringing')";
    INSERT_TURN = "INSERT INTO call_turns (id, account_id, call_id, role, content, confidence, at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    SNIPPET_IS = "UPDATE calls SET last_transcript_snippet = $1 WHERE id = $2";
    LAST_PLACE = "SELECT COALESCE(MAX(place), -1) FROM call_marks WHERE call_id = $1";
    OPEN = concat!(select_open!(), " WHERE id = $1 AND alive_until IS NOT NULL");
    END = "UPDATE calls SET status = $1, end_reason = $2, ended_at = $3, price = $4,
        recording_path = COALESCE($5, recording_path), alive_until = NULL WHERE id = $6 AND alive_until IS NOT NULL";
    ASK_TO_END = "UPDATE calls SET end_requested_at = $1
        WHERE id = $2 AND account_id = $3 AND alive_until IS NOT NULL AND end_requested_at IS NULL";
    TO_END = "SELECT id FROM calls WHERE alive_until IS NOT NULL AND end_requested_at IS NOT NULL AND node = $1";
    PROLONG = "UPDATE calls SET alive_until = (SELECT now FROM database_clock) + $1
        WHERE alive_until IS NOT NULL AND node = $2";
    LOST = concat!(select_open!(), " WHERE alive_until < (SELECT now FROM database_clock) ORDER BY alive_until LIMIT $1");
    LOST_AT = "SELECT alive_until FROM calls WHERE id = $1 AND alive_until < (SELECT now FROM database_clock)";
    TAKE_OVER = "UPDATE calls SET node = $1, alive_until = (SELECT now FROM database_clock) + $2
        WHERE id = $3 AND alive_until < (SELECT now FROM database_clock)";
    ALIVE_HERE = concat!(select_open!(), " WHERE alive_until IS NOT NULL AND node = $1");
    RECORDS = "SELECT records_calls, recording_paid_until FROM accounts WHERE id = $1";
    PAY_RECORDING = "UPDATE accounts SET recording_paid_until = $1
        WHERE id = $2 AND (recording_paid_until IS NULL OR recording_paid_until <= $3)";
    SET_RECORDS = "UPDATE accounts SET records_calls = $1 WHERE id = $2";
    STATE_WITH = "SELECT metadata FROM conversations WHERE number_id = $1 AND participant = $2 AND account_id = $3";
    OWNER = "SELECT account_id FROM calls WHERE id = $1";
    RECORDING_IS = "UPDATE calls SET recording_path = $1 WHERE id = $2";
}

statements_for_many! {
    INSERT_MARK = {
        one: "INSERT INTO call_marks (call_id, place, account_id, since, name, detail) VALUES ($1, $2, $3, $4, $5, $6)",
        all: "INSERT INTO call_marks (call_id, place, account_id, since, name, detail)
            SELECT * FROM unnest($1::TEXT[], $2::BIGINT[], $3::TEXT[], $4::BIGINT[], $5::TEXT[], $6::TEXT[])",
    };
}

/// A call that begins.
#[derive(Debug, Clone)]
pub struct NewCall<'a> {
    pub id: &'a CallId,
    pub agent_id: Option<&'a AgentId>,
    pub number_id: Option<&'a NumberId>,
    pub phone_number: &'a str,
    pub from: &'a str,
    pub to: &'a str,
    pub direction: CallDirection,
    pub status: CallStatus,
    pub at: Timestamp,
    pub voice_mode: &'a str,
    pub carrier: &'a str,
    pub metadata: Option<&'a str>,
    /// What it has otherwise than its agent, as JSON.
    pub options: Option<&'a str>,
    /// Who leads it, and for how long that is believed without hearing of it.
    pub node: &'a str,
    pub lasting: Duration,
}

/// A call that is not over, as whoever ends it needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCall {
    pub id: CallId,
    pub account_id: AccountId,
    pub agent_id: Option<AgentId>,
    pub number_id: Option<NumberId>,
    pub phone_number: String,
    pub from: String,
    pub to: String,
    pub direction: CallDirection,
    pub status: CallStatus,
    pub started_at: Timestamp,
    pub answered_at: Option<Timestamp>,
    pub voice_mode: String,
    /// Where it is being recorded.
    pub recording: Option<String>,
    pub options: Option<String>,
    pub carrier: String,
}

/// What an account says of recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordsCalls {
    /// None: as is configured.
    pub wanted: Option<bool>,
    pub paid_until: Option<Timestamp>,
}

/// How a call ended.
#[derive(Debug, Clone, Copy)]
pub struct CallEnd<'a> {
    pub reason: EndReason,
    pub status: CallStatus,
    pub at: Timestamp,
    pub price: Micros,
    pub recording: Option<&'a str>,
}

impl Scope<'_> {
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_call(&mut self, call: &NewCall<'_>) -> Result<(), StoreError> {
        let values = params![
            call.id,
            self.account,
            call.agent_id,
            call.number_id,
            call.phone_number,
            call.from,
            call.to,
            call.direction.as_str(),
            call.status.as_str(),
            call.at,
            call.voice_mode,
            call.carrier,
            call.metadata,
            call.options,
            call.node,
            call.lasting
        ];
        self.tx.run(INSERT, values).await
    }

    /// Whether the account has its calls recorded, where it has said so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn records_calls(&mut self) -> Result<RecordsCalls, StoreError> {
        let mut row = self.tx.one(RECORDS, params![self.account]).await?;
        let said: Option<i64> = row.take()?;
        Ok(RecordsCalls { wanted: said.map(|said| said != 0), paid_until: row.take()? })
    }

    /// Notes until when recording is paid for; false where it was paid for meanwhile.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn recording_is_paid(&mut self, until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.tx.change(PAY_RECORDING, params![until, self.account, now]).await? == 1)
    }

    /// # Errors
    /// [`StoreError`].
    pub async fn record_calls(&mut self, records: bool) -> Result<(), StoreError> {
        self.tx.run(SET_RECORDS, params![i64::from(records), self.account]).await
    }

    /// What is kept of the conversation by text with somebody: its metadata.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn conversation_state_with(
        &mut self,
        number: &NumberId,
        participant: &str,
    ) -> Result<Option<serde_json::Value>, StoreError> {
        let row = self.tx.row(STATE_WITH, params![number, participant, self.account]).await?;
        let text: Option<String> = row.map_or(Ok(None), |mut row| row.take())?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// How many of the account's calls are not over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn calls_alive(&mut self) -> Result<i64, StoreError> {
        self.tx.one(ALIVE_OF, params![self.account]).await?.take()
    }

    /// Has a call's node end it. A call that is over is not touched.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ask_call_to_end(&mut self, call: &CallId, at: Timestamp) -> Result<(), StoreError> {
        self.tx.change(ASK_TO_END, params![at, call, self.account]).await.map(drop)
    }

    /// # Errors
    /// [`StoreError`].
    pub async fn insert_call_turn(&mut self, call: &CallId, turn: &SpokenTurn) -> Result<(), StoreError> {
        let (speaker, content) = (turn.speaker.as_str(), turn.content.as_str());
        let values = params![&turn.id, self.account, call, speaker, content, turn.confidence, turn.at];
        self.tx.run(INSERT_TURN, values).await?;
        let snippet: String = content.chars().take(SNIPPET).collect();
        self.tx.run(SNIPPET_IS, params![snippet, call]).await
    }

    /// Adds to a call's timeline.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_call_marks(&mut self, call: &CallId, marks: &[CallMark]) -> Result<(), StoreError> {
        let last: i64 = self.tx.one(LAST_PLACE, params![call]).await?.take()?;
        let account = self.account;
        let rows = marks
            .iter()
            .zip(last + 1..)
            .map(|(mark, place)| params![call, place, account, mark.since, mark.name.as_str(), mark.detail.as_deref()]);
        self.tx.run_each(INSERT_MARK, rows.collect()).await
    }
}

impl Tx {
    /// A call of ours rings.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn call_rings(&mut self, call: &CallId) -> Result<bool, StoreError> {
        Ok(self.change(RINGS, params![call]).await? == 1)
    }

    /// Both can hear each other.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn call_is_answered(&mut self, call: &CallId, at: Timestamp) -> Result<bool, StoreError> {
        Ok(self.change(ANSWERED, params![at, call]).await? == 1)
    }

    /// Where a call is being recorded, so that it is found if nobody ends the call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn call_is_recorded(&mut self, call: &CallId, recording: &str) -> Result<(), StoreError> {
        self.run(RECORDING_IS, params![recording, call]).await
    }

    /// Whose call it is. For whoever has a link that we signed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn owner_of_call(&mut self, call: &CallId) -> Result<Option<AccountId>, StoreError> {
        self.row(OWNER, params![call]).await?.map(|mut row| row.take()).transpose()
    }

    /// A call that is not over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_call(&mut self, call: &CallId) -> Result<Option<OpenCall>, StoreError> {
        self.row(OPEN, params![call]).await?.map(read_open).transpose()
    }

    /// Ends a call; false where somebody else did.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_call(&mut self, call: &CallId, end: CallEnd<'_>) -> Result<bool, StoreError> {
        let CallEnd { reason, status, at, price, recording } = end;
        let values = params![status.as_str(), reason.as_str(), at, price, recording, call];
        Ok(self.change(END, values).await? == 1)
    }

    /// Says that a node still leads its calls, for so long.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prolong_calls(&mut self, node: &str, lasting: Duration) -> Result<(), StoreError> {
        self.change(PROLONG, params![lasting, node]).await.map(drop)
    }

    /// The calls of a node that somebody wants to end.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn calls_to_end(&mut self, node: &str) -> Result<Vec<CallId>, StoreError> {
        let rows = self.rows(TO_END, params![node]).await?;
        rows.into_iter().map(|mut row| row.take()).collect()
    }

    /// The calls that a node leads.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn calls_led_by(&mut self, node: &str) -> Result<Vec<OpenCall>, StoreError> {
        self.rows(ALIVE_HERE, params![node]).await?.into_iter().map(read_open).collect()
    }

    /// Calls that nobody leads any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lost_calls(&mut self, limit: i64) -> Result<Vec<OpenCall>, StoreError> {
        self.rows(LOST, params![limit]).await?.into_iter().map(read_open).collect()
    }

    /// Until when a lost call was led, in the database's time; `None` where it is not lost any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn call_lost_at(&mut self, call: &CallId) -> Result<Option<Timestamp>, StoreError> {
        self.row(LOST_AT, params![call]).await?.map(|mut row| row.take()).transpose()
    }

    /// Takes a lost call over, to end it; false where another node did.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_call_over(&mut self, call: &CallId, node: &str, lasting: Duration) -> Result<bool, StoreError> {
        Ok(self.change(TAKE_OVER, params![node, lasting, call]).await? == 1)
    }
}

fn read_open(mut row: Row) -> Result<OpenCall, StoreError> {
    Ok(OpenCall {
        id: row.take()?,
        account_id: row.take()?,
        agent_id: row.take()?,
        number_id: row.take()?,
        phone_number: row.take()?,
        from: row.take()?,
        to: row.take()?,
        direction: read_as(&mut row, CallDirection::parse)?,
        status: read_as(&mut row, CallStatus::parse)?,
        started_at: row.take()?,
        answered_at: row.take()?,
        voice_mode: row.take()?,
        recording: row.take()?,
        options: row.take()?,
        carrier: row.take()?,
    })
}
