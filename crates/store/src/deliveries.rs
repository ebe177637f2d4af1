//! Events and the log of their deliveries, as an account sees them. The work of delivering is in `delivery_work`.

use offhook_domain::webhook::{Delivery, DeliveryStatus, EventType, Webhook};
use offhook_domain::{AgentId, ConversationId, DeliveryId, EventId, Id, MessageId, Timestamp};

use crate::engine::{Row, params, statements};
use crate::error::StoreError;
use crate::scope::{Page, Scope, Window};
use crate::webhooks::{agent_key, read_event};

statements! {
    INSERT_EVENT = "INSERT INTO events (id, account_id, body) VALUES ($1, $2, $3)";
    COPY_EVENT = "INSERT INTO events (id, account_id, body) SELECT $1, e.account_id, e.body FROM events e
        JOIN deliveries d ON d.event_id = e.id WHERE d.account_id = $2 AND d.id = $3";
    INSERT = "INSERT INTO deliveries (id, account_id, agent_key, webhook_id, event_id, event_type, channel, message_id, lane,
        status, at, due_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', $10, $10)";
    INSERT_DONE = "INSERT INTO deliveries (id, account_id, agent_key, webhook_id, event_id, event_type, channel, message_id,
        lane, status, at, due_at, attempts, http_status, error, response_body, response_ms, last_attempt_at, delivered_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12, $13, $14, $15, $16, $17, $18)";
    STATE = "SELECT metadata FROM conversations WHERE account_id = $1 AND id = $2";
    LANE = "SELECT lane FROM deliveries WHERE account_id = $1 AND id = $2";
    GET = "SELECT id, webhook_id, event_type, channel, message_id, status, at, due_at, attempts, http_status, error,
        response_body, response_ms, last_attempt_at, delivered_at, agent_key FROM deliveries
        WHERE account_id = $1 AND id = $2";
    LIST = "SELECT id, webhook_id, event_type, channel, message_id, status, at, due_at, attempts, http_status, error,
        response_body, response_ms, last_attempt_at, delivered_at, agent_key FROM deliveries
        WHERE account_id = $1 AND at >= $2 ORDER BY at DESC LIMIT $3 OFFSET $4";
    COUNT = "SELECT COUNT(*) FROM deliveries WHERE account_id = $1 AND at >= $2";
    LIST_OF_OWNER = "SELECT id, webhook_id, event_type, channel, message_id, status, at, due_at, attempts, http_status, error,
        response_body, response_ms, last_attempt_at, delivered_at, agent_key FROM deliveries
        WHERE account_id = $1 AND agent_key = $2 AND at >= $3 ORDER BY at DESC LIMIT $4 OFFSET $5";
    COUNT_OF_OWNER = "SELECT COUNT(*) FROM deliveries WHERE account_id = $1 AND agent_key = $2 AND at >= $3";
    TALLY = "SELECT event_type, status, at / 3600000000, COUNT(*) FROM deliveries WHERE account_id = $1 AND at >= $2
        GROUP BY event_type, status, at / 3600000000";
    TOTALS = "SELECT CAST(COALESCE(SUM(webhooks), 0) AS BIGINT), CAST(COALESCE(SUM(webhooks_succeeded), 0) AS BIGINT),
        CAST(COALESCE(SUM(webhooks_failed), 0) AS BIGINT) FROM usage_hours WHERE account_id = $1";
}

/// What an event is, beside its body.
#[derive(Debug, Clone)]
pub struct NewEvent<'a> {
    pub event_type: EventType,
    pub channel: &'a str,
    /// What its order is kept in: the conversation's id or the call's.
    pub lane: &'a str,
    pub message_id: Option<&'a MessageId>,
    pub at: Timestamp,
}

/// What became of the one attempt of a delivery that nobody retries.
#[derive(Debug, Clone)]
pub struct OneAttempt {
    pub delivered: bool,
    pub http_status: Option<i64>,
    pub error: Option<String>,
    pub response_body: Option<String>,
    pub response_ms: i64,
    pub at: Timestamp,
}

/// How many deliveries of one type and status an hour saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub event_type: EventType,
    pub status: DeliveryStatus,
    /// Start of the hour.
    pub hour: Timestamp,
    pub count: i64,
}

/// All deliveries there ever were, also those no longer in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryTotals {
    pub total: i64,
    pub succeeded: i64,
    pub failed: i64,
}

impl Scope<'_> {
    /// Keeps an event and the work of delivering it. Counting it as usage is the caller's, who counts more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_delivery(
        &mut self,
        webhook: &Webhook,
        event: &NewEvent<'_>,
        body: String,
    ) -> Result<DeliveryId, StoreError> {
        let event_id = EventId::generate(event.at);
        self.tx.run(INSERT_EVENT, params![&event_id, self.account, body]).await?;
        self.insert_pending(webhook, event, &event_id).await
    }

    /// Sends the event of an earlier delivery again, as a new one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replay_delivery(
        &mut self,
        webhook: &Webhook,
        earlier: &Delivery,
        at: Timestamp,
    ) -> Result<DeliveryId, StoreError> {
        let lane: String = self.tx.one(LANE, params![self.account, &earlier.id]).await?.take()?;
        let event_id = EventId::generate(at);
        self.tx.run(COPY_EVENT, params![&event_id, self.account, &earlier.id]).await?;
        let message_id = earlier.message_id.as_deref().and_then(|text| MessageId::parse(text).ok());
        let event = NewEvent {
            event_type: earlier.event_type,
            channel: &earlier.channel,
            lane: &lane,
            message_id: message_id.as_ref(),
            at,
        };
        self.insert_pending(webhook, &event, &event_id).await
    }

    /// What the customer keeps with a conversation, which events carry.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn conversation_state(
        &mut self,
        conversation: &ConversationId,
    ) -> Result<Option<serde_json::Value>, StoreError> {
        match self.tx.row(STATE, params![self.account, conversation]).await? {
            Some(mut row) => row.take(),
            None => Ok(None),
        }
    }

    async fn insert_pending(
        &mut self,
        webhook: &Webhook,
        event: &NewEvent<'_>,
        event_id: &EventId,
    ) -> Result<DeliveryId, StoreError> {
        let id = DeliveryId::generate(event.at);
        let values = params![
            &id,
            self.account,
            agent_key(webhook.agent_id.as_ref()),
            &webhook.id,
            event_id,
            event.event_type.as_str(),
            event.channel,
            event.message_id,
            event.lane,
            event.at
        ];
        self.tx.run(INSERT, values).await?;
        Ok(id)
    }

    /// Logs a delivery that was made at once, outside of its endpoint's line: a test, a voice turn.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_delivery(
        &mut self,
        id: &DeliveryId,
        webhook: &Webhook,
        event: &NewEvent<'_>,
        body: &str,
        attempt: &OneAttempt,
    ) -> Result<(), StoreError> {
        let event_id = EventId::generate(event.at);
        self.tx.run(INSERT_EVENT, params![&event_id, self.account, body]).await?;
        let status = if attempt.delivered { DeliveryStatus::Success } else { DeliveryStatus::Failed };
        let values = params![
            id,
            self.account,
            agent_key(webhook.agent_id.as_ref()),
            &webhook.id,
            &event_id,
            event.event_type.as_str(),
            event.channel,
            event.message_id,
            event.lane,
            status.as_str(),
            event.at,
            1_i64,
            attempt.http_status,
            attempt.error.as_ref(),
            attempt.response_body.as_ref(),
            attempt.response_ms,
            attempt.at,
            attempt.delivered.then_some(attempt.at)
        ];
        self.tx.run(INSERT_DONE, values).await
    }

    /// # Errors
    /// [`StoreError`].
    pub async fn delivery(&mut self, id: &DeliveryId) -> Result<Option<(Delivery, Option<AgentId>)>, StoreError> {
        let row = self.tx.row(GET, params![self.account, id]).await?;
        row.map(|mut row| {
            let delivery = read(&mut row)?;
            let owner: String = row.take()?;
            // The account's own is kept under the empty key, which is no id.
            Ok((delivery, AgentId::parse(&owner).ok()))
        })
        .transpose()
    }

    /// The account's log since a time, to all of its endpoints, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn deliveries(&mut self, since: Timestamp, window: Window) -> Result<Page<Delivery>, StoreError> {
        let rows = self.tx.rows(LIST, params![self.account, since, window.limit, window.offset]).await?;
        let items = rows.into_iter().map(|mut row| read(&mut row)).collect::<Result<_, _>>()?;
        let total = self.tx.one(COUNT, params![self.account, since]).await?.take()?;
        Ok(Page { items, total })
    }

    /// The log of one agent's own endpoint since a time, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn deliveries_of_agent(
        &mut self,
        agent: &AgentId,
        since: Timestamp,
        window: Window,
    ) -> Result<Page<Delivery>, StoreError> {
        let values = params![self.account, agent, since, window.limit, window.offset];
        let rows = self.tx.rows(LIST_OF_OWNER, values).await?;
        let items = rows.into_iter().map(|mut row| read(&mut row)).collect::<Result<_, _>>()?;
        let total = self.tx.one(COUNT_OF_OWNER, params![self.account, agent, since]).await?.take()?;
        Ok(Page { items, total })
    }

    /// The account's deliveries since a time, counted by type, status and hour.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delivery_tallies(&mut self, since: Timestamp) -> Result<Vec<Tally>, StoreError> {
        let rows = self.tx.rows(TALLY, params![self.account, since]).await?;
        let read = |mut row: Row| {
            let event_type = read_event(&row.take::<String>()?)?;
            let status = read_status(&row.take::<String>()?)?;
            let hour = Timestamp::from_micros(row.take::<i64>()? * offhook_domain::time::HOUR_MICROS);
            Ok(Tally { event_type, status, hour, count: row.take()? })
        };
        rows.into_iter().map(read).collect()
    }

    /// From the rollups, which outlive the log.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delivery_totals(&mut self) -> Result<DeliveryTotals, StoreError> {
        let mut row = self.tx.one(TOTALS, params![self.account]).await?;
        Ok(DeliveryTotals { total: row.take()?, succeeded: row.take()?, failed: row.take()? })
    }
}

fn read(row: &mut Row) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        id: row.take()?,
        webhook_id: row.take()?,
        event_type: read_event(&row.take::<String>()?)?,
        channel: row.take()?,
        message_id: row.take()?,
        status: read_status(&row.take::<String>()?)?,
        at: row.take()?,
        due_at: row.take()?,
        attempts: row.take()?,
        http_status: row.take()?,
        error: row.take()?,
        response_body: row.take()?,
        response_ms: row.take()?,
        last_attempt_at: row.take()?,
        delivered_at: row.take()?,
    })
}

fn read_status(text: &str) -> Result<DeliveryStatus, StoreError> {
    DeliveryStatus::parse(text).ok_or_else(|| StoreError::Corrupt(format!("delivery status {text}")))
}
