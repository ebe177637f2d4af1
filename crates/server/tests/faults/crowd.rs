//! Thousands of agents, each with a webhook of its own and events that wait for it, made in the database of a stopped
//! server as the API would have made them one by one.

use offhook_domain::{AccountId, AgentId, Clock, DeliveryId, EventId, Id, SystemClock, WebhookId};
use offhook_store::engine::IntoValue;
use offhook_store::{Sql, Store, StoreError, Tx};

use crate::database::Database;

const OF_FIRST: Sql = Sql("SELECT account_id, sealed_secret, events FROM webhooks WHERE url = $1");
const AGENT: Sql = Sql("INSERT INTO agents (id, account_id, name, profile, created_at)
    SELECT $1, a.account_id, $2, a.profile, a.created_at FROM (SELECT * FROM agents LIMIT 1) AS a");
const WEBHOOK: Sql = Sql("INSERT INTO webhooks (id, account_id, agent_key, url, sealed_secret, status, context_limit,
    timeout_seconds, events, external_id, created_at) VALUES ($1, $2, $3, $4, $5, 'active', 10, 5, $6, NULL, $7)");
const EVENT: Sql = Sql("INSERT INTO events (id, account_id, body) VALUES ($1, $2, $3)");
const DELIVERY: Sql =
    Sql("INSERT INTO deliveries (id, account_id, agent_key, webhook_id, event_id, event_type, channel,
    lane, status, at, due_at) VALUES ($1, $2, $3, $4, $5, 'agent.message', 'sms', $6, 'pending', $7, $8)");
const PORTION: usize = 500;

/// Who can make a crowd: an account with a webhook to take the secret from.
pub struct Crowd {
    store: Store,
    clock: SystemClock,
    account: AccountId,
    secret: String,
    events: String,
}

impl Crowd {
    /// `url` is the webhook that is there.
    pub async fn of(database: &Database, url: &str) -> Self {
        let (store, url) = (database.open().await, url.to_owned());
        let read = async move |tx: &mut Tx| -> Result<_, StoreError> {
            let mut row = tx.one(OF_FIRST, [url.as_str().into_value()]).await?;
            Ok((row.take()?, row.take()?, row.take()?))
        };
        let (account, secret, events) = store.read(read).await.unwrap();
        Self { store, clock: SystemClock::default(), account, secret, events }
    }

    /// An agent for each URL, with so many events that wait, each of another conversation.
    pub async fn grow(&self, urls: impl Iterator<Item = String>, waiting: usize) {
        let urls: Vec<String> = urls.collect();
        for portion in urls.chunks(PORTION) {
            let rows: Vec<_> = portion.iter().flat_map(|url| self.endpoint(url, waiting)).collect();
            let write = async move |tx: &mut Tx| {
                for row in &rows {
                    match row.clone() {
                        Row::Agent(values) => tx.run(AGENT, values).await?,
                        Row::Webhook(values) => tx.run(WEBHOOK, values).await?,
                        Row::Event(values) => tx.run(EVENT, values).await?,
                        Row::Delivery(values) => tx.run(DELIVERY, values).await?,
                    }
                }
                Ok::<_, StoreError>(())
            };
            self.store.write(write).await.unwrap();
        }
    }

    fn endpoint(&self, url: &str, waiting: usize) -> Vec<Row> {
        let account = &self.account;
        let now = self.clock.now();
        let (agent, webhook) = (AgentId::generate(now), WebhookId::generate(now));
        let mut rows = vec![
            Row::Agent([(&agent).into_value(), format!("of {url}").into_value()]),
            Row::Webhook([
                (&webhook).into_value(),
                account.into_value(),
                (&agent).into_value(),
                url.into_value(),
                self.secret.as_str().into_value(),
                self.events.as_str().into_value(),
                now.into_value(),
            ]),
        ];
        for n in 0..waiting {
            let at = self.clock.now();
            let (event, delivery) = (EventId::generate(at), DeliveryId::generate(at));
            let body = format!(r#"{{"event": "agent.message", "n": {n}}}"#);
            rows.push(Row::Event([(&event).into_value(), account.into_value(), body.into_value()]));
            rows.push(Row::Delivery([
                (&delivery).into_value(),
                account.into_value(),
                (&agent).into_value(),
                (&webhook).into_value(),
                (&event).into_value(),
                format!("lane {n}").into_value(),
                at.into_value(),
                at.into_value(),
            ]));
        }
        rows
    }
}

#[derive(Clone)]
enum Row {
    Agent([offhook_store::engine::Value; 2]),
    Webhook([offhook_store::engine::Value; 7]),
    Event([offhook_store::engine::Value; 3]),
    Delivery([offhook_store::engine::Value; 8]),
}
