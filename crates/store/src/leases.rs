//! Leases: who works on what, until when. Only PostgreSQL needs them: a SQLite file has one process.
//!
//! In: how long. Out: whose it is. When a lease ends is told by the database's clock alone, so that two nodes whose own
//! clocks differ can't both take a line for theirs.

use std::time::Duration;

use crate::engine::{Tx, params, statements, statements_for_many};
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
    RELEASE = "UPDATE leases SET until = 0 WHERE resource = $1 AND owner = $2 AND epoch = $3";
}

statements_for_many! {
    CONFIRM = {
        one: "UPDATE leases SET until = until WHERE resource = $1 AND owner = $2 AND epoch = $3",
        all: "UPDATE leases l SET until = l.until
            FROM unnest($1::TEXT[], $2::TEXT[], $3::BIGINT[]) WITH ORDINALITY AS e (resource, owner, epoch, n)
            WHERE l.resource = e.resource AND l.owner = e.owner AND l.epoch = e.epoch RETURNING e.n",
    };
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
        self.row(ACQUIRE, params![resource, owner, lasting]).await?.map(|mut row| row.take()).transpose()
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
        Ok(self.change(RENEW, params![lasting, resource, owner, epoch]).await? == 1)
    }

    /// Whether a resource is still held under this epoch; it can't change hands before this transaction ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn confirm_lease(&mut self, resource: &str, owner: &str, epoch: i64) -> Result<bool, StoreError> {
        Ok(self.confirm_leases(&[(resource, owner, epoch)]).await? == [true])
    }

    /// As [`Tx::confirm_lease`], of many, each with its owner and epoch. To be given in the order of their names, so that two
    /// transactions can't wait for each other.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn confirm_leases(&mut self, held: &[(&str, &str, i64)]) -> Result<Vec<bool>, StoreError> {
        let each = held.iter().map(|(resource, owner, epoch)| params![*resource, *owner, *epoch]);
        self.change_each(CONFIRM, each.collect()).await
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
