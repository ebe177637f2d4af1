//! What accounts did, counted by the hour: written with what is counted, read as sums.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use offhook_domain::usage::UsageDelta;
use offhook_domain::{NumberId, Timestamp};

use crate::engine::{Engine, params, statements};
use crate::error::StoreError;
use crate::scope::Scope;

/// Rows that one hour of one number and agent may be spread over, so that writers need not queue for one.
const SHARDS: u64 = 16;

statements! {
    COUNT = "INSERT INTO usage_hours (account_id, hour, number_id, agent_key, shard, messages_in, messages_out, segments,
        webhooks, webhooks_succeeded, webhooks_failed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (account_id, hour, number_id, agent_key, shard) DO UPDATE SET
        messages_in = usage_hours.messages_in + excluded.messages_in,
        messages_out = usage_hours.messages_out + excluded.messages_out,
        segments = usage_hours.segments + excluded.segments,
        webhooks = usage_hours.webhooks + excluded.webhooks,
        webhooks_succeeded = usage_hours.webhooks_succeeded + excluded.webhooks_succeeded,
        webhooks_failed = usage_hours.webhooks_failed + excluded.webhooks_failed";
}

impl Scope<'_> {
    /// Adds to the hour of `at`. `agent_key` is the agent's id or empty; `shard_key` is anything that differs
    /// between writers at the same time, such as the conversation's id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_usage(
        &mut self,
        at: Timestamp,
        number_id: Option<&NumberId>,
        agent_key: &str,
        shard_key: &str,
        delta: UsageDelta,
    ) -> Result<(), StoreError> {
        let number = number_id.map_or_else(String::new, ToString::to_string);
        let values = params![
            self.account,
            at.hour_start(),
            number,
            agent_key,
            shard(self.tx.engine(), shard_key),
            delta.messages_in,
            delta.messages_out,
            delta.segments,
            delta.webhooks,
            delta.webhooks_succeeded,
            delta.webhooks_failed
        ];
        self.tx.run(COUNT, values).await
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
