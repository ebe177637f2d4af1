//! Requests that must take effect once: the first outcome under an `Idempotency-Key`, kept 24 hours.

use std::time::Duration;

use offhook_domain::Timestamp;

use crate::engine::{Tx, params, statements};
use crate::error::StoreError;
use crate::scope::Scope;

/// How long an outcome is replayed (contract, "Conventions").
pub const KEPT: Duration = Duration::from_secs(24 * 3600);

statements! {
    CLAIM = "INSERT INTO idempotency (account_id, key, fingerprint, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    LOOK = "SELECT fingerprint, status, body, at FROM idempotency WHERE account_id = $1 AND key = $2";
    // Only the claim that was made then: after a day the key may be another request's.
    FINISH = "UPDATE idempotency SET status = $1, body = $2 WHERE account_id = $3 AND key = $4 AND at = $5";
    FORGET = "DELETE FROM idempotency WHERE account_id = $1 AND key = $2 AND at = $3";
    PRUNE = "DELETE FROM idempotency WHERE at < $1";
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: it is now this request's.
    Fresh,
    /// The first request under it is not done yet.
    InProgress,
    /// It was used with another request.
    Reused,
    /// It is done; this was its outcome.
    Done { status: i64, body: Option<String> },
}

impl Scope<'_> {
    /// Claims a key for the request with this fingerprint.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_once(&mut self, key: &str, fingerprint: &str, at: Timestamp) -> Result<Claim, StoreError> {
        loop {
            if self.tx.change(CLAIM, params![self.account, key, fingerprint, at]).await? == 1 {
                return Ok(Claim::Fresh);
            }
            let Some((known, since)) = self.find_once(key, fingerprint).await? else { continue };
            if at.since(since) <= KEPT {
                return Ok(known);
            }
            self.forget_once(key, since).await?;
        }
    }

    /// What is known of a key, without claiming it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn look_once(&mut self, key: &str, fingerprint: &str, at: Timestamp) -> Result<Claim, StoreError> {
        let found = self.find_once(key, fingerprint).await?;
        Ok(found.filter(|(_, since)| at.since(*since) <= KEPT).map_or(Claim::Fresh, |(known, _)| known))
    }

    async fn find_once(&mut self, key: &str, fingerprint: &str) -> Result<Option<(Claim, Timestamp)>, StoreError> {
        let Some(mut row) = self.tx.row(LOOK, params![self.account, key]).await? else { return Ok(None) };
        let (known, status): (String, Option<i64>) = (row.take()?, row.take()?);
        let (body, since): (Option<String>, Timestamp) = (row.take()?, row.take()?);
        let claim = match status {
            _ if known != fingerprint => Claim::Reused,
            Some(status) => Claim::Done { status, body },
            None => Claim::InProgress,
        };
        Ok(Some((claim, since)))
    }

    /// Keeps the outcome under a key claimed at `claimed_at`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish_once(
        &mut self,
        key: &str,
        claimed_at: Timestamp,
        status: i64,
        body: Option<&str>,
    ) -> Result<(), StoreError> {
        self.tx.run(FINISH, params![status, body, self.account, key, claimed_at]).await
    }

    /// Frees a key claimed at `claimed_at` whose request came to nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_once(&mut self, key: &str, claimed_at: Timestamp) -> Result<(), StoreError> {
        self.tx.run(FORGET, params![self.account, key, claimed_at]).await
    }
}

impl Tx {
    /// Drops outcomes that are past their time; tells how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prune_idempotency(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        self.change(PRUNE, params![now.minus(KEPT)]).await
    }
}
