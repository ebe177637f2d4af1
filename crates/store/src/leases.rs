//! Leases: who works on what, until when. Only PostgreSQL needs them: a SQLite file has one process.
//!
//! In: how long. Out: whose it is. When a lease ends is told by the database's clock alone, so that two nodes whose own
//! clocks differ can't both take a line for theirs.

use std::time::Duration;

use crate::engine::{Tx, params, statements};
use crate::error::StoreError;

statements! {
    // Without a WHERE, SQLite would read ON CONFLICT as the beginning of a join.
    ACQUIRE = "INSERT INTO leases (resource, owner, until, epoch)
        SELECT $1, $2, now + $3, 1 FROM database_clock WHERE now > 0
        ON CONFLICT (resource) DO UPDATE SET owner = excluded.owner, until = excluded.until, epoch = leases.epoch + 1
        WHERE leases.until < (SELECT now FROM database_clock) RETURNING epoch";
    RENEW = "UPDATE leases SET until = (SELECT now FROM database_clock) + $1
        WHERE resource = $2 AND owner = $3 AND epoch = $4 AND until >= (SELECT now FROM database_clock)";
    OTHERS = "SELECT resource FROM leases WHERE owner <> $1 AND until >= (SELECT now FROM database_clock)";
    CONFIRM = "UPDATE leases SET until = until WHERE resource = $1 AND owner = $2 AND epoch = $3";
    RELEASE = "UPDATE leases SET until = 0 WHERE resource = $1 AND owner = $2 AND epoch = $3";
}

impl Tx {
    /// Takes a resource that nobody holds, for so long; the new epoch, or `None` when somebody holds it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn acquire_lease(
        &mut self,
        resource: &str,
        owner: &str,
        lasting: Duration,
    ) -> Result<Option<i64>, StoreError> {
        self.row(ACQUIRE, params![resource, owner, micros(lasting)]).await?.map(|mut row| row.take()).transpose()
    }

    /// Holds a resource for so long from now on; false when it was lost, which is for good.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn renew_lease(
        &mut self,
        resource: &str,
        owner: &str,
        epoch: i64,
        lasting: Duration,
    ) -> Result<bool, StoreError> {
        Ok(self.change(RENEW, params![micros(lasting), resource, owner, epoch]).await? == 1)
    }

    /// Whether a resource is still held under this epoch; it can't change hands before this transaction ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn confirm_lease(&mut self, resource: &str, owner: &str, epoch: i64) -> Result<bool, StoreError> {
        Ok(self.change(CONFIRM, params![resource, owner, epoch]).await? == 1)
    }

    /// What other nodes hold.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn leases_of_others(&mut self, owner: &str) -> Result<Vec<String>, StoreError> {
        self.rows(OTHERS, params![owner]).await?.into_iter().map(|mut row| row.take()).collect()
    }

    /// Lets a resource go.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release_lease(&mut self, resource: &str, owner: &str, epoch: i64) -> Result<(), StoreError> {
        self.run(RELEASE, params![resource, owner, epoch]).await
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
