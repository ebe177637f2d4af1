//! Events and the log of their deliveries, as an account sees them. The work of delivering is in `delivery_work`.

use offhook_domain::webhook::{Delivery, DeliveryStatus, EventType, Webhook};
use offhook_domain::{AccountId, AgentId, ConversationId, DeliveryId, EventId, Id, MessageId, Timestamp};

use crate::engine::{Row, Tx, Value, params, statements, statements_for_many};
use crate::error::StoreError;
use crate::scope::{Page, Scope, Window};
use crate::webhooks::{agent_key, read_event};

statements! {
    COPY_EVENT = "INSERT INTO events (id, account_id, body) SELECT $1, e.account_id, e.body FROM events e
        JOIN deliveries d ON d.event_id = e.id WHERE d.account_id = $2 AND d.id = $3";
    INSERT_DONE = "INSERT INTO deliveries (id, account_id, agent_key, webhook_id, event_id, event_type, channel, message_id,
        lane, status, at, due_at, attempts, http_status, error, response_body, response_ms, last_attempt_at, delivered_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12, $13, $14, $15, $16, $17, $18)";
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

statements_for_many! {
    INSERT_EVENT = {
        one: "INSERT INTO events (id, account_id, body) VALUES ($1, $2, $3)",
        all: "INSERT INTO events (id, account_id, body) SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[])",
    };
    INSERT = {
        one: "INSERT INTO deliveries (id, account_id, agent_key, webhook_id, event_id, event_type, channel, message_id,
            lane, status, at, due_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', $10, $10)",
        all: "INSERT INTO deliveries (id, account_id, agent_key, webhook_id, event_id, event_type, channel, message_id,
            lane, at, status, due_at)
            SELECT e.*, 'pending', e.at FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[],
                $7::TEXT[], $8::TEXT[], $9::TEXT[], $10::BIGINT[])
            AS e (id, account_id, agent_key, webhook_id, event_id, event_type, channel, message_id, lane, at)",
    };
    STATE = {
        one: "SELECT metadata FROM conversations WHERE account_id = $1 AND id = $2",
        all: "SELECT e.n, c.metadata FROM unnest($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS e (account_id, id, n)
            JOIN conversations c ON c.account_id = e.account_id AND c.id = e.id",
    };
}

/// An event to deliver, with the bytes that will be signed and sent.
#[derive(Clone)]
pub struct Emission<'a> {
    pub webhook: &'a Webhook,
    pub event: NewEvent<'a>,
    pub body: String,
}

impl Tx {
    /// Keeps events and the work of delivering them, whose ids it tells. Counting them as usage is the caller's, who counts more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_deliveries(&mut self, emissions: Vec<Emission<'_>>) -> Result<Vec<DeliveryId>, StoreError> {
        let (mut events, mut deliveries, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        for Emission { webhook, event, body } in emissions {
            let (event_id, id) = (EventId::generate(event.at), DeliveryId::generate(event.at));
            deliveries.push(pending(&id, &webhook.account_id, webhook, &event, &event_id));
            events.push(params![&event_id, &webhook.account_id, body]);
            ids.push(id);
        }
        self.run_each(INSERT_EVENT, events).await?;
        self.run_each(INSERT, deliveries).await?;
        Ok(ids)
    }

    /// What customers keep with conversations, which events carry. In order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn conversation_states(
        &mut self,
        conversations: &[(&AccountId, &ConversationId)],
    ) -> Result<Vec<Option<serde_json::Value>>, StoreError> {
        let asked = conversations.iter().map(|(account, id)| params![*account, *id]).collect();
        let found = self.rows_each(STATE, asked).await?;
        found.into_iter().map(|rows| rows.into_iter().next().map_or(Ok(None), |mut row| row.take())).collect()
    }
}

fn pending(
    id: &DeliveryId,
    account: &AccountId,
    webhook: &Webhook,
    event: &NewEvent<'_>,
    event_id: &EventId,
) -> [Value; 10] {
    params![
        id,
        account,
        agent_key(webhook.agent_id.as_ref()),
        &webhook.id,
        event_id,
        event.event_type.as_str(),
        event.channel,
        event.message_id,
        event.lane,
        event.at
    ]
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
        let id = DeliveryId::generate(at);
        self.tx.run(INSERT.one, pending(&id, self.account, webhook, &event, &event_id)).await?;
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
        self.tx.run(INSERT_EVENT.one, params![&event_id, self.account, body]).await?;
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
