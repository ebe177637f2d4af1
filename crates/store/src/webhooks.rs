//! Where a customer wants its events: at most one endpoint per account and one per agent.

use offhook_domain::webhook::{EventType, Webhook, WebhookStatus};
use offhook_domain::{AccountId, AgentId, Id, Timestamp, WebhookId};

use crate::engine::{Row, Tx, params, statements, statements_for_many};
use crate::error::StoreError;
use crate::scope::Scope;

statements! {
    OWN = "SELECT id, account_id, agent_key, url, sealed_secret, status, context_limit, timeout_seconds, events, external_id,
        created_at FROM webhooks WHERE account_id = $1 AND agent_key = $2";
    // An agent's id sorts behind the empty key of the account's own.
    BY_ID = "SELECT id, account_id, agent_key, url, sealed_secret, status, context_limit, timeout_seconds, events, external_id,
        created_at FROM webhooks WHERE id = $1";
    PUT = "INSERT INTO webhooks (id, account_id, agent_key, url, sealed_secret, status, context_limit, timeout_seconds,
        events, external_id, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (account_id, agent_key) DO UPDATE SET url = excluded.url,
        sealed_secret = CASE WHEN $12 = 1 THEN webhooks.sealed_secret ELSE excluded.sealed_secret END,
        status = excluded.status, context_limit = excluded.context_limit, timeout_seconds = excluded.timeout_seconds,
        events = excluded.events, external_id = excluded.external_id RETURNING id, created_at, sealed_secret";
    DELETE = "DELETE FROM webhooks WHERE account_id = $1 AND agent_key = $2 RETURNING id";
    DISABLE = "UPDATE webhooks SET status = 'disabled' WHERE id = $1 AND url = $2 AND sealed_secret = $3";
}

statements_for_many! {
    CHOOSE = {
        one: "SELECT id, account_id, agent_key, url, sealed_secret, status, context_limit, timeout_seconds, events,
            external_id, created_at FROM webhooks WHERE account_id = $1 AND agent_key IN ('', $2)
            ORDER BY agent_key DESC LIMIT 1",
        all: "SELECT e.n, f.* FROM unnest($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS e (account_id, agent_key, n)
            CROSS JOIN LATERAL (SELECT w.id, w.account_id, w.agent_key, w.url, w.sealed_secret, w.status, w.context_limit,
                w.timeout_seconds, w.events, w.external_id, w.created_at FROM webhooks w
                WHERE w.account_id = e.account_id AND w.agent_key IN ('', e.agent_key)
                ORDER BY w.agent_key DESC LIMIT 1) f",
    };
}

impl Tx {
    /// The endpoints that hear of agents' events: the agent's where it has one, else the account's. In order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn webhooks_for(
        &mut self,
        owners: &[(&AccountId, Option<&AgentId>)],
    ) -> Result<Vec<Option<Webhook>>, StoreError> {
        let asked = owners.iter().map(|(account, agent)| params![*account, agent_key(*agent)]).collect();
        let found = self.rows_each(CHOOSE, asked).await?;
        found.into_iter().map(|rows| rows.into_iter().next().map(read).transpose()).collect()
    }
}

impl Scope<'_> {
    /// The endpoint of an agent, or with `None` the account's own.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn webhook(&mut self, agent: Option<&AgentId>) -> Result<Option<Webhook>, StoreError> {
        self.tx.row(OWN, params![self.account, agent_key(agent)]).await?.map(read).transpose()
    }

    /// The endpoint that hears of an agent's events: the agent's where it has one, else the account's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn webhook_for(&mut self, agent: Option<&AgentId>) -> Result<Option<Webhook>, StoreError> {
        self.tx.row(CHOOSE.one, params![self.account, agent_key(agent)]).await?.map(read).transpose()
    }

    /// Creates an endpoint or replaces the one there is, which keeps its id and its age, and with `keep_secret` its
    /// secret, whoever else may be replacing it. The result is what is kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_webhook(&mut self, webhook: Webhook, keep_secret: bool) -> Result<Webhook, StoreError> {
        let events: Vec<_> = webhook.events.iter().map(|event| event.as_str().to_owned()).collect();
        let values = params![
            &webhook.id,
            self.account,
            agent_key(webhook.agent_id.as_ref()),
            &webhook.url,
            &webhook.sealed_secret,
            webhook.status.as_str(),
            webhook.context_limit,
            webhook.timeout_seconds,
            events.as_slice(),
            webhook.external_id.as_ref(),
            webhook.created_at,
            keep_secret
        ];
        // Empty lists are kept as NULL, which this column does not take: an endpoint wants something.
        let mut row = self.tx.one(PUT, values).await?;
        Ok(Webhook { id: row.take()?, created_at: row.take()?, sealed_secret: row.take()?, ..webhook })
    }

    /// Deletes an endpoint; its id, where there was one. What waits for it ends failed, by its worker.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_webhook(&mut self, agent: Option<&AgentId>) -> Result<Option<WebhookId>, StoreError> {
        self.tx.row(DELETE, params![self.account, agent_key(agent)]).await?.map(|mut row| row.take()).transpose()
    }
}

impl Tx {
    /// An endpoint of any account, for its worker.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn webhook_by_id(&mut self, id: &WebhookId) -> Result<Option<Webhook>, StoreError> {
        self.row(BY_ID, params![id]).await?.map(read).transpose()
    }

    /// Switches off an endpoint that said it is gone, unless it was replaced in the meantime.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn disable_webhook(&mut self, webhook: &Webhook) -> Result<(), StoreError> {
        self.run(DISABLE, params![&webhook.id, &webhook.url, &webhook.sealed_secret]).await
    }
}

/// How an owner is kept: the agent's id, or empty for the account.
pub(crate) fn agent_key(agent: Option<&AgentId>) -> &str {
    agent.map_or("", AgentId::as_str)
}

fn read(mut row: Row) -> Result<Webhook, StoreError> {
    Ok(Webhook {
        id: row.take()?,
        account_id: row.take()?,
        agent_id: read_owner(&row.take::<String>()?)?,
        url: row.take()?,
        sealed_secret: row.take()?,
        status: read_status(&row.take::<String>()?)?,
        context_limit: row.take()?,
        timeout_seconds: row.take()?,
        events: row.take::<Vec<String>>()?.iter().map(|text| read_event(text)).collect::<Result<_, _>>()?,
        external_id: row.take()?,
        created_at: row.take::<Timestamp>()?,
    })
}

fn read_owner(key: &str) -> Result<Option<AgentId>, StoreError> {
    if key.is_empty() {
        return Ok(None);
    }
    AgentId::parse(key).map(Some).map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn read_status(text: &str) -> Result<WebhookStatus, StoreError> {
    WebhookStatus::parse(text).ok_or_else(|| StoreError::Corrupt(format!("webhook status {text}")))
}

pub(crate) fn read_event(text: &str) -> Result<EventType, StoreError> {
    EventType::parse(text).ok_or_else(|| StoreError::Corrupt(format!("event type {text}")))
}
