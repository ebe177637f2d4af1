//! The work of delivering: what is due to an endpoint, and what became of it. A line is the webhook's id.
//!
//! A delivery's row is its log and its job in one. Nothing is written when an attempt begins: the hold on the line
//! is the claim, and a crash makes the attempt again. Outcomes are written in batches, each only where the row is
//! still as its worker read it.

use offhook_domain::webhook::{DeliveryStatus, EventType};
use offhook_domain::{AccountId, DeliveryId, Timestamp, WebhookId};

use crate::engine::{Row, Tx, params, statements, statements_for_many};
use crate::error::StoreError;
use crate::webhooks::read_event;

statements! {
    // Steps from one line to the next through the index, so that it costs as many look-ups as there are lines.
    LINES = "WITH RECURSIVE lines (line) AS (
            SELECT MIN(webhook_id) FROM deliveries WHERE status = 'pending'
            UNION ALL
            SELECT (SELECT MIN(d.webhook_id) FROM deliveries d WHERE d.status = 'pending' AND d.webhook_id > lines.line)
            FROM lines WHERE lines.line IS NOT NULL
        ), heads (line, due_at) AS (
            SELECT line, (SELECT MIN(d.due_at) FROM deliveries d WHERE d.webhook_id = lines.line AND d.status = 'pending')
            FROM lines WHERE line IS NOT NULL
        )
        SELECT line, due_at FROM heads WHERE due_at <= $1 ORDER BY due_at";
    DUE = "SELECT d.id, d.lane, d.event_type, d.attempts, d.due_at, d.at, e.body
        FROM deliveries d JOIN events e ON e.id = d.event_id
        WHERE d.webhook_id = $1 AND d.status = 'pending' AND (d.due_at, d.at) > ($2, $3) AND d.due_at <= $4
        ORDER BY d.due_at, d.at LIMIT $5";
    NEXT_DUE = "SELECT MIN(due_at) FROM deliveries WHERE webhook_id = $1 AND status = 'pending'";
    HOLD_LANE = "UPDATE deliveries SET due_at = $1 WHERE webhook_id = $2 AND lane = $3 AND status = 'pending'
        AND due_at < $4";
    OWNER = "SELECT account_id, agent_key FROM deliveries WHERE webhook_id = $1 AND status = 'pending'
        ORDER BY due_at LIMIT 1";
    ABANDON = "UPDATE deliveries SET status = 'failed', error = $1 WHERE id IN
        (SELECT id FROM deliveries WHERE webhook_id = $2 AND status = 'pending' ORDER BY due_at, at LIMIT $3)
        AND status || '' = 'pending'"; // As for RECORD.
    RECENT = "SELECT webhook_id, status, attempts FROM deliveries WHERE account_id = $1 AND agent_key = $2
        ORDER BY at DESC LIMIT 20";
    // Naming the first column keeps SQLite on the index of what is pending.
    DEPTH = "SELECT COUNT(*) FROM (SELECT 1 FROM deliveries WHERE webhook_id > '' AND status = 'pending' LIMIT $1) AS waiting";
    EXPIRED = "SELECT id, event_id FROM deliveries WHERE id < $1 AND status <> 'pending' ORDER BY id LIMIT $2";
}

statements_for_many! {
    // `|| ''` keeps PostgreSQL off the indexes of what is pending: where nothing was when it last counted, it takes them for
    // empty, and goes through a whole backlog for each delivery instead of finding it by its id.
    RECORD = {
        one: "UPDATE deliveries SET status = $1, due_at = $2, attempts = $3, http_status = $4, error = $5,
            response_body = $6, response_ms = $7, last_attempt_at = $8, delivered_at = $9
            WHERE id = $10 AND status || '' = 'pending' AND attempts = $11",
        all: "UPDATE deliveries d SET status = e.status, due_at = e.due_at, attempts = e.attempts,
            http_status = e.http_status, error = e.error, response_body = e.response_body,
            response_ms = e.response_ms, last_attempt_at = e.last_attempt_at, delivered_at = e.delivered_at
            FROM unnest($1::TEXT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::TEXT[], $6::TEXT[], $7::BIGINT[],
                $8::BIGINT[], $9::BIGINT[], $10::TEXT[], $11::BIGINT[]) WITH ORDINALITY AS e (status, due_at, attempts,
                http_status, error, response_body, response_ms, last_attempt_at, delivered_at, id, before, n)
            WHERE d.id = e.id AND d.status || '' = 'pending' AND d.attempts = e.before RETURNING e.n",
    };
    FORGET = {
        one: "DELETE FROM deliveries WHERE id = $1",
        all: "DELETE FROM deliveries d USING unnest($1::TEXT[]) AS e (id) WHERE d.id = e.id",
    };
    FORGET_EVENT = {
        one: "DELETE FROM events WHERE id = $1",
        all: "DELETE FROM events v USING unnest($1::TEXT[]) AS e (id) WHERE v.id = e.id",
    };
}

/// A delivery that waits for its next attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueDelivery {
    pub id: DeliveryId,
    pub lane: String,
    pub event_type: EventType,
    /// Attempts made so far.
    pub attempts: u32,
    pub due_at: Timestamp,
    pub at: Timestamp,
    pub body: String,
}

/// Where a page of due deliveries ended, in the order in which they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub due_at: Timestamp,
    pub at: Timestamp,
}

impl Place {
    /// Before everything.
    pub const START: Self = Self { due_at: Timestamp::from_micros(i64::MIN), at: Timestamp::from_micros(i64::MIN) };
}

/// What one attempt came to.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub delivery: DeliveryId,
    /// Attempts made before this one.
    pub before: u32,
    pub status: DeliveryStatus,
    /// When the next one may be made; of no meaning unless pending.
    pub due_at: Timestamp,
    pub http_status: Option<i64>,
    pub error: Option<String>,
    pub response_body: Option<String>,
    pub response_ms: i64,
    /// When it ended.
    pub at: Timestamp,
}

/// Deliveries that were given up together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abandoned {
    pub account: AccountId,
    pub agent_key: String,
    pub count: u64,
}

/// What an endpoint was last seen to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastSeen {
    Succeeding,
    Failing,
    /// Nothing was ever tried.
    Never,
}

impl Tx {
    /// Lines with a delivery due and since when, the longest overdue first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delivery_lines_due(&mut self, now: Timestamp) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let rows = self.rows(LINES, params![now]).await?;
        rows.into_iter().map(|mut row| Ok((row.take()?, row.take()?))).collect()
    }

    /// The next deliveries of a line that are due at `now`, behind `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn due_deliveries(
        &mut self,
        line: &WebhookId,
        after: Place,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        let rows = self.rows(DUE, params![line, after.due_at, after.at, now, limit]).await?;
        rows.into_iter().map(read_due).collect()
    }

    /// When the next delivery of a line is due.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn next_delivery_due(&mut self, line: &WebhookId) -> Result<Option<Timestamp>, StoreError> {
        self.one(NEXT_DUE, params![line]).await?.take()
    }

    /// Keeps what attempts came to, and tells for each whether the row was still as its worker had read it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record_attempts(&mut self, attempts: &[Attempt]) -> Result<Vec<bool>, StoreError> {
        let each = attempts.iter().map(|attempt| {
            let delivered = (attempt.status == DeliveryStatus::Success).then_some(attempt.at);
            params![
                attempt.status.as_str(),
                attempt.due_at,
                attempt.before + 1,
                attempt.http_status,
                attempt.error.as_ref(),
                attempt.response_body.as_ref(),
                attempt.response_ms,
                attempt.at,
                delivered,
                &attempt.delivery,
                attempt.before
            ]
        });
        self.change_each(RECORD, each.collect()).await
    }

    /// Lets nothing of a lane be due before `until`. What is due together goes in the order it came.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hold_lane(&mut self, line: &WebhookId, lane: &str, until: Timestamp) -> Result<(), StoreError> {
        self.run(HOLD_LANE, params![until, line, lane, until]).await
    }

    /// Gives up to `limit` waiting deliveries of a line up; `None` when none waited.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn abandon_deliveries(
        &mut self,
        line: &WebhookId,
        error: &str,
        limit: i64,
    ) -> Result<Option<Abandoned>, StoreError> {
        let Some(mut row) = self.row(OWNER, params![line]).await? else { return Ok(None) };
        let (account, agent_key) = (row.take()?, row.take()?);
        let count = self.change(ABANDON, params![error, line, limit]).await?;
        Ok(Some(Abandoned { account, agent_key, count }))
    }

    /// What the log tells of an endpoint that this process has not called yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn last_seen(
        &mut self,
        line: &WebhookId,
        account: &AccountId,
        agent_key: &str,
    ) -> Result<LastSeen, StoreError> {
        for mut row in self.rows(RECENT, params![account, agent_key]).await? {
            let (webhook, status, attempts): (WebhookId, String, i64) = (row.take()?, row.take()?, row.take()?);
            match status.as_str() {
                _ if webhook != *line => {}
                "success" => return Ok(LastSeen::Succeeding),
                _ if attempts > 0 => return Ok(LastSeen::Failing),
                _ => {}
            }
        }
        Ok(LastSeen::Never)
    }

    /// How many deliveries wait, counted up to `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn deliveries_waiting(&mut self, most: i64) -> Result<i64, StoreError> {
        self.one(DEPTH, params![most]).await?.take()
    }

    /// Drops ended deliveries made before `before` from the log, with their events; tells how many, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_deliveries(&mut self, before: &DeliveryId, limit: i64) -> Result<usize, StoreError> {
        let rows = self.rows(EXPIRED, params![before, limit]).await?;
        let mut events = Vec::with_capacity(rows.len());
        let mut deliveries = Vec::with_capacity(rows.len());
        for mut row in rows {
            deliveries.push(params![row.take::<String>()?]);
            events.push(params![row.take::<String>()?]);
        }
        let count = deliveries.len();
        self.run_each(FORGET, deliveries).await?;
        self.run_each(FORGET_EVENT, events).await?;
        Ok(count)
    }
}

fn read_due(mut row: Row) -> Result<DueDelivery, StoreError> {
    Ok(DueDelivery {
        id: row.take()?,
        lane: row.take()?,
        event_type: read_event(&row.take::<String>()?)?,
        attempts: row.take()?,
        due_at: row.take()?,
        at: row.take()?,
        body: row.take()?,
    })
}
