//! Rates that all nodes share: a bucket of tokens for each resource, kept as the one moment at which it is full again.
//!
//! In: how many tokens are wanted, and how fast they come. Out: how many there were, or when there will be one. Never here:
//! what a token allows.

use std::time::Duration;

use offhook_domain::Timestamp;

use crate::engine::{Tx, params, statements};
use crate::error::StoreError;

statements! {
    TAKE = "UPDATE rate_buckets SET full_at = CASE WHEN full_at > $1 THEN full_at ELSE $2 END + $3
        WHERE resource = $4 AND full_at <= $5";
    OPEN = "INSERT INTO rate_buckets (resource, full_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    FULL_AT = "SELECT full_at FROM rate_buckets WHERE resource = $1";
    PRUNE = "DELETE FROM rate_buckets WHERE full_at < $1";
}

/// How fast tokens come, and how many a bucket holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// From one token to the next.
    pub interval: Duration,
    /// Tokens of a full bucket; at least one.
    pub burst: u32,
}

/// What came of asking for tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// So many, at least one and at most as many as were wanted.
    Tokens(u32),
    /// None; the next one is there after this.
    NoneFor(Duration),
}

impl Tx {
    /// Takes up to `wanted` tokens out of a bucket. Exact whoever else takes at the same time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_tokens(
        &mut self,
        resource: &str,
        rate: Rate,
        wanted: u32,
        now: Timestamp,
    ) -> Result<Taken, StoreError> {
        if self.take_exactly(resource, rate, wanted, now).await? {
            return Ok(Taken::Tokens(wanted));
        }
        self.run(OPEN, params![resource, now]).await?;
        let full_at: Timestamp = self.one(FULL_AT, params![resource]).await?.take()?;
        let owed = full_at.since(now);
        match rate.left(owed).min(wanted) {
            0 => Ok(Taken::NoneFor(rate.wait(owed))),
            left if self.take_exactly(resource, rate, left, now).await? => Ok(Taken::Tokens(left)),
            // Somebody was faster.
            _ => Ok(Taken::NoneFor(rate.interval)),
        }
    }

    async fn take_exactly(
        &mut self,
        resource: &str,
        rate: Rate,
        count: u32,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let cost = rate.interval.saturating_mul(count);
        let Some(room) = rate.span().checked_sub(cost) else { return Ok(false) };
        let latest = now.plus(room);
        let taken = params![now, now, cost, resource, latest];
        Ok(self.change(TAKE, taken).await? == 1)
    }

    /// Forgets buckets that were full before then: a bucket that is not known is full.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prune_rate_buckets(&mut self, before: Timestamp) -> Result<(), StoreError> {
        self.run(PRUNE, params![before]).await
    }
}

impl Rate {
    /// From empty to full.
    fn span(self) -> Duration {
        self.interval.saturating_mul(self.burst)
    }

    /// The tokens of a bucket that is full again after `owed`.
    fn left(self, owed: Duration) -> u32 {
        let room = self.span().saturating_sub(owed).as_micros();
        let tokens = room.checked_div(self.interval.as_micros()).unwrap_or(u128::from(u32::MAX));
        u32::try_from(tokens).unwrap_or(u32::MAX)
    }

    /// How long until such a bucket has a token.
    fn wait(self, owed: Duration) -> Duration {
        owed.saturating_add(self.interval).saturating_sub(self.span())
    }
}
