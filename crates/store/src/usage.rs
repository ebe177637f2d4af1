//! What accounts did, counted by the hour: written with what is counted, read as sums.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use offhook_domain::usage::UsageDelta;
use offhook_domain::{AgentId, Country, E164, NumberId, Timestamp};

use crate::engine::{Engine, Row, params, statements};
use crate::error::StoreError;
use crate::scope::Scope;
use crate::sums::UsageRow;

/// Rows that one hour of one number and agent may be spread over, so that writers need not queue for one.
const SHARDS: u64 = 16;

statements! {
    TOTALS = "SELECT CAST(COALESCE(SUM(messages_in), 0) AS BIGINT), CAST(COALESCE(SUM(messages_out), 0) AS BIGINT),
        CAST(COALESCE(SUM(segments), 0) AS BIGINT), CAST(COALESCE(SUM(webhooks), 0) AS BIGINT),
        CAST(COALESCE(SUM(webhooks_succeeded), 0) AS BIGINT), CAST(COALESCE(SUM(webhooks_failed), 0) AS BIGINT),
        CAST(COALESCE(SUM(calls), 0) AS BIGINT), CAST(COALESCE(SUM(call_seconds), 0) AS BIGINT)
        FROM usage_hours WHERE account_id = $1 AND hour >= $2";
    BY_DAY = "SELECT hour / 86400000000, CAST(SUM(messages_in + messages_out) AS BIGINT), CAST(SUM(webhooks) AS BIGINT),
        CAST(SUM(calls) AS BIGINT), CAST(SUM(call_seconds) AS BIGINT)
        FROM usage_hours WHERE account_id = $1 AND hour >= $2 GROUP BY hour / 86400000000";
    BY_NUMBER = "SELECT number_id, CAST(SUM(messages_in + messages_out) AS BIGINT), CAST(SUM(calls) AS BIGINT)
        FROM usage_hours WHERE account_id = $1 AND number_id <> '' GROUP BY number_id";
    NUMBERS = "SELECT n.id, n.phone_number, n.country, n.status, n.agent_id, a.name FROM numbers n
        LEFT JOIN agents a ON a.id = n.agent_id AND a.account_id = n.account_id
        WHERE n.account_id = $1";
    BY_AGENT = "SELECT agent_key, CAST(SUM(messages_in + messages_out) AS BIGINT), CAST(SUM(calls) AS BIGINT),
        CAST(SUM(call_seconds) AS BIGINT) FROM usage_hours WHERE account_id = $1 AND hour >= $2 AND hour < $3 GROUP BY agent_key";
    AGENTS = "SELECT id, name FROM agents WHERE account_id = $1 ORDER BY id DESC";
}

/// What was done on one day, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayUsage {
    /// Days since 1970-01-01.
    pub day: i64,
    pub messages: i64,
    pub webhooks: i64,
    pub calls: i64,
    pub call_seconds: i64,
}

/// A number and the messages it ever sent or received.
#[derive(Debug, Clone)]
pub struct NumberUsage {
    pub id: NumberId,
    pub phone_number: E164,
    pub country: Country,
    pub status: String,
    pub agent_id: Option<AgentId>,
    pub agent_name: Option<String>,
    pub messages: i64,
    pub calls: i64,
}

/// An agent's messages and calls. Without a name it was deleted; with an empty key there was none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentUsage {
    pub agent_key: String,
    pub name: Option<String>,
    pub messages: i64,
    pub calls: i64,
    pub call_seconds: i64,
}

impl Scope<'_> {
    /// Adds to the hour of `at`. `agent_key` is the agent's id or empty; `shard_key` is anything that differs
    /// between writers at the same time, such as the conversation's id. Written at the end of the transaction.
    pub fn count_usage(
        &mut self,
        at: Timestamp,
        number_id: Option<&NumberId>,
        agent_key: &str,
        shard_key: &str,
        delta: UsageDelta,
    ) {
        let row = UsageRow {
            account: self.account.clone(),
            hour: at.hour_start(),
            number_id: number_id.map_or_else(String::new, ToString::to_string),
            agent_key: agent_key.to_owned(),
            shard: shard(self.tx.engine(), shard_key),
        };
        self.tx.sums.add_to_usage(row, delta);
    }

    /// What was done since the hour of `since`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn usage_since(&mut self, since: Timestamp) -> Result<UsageDelta, StoreError> {
        let mut row = self.tx.one(TOTALS, params![self.account, since.hour_start()]).await?;
        Ok(UsageDelta {
            messages_in: row.take()?,
            messages_out: row.take()?,
            segments: row.take()?,
            webhooks: row.take()?,
            webhooks_succeeded: row.take()?,
            webhooks_failed: row.take()?,
            calls: row.take()?,
            call_seconds: row.take()?,
        })
    }

    /// What was done day by day since a day's start, in no order, quiet days left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn usage_by_day(&mut self, since: Timestamp) -> Result<Vec<DayUsage>, StoreError> {
        let rows = self.tx.rows(BY_DAY, params![self.account, since]).await?;
        let read = |mut row: Row| {
            Ok(DayUsage {
                day: row.take()?,
                messages: row.take()?,
                webhooks: row.take()?,
                calls: row.take()?,
                call_seconds: row.take()?,
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// What each number did, the newest first, released ones too.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn usage_by_number(&mut self) -> Result<Vec<NumberUsage>, StoreError> {
        let mut counts = HashMap::new();
        for mut row in self.tx.rows(BY_NUMBER, params![self.account]).await? {
            counts.insert(row.take::<NumberId>()?, (row.take::<i64>()?, row.take::<i64>()?));
        }
        let mut numbers = Vec::new();
        for mut row in self.tx.rows(NUMBERS, params![self.account]).await? {
            let id: NumberId = row.take()?;
            let (messages, calls) = counts.remove(&id).unwrap_or((0, 0));
            numbers.push(NumberUsage {
                messages,
                calls,
                id,
                phone_number: row.take()?,
                country: row.take()?,
                status: row.take()?,
                agent_id: row.take()?,
                agent_name: row.take()?,
            });
        }
        numbers.sort_by(|a, b| b.id.cmp(&a.id));
        Ok(numbers)
    }

    /// What each agent did from one hour to before another: every agent there is, the newest first, then those
    /// that are gone and did something.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn usage_by_agent(&mut self, from: Timestamp, to: Timestamp) -> Result<Vec<AgentUsage>, StoreError> {
        let mut gone = Vec::new();
        let values = params![self.account, from.hour_start(), to];
        for mut row in self.tx.rows(BY_AGENT, values).await? {
            gone.push(AgentUsage {
                agent_key: row.take()?,
                messages: row.take()?,
                calls: row.take()?,
                call_seconds: row.take()?,
                name: None,
            });
        }
        let mut agents = Vec::new();
        for mut row in self.tx.rows(AGENTS, params![self.account]).await? {
            let (agent_key, name): (String, _) = (row.take()?, row.take()?);
            let place = gone.iter().position(|usage| usage.agent_key == agent_key);
            let used = place.map(|place| gone.remove(place));
            let (messages, calls, call_seconds) =
                used.map_or((0, 0, 0), |used| (used.messages, used.calls, used.call_seconds));
            agents.push(AgentUsage { agent_key, name: Some(name), messages, calls, call_seconds });
        }
        gone.retain(|usage| usage.messages > 0 || usage.calls > 0);
        gone.sort_by(|a, b| b.agent_key.cmp(&a.agent_key));
        agents.append(&mut gone);
        Ok(agents)
    }
}

/// SQLite has one writer, who can't meet himself.
fn shard(engine: Engine, key: &str) -> i64 {
    static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    match engine {
        Engine::Sqlite => 0,
        Engine::Postgres => (HASHER.hash_one(key) % SHARDS) as i64,
    }
}
