//! Calls, as lists of an agent's or a number's.

use offhook_domain::call::Call;
use offhook_domain::{AgentId, NumberId};

use crate::engine::{Row, params, statements};
use crate::error::StoreError;
use crate::scope::{Page, Scope, Window};

/// What [`read`] reads.
macro_rules! select_calls {
    () => {
        "SELECT c.id, c.agent_id, a.name, c.number_id, c.phone_number, c.from_number, c.to_number, c.direction,
        c.status, c.end_reason, c.started_at, c.ended_at, c.last_transcript_snippet, c.recording_path
        FROM calls c LEFT JOIN agents a ON a.id = c.agent_id"
    };
}
pub(crate) use select_calls;

statements! {
    OF_AGENT = concat!(select_calls!(), "
        WHERE c.agent_id = $1 AND c.account_id = $2 ORDER BY c.id DESC LIMIT $3 OFFSET $4");
    COUNT_OF_AGENT = "SELECT COUNT(*) FROM calls WHERE agent_id = $1 AND account_id = $2";
    OF_NUMBER = concat!(select_calls!(), "
        WHERE c.number_id = $1 AND c.account_id = $2 ORDER BY c.id DESC LIMIT $3 OFFSET $4");
    COUNT_OF_NUMBER = "SELECT COUNT(*) FROM calls WHERE number_id = $1 AND account_id = $2";
}

impl Scope<'_> {
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
        direction: row.take()?,
        status: row.take()?,
        end_reason: row.take()?,
        started_at: row.take()?,
        ended_at: row.take()?,
        last_transcript_snippet: row.take()?,
        has_recording: row.take::<Option<String>>()?.is_some(),
    })
}
