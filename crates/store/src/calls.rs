//! Calls as their owner reads them: lists, one call, what was said and what happened. How they come to be is in
//! `call_flow`.

use offhook_domain::call::{Call, CallDirection, CallStatus, Speaker, SpokenTurn};
use offhook_domain::{AgentId, CallId, NumberId};

use crate::contacts::pattern;
use crate::engine::{Row, params, statements};
use crate::error::StoreError;
use crate::scope::{Page, Scope, Window};

/// What [`read`] reads.
macro_rules! select_calls {
    () => {
        "SELECT c.id, c.agent_id, a.name, c.number_id, c.phone_number, c.from_number, c.to_number, c.direction,
        c.status, c.end_reason, c.started_at, c.answered_at, c.ended_at, c.last_transcript_snippet, c.recording_path,
        c.metadata FROM calls c LEFT JOIN agents a ON a.id = c.agent_id"
    };
}
pub(crate) use select_calls;

/// Which calls a list has. An empty text is any; `%` any pattern.
macro_rules! found {
    () => {
        " WHERE c.account_id = $1 AND ($2 = '' OR c.status = $2 OR c.end_reason = $2) AND ($3 = '' OR c.direction = $3)
        AND ($4 = '' OR (c.direction = 'web') = ($4 = 'web')) AND ($5 = '%' OR LOWER(c.from_number) LIKE $5 ESCAPE '!'
            OR LOWER(c.to_number) LIKE $5 ESCAPE '!' OR LOWER(a.name) LIKE $5 ESCAPE '!'
            OR EXISTS (SELECT 1 FROM call_turns t WHERE t.call_id = c.id AND LOWER(t.content) LIKE $5 ESCAPE '!'))"
    };
}

statements! {
    GET = concat!(select_calls!(), " WHERE c.id = $1 AND c.account_id = $2");
    OF_AGENT = concat!(select_calls!(), "
        WHERE c.agent_id = $1 AND c.account_id = $2 ORDER BY c.id DESC LIMIT $3 OFFSET $4");
    COUNT_OF_AGENT = "SELECT COUNT(*) FROM calls WHERE agent_id = $1 AND account_id = $2";
    OF_NUMBER = concat!(select_calls!(), "
        WHERE c.number_id = $1 AND c.account_id = $2 ORDER BY c.id DESC LIMIT $3 OFFSET $4");
    COUNT_OF_NUMBER = "SELECT COUNT(*) FROM calls WHERE number_id = $1 AND account_id = $2";
    FIND = concat!(select_calls!(), found!(), " ORDER BY c.id DESC LIMIT $6 OFFSET $7");
    COUNT_FOUND = concat!("SELECT COUNT(*) FROM calls c LEFT JOIN agents a ON a.id = c.agent_id", found!());
    TURNS = "SELECT id, role, content, confidence, at FROM call_turns WHERE call_id = $1 AND account_id = $2 AND id > $3
        ORDER BY id LIMIT $4";
    MARKS = "SELECT since, name, detail FROM call_marks WHERE call_id = $1 AND account_id = $2 ORDER BY place";
    RECORDING = "SELECT recording_path FROM calls WHERE id = $1 AND account_id = $2";
}

/// Which calls are wanted.
#[derive(Debug, Clone, Default)]
pub struct CallFilter {
    /// A status or a reason for an end, as they are written.
    pub status: Option<String>,
    pub direction: Option<CallDirection>,
    /// Those from browsers, or all others.
    pub web: Option<bool>,
    /// In numbers, the agent's name, and what was said.
    pub search: Option<String>,
}

/// An entry of a call's timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallMark {
    /// Microseconds since the call began.
    pub since: i64,
    pub name: String,
    /// JSON.
    pub detail: Option<String>,
}

impl Scope<'_> {
    /// # Errors
    /// [`StoreError`].
    pub async fn call(&mut self, id: &CallId) -> Result<Option<Call>, StoreError> {
        self.tx.row(GET, params![id, self.account]).await?.map(read).transpose()
    }

    /// The account's calls, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn calls(&mut self, filter: &CallFilter, window: Window) -> Result<Page<Call>, StoreError> {
        let status = filter.status.clone().unwrap_or_default();
        let direction = filter.direction.map_or("", CallDirection::as_str);
        let kind = filter.web.map_or("", |web| if web { "web" } else { "pstn" });
        let pattern = filter.search.as_deref().map_or_else(|| "%".to_owned(), pattern);
        let values = params![self.account, &status, direction, kind, &pattern, window.limit, window.offset];
        let items = self.tx.rows(FIND, values).await?.into_iter().map(read).collect::<Result<_, _>>()?;
        let total =
            self.tx.one(COUNT_FOUND, params![self.account, &status, direction, kind, &pattern]).await?.take()?;
        Ok(Page { items, total })
    }

    /// The calls of an agent, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn calls_of_agent(&mut self, agent: &AgentId, window: Window) -> Result<Page<Call>, StoreError> {
        let rows = self.tx.rows(OF_AGENT, params![agent, self.account, window.limit, window.offset]).await?;
        let items = rows.into_iter().map(read).collect::<Result<_, _>>()?;
        let total = self.tx.one(COUNT_OF_AGENT, params![agent, self.account]).await?.take()?;
        Ok(Page { items, total })
    }

    /// The calls over a number, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn calls_of_number(&mut self, number: &NumberId, window: Window) -> Result<Page<Call>, StoreError> {
        let rows = self.tx.rows(OF_NUMBER, params![number, self.account, window.limit, window.offset]).await?;
        let items = rows.into_iter().map(read).collect::<Result<_, _>>()?;
        let total = self.tx.one(COUNT_OF_NUMBER, params![number, self.account]).await?.take()?;
        Ok(Page { items, total })
    }

    /// What was said in a call behind a turn, or from the beginning, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn call_turns(
        &mut self,
        call: &CallId,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<SpokenTurn>, StoreError> {
        let rows = self.tx.rows(TURNS, params![call, self.account, after.unwrap_or_default(), limit]).await?;
        rows.into_iter().map(read_turn).collect()
    }

    /// A call's timeline.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn call_marks(&mut self, call: &CallId) -> Result<Vec<CallMark>, StoreError> {
        let rows = self.tx.rows(MARKS, params![call, self.account]).await?;
        let read = |mut row: Row| Ok(CallMark { since: row.take()?, name: row.take()?, detail: row.take()? });
        rows.into_iter().map(read).collect()
    }

    /// Where a call's recording is kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn call_recording(&mut self, call: &CallId) -> Result<Option<String>, StoreError> {
        let row = self.tx.row(RECORDING, params![call, self.account]).await?;
        row.map_or(Ok(None), |mut row| row.take())
    }
}

/// # Errors
/// [`StoreError::Corrupt`] for a row that is none.
pub(crate) fn read(mut row: Row) -> Result<Call, StoreError> {
    Ok(Call {
        id: row.take()?,
        agent_id: row.take()?,
        agent_name: row.take()?,
        number_id: row.take()?,
        phone_number: row.take()?,
        from: row.take()?,
        to: row.take()?,
        direction: read_as(&mut row, CallDirection::parse)?,
        status: read_as(&mut row, CallStatus::parse)?,
        end_reason: row.take()?,
        started_at: row.take()?,
        answered_at: row.take()?,
        ended_at: row.take()?,
        last_transcript_snippet: row.take()?,
        has_recording: row.take::<Option<String>>()?.is_some(),
        metadata: row.take()?,
    })
}

fn read_turn(mut row: Row) -> Result<SpokenTurn, StoreError> {
    let id = row.take()?;
    let speaker = match row.take::<String>()?.as_str() {
        "user" => Speaker::User,
        "agent" => Speaker::Agent,
        other => return Err(StoreError::Corrupt(format!("a turn of a {other}"))),
    };
    Ok(SpokenTurn { id, speaker, content: row.take()?, confidence: row.take()?, at: row.take()? })
}

pub(crate) fn read_as<T>(row: &mut Row, parse: impl Fn(&str) -> Option<T>) -> Result<T, StoreError> {
    let text = row.take::<String>()?;
    parse(&text).ok_or_else(|| StoreError::Corrupt(format!("{text} of a call")))
}
