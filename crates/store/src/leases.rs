//! Leases: who works on what, until when. Only PostgreSQL needs them: a SQLite file has one process.

use offhook_domain::Timestamp;

use crate::engine::{Tx, params, statements};
use crate::error::StoreError;

statements! {
    ACQUIRE = "INSERT INTO leases (resource, owner, until, epoch) VALUES ($1, $2, $3, 1)
        ON CONFLICT (resource) DO UPDATE SET owner = excluded.owner, until = excluded.until, epoch = leases.epoch + 1
        WHERE leases.until < $4 RETURNING epoch";
    RENEW = "UPDATE leases SET until = $1 WHERE resource = $2 AND owner = $3 AND epoch = $4 AND until >= $5";
    OTHERS = "SELECT resource FROM leases WHERE owner <> $1 AND until >= $2";
    CONFIRM = "UPDATE leases SET until = until WHERE resource = $1 AND owner = $2 AND epoch = $3";
    RELEASE = "UPDATE leases SET until = 0 WHERE resource = $1 AND owner = $2 AND epoch = $3";
}

impl Tx {
    /// Takes a resource that nobody holds at `now`; the new epoch, or `None` when somebody does.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn acquire_lease(
        &mut self,
        resource: &str,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        self.row(ACQUIRE, params![resource, owner, until, now]).await?.map(|mut row| row.take()).transpose()
    }

    /// Holds a resource longer; false when it was lost, which is for good.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn renew_lease(
        &mut self,
        resource: &str,
        owner: &str,
        epoch: i64,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.change(RENEW, params![until, resource, owner, epoch, now]).await? == 1)
    }

    /// Whether a resource is still held under this epoch; it can't change hands before this transaction ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn confirm_lease(&mut self, resource: &str, owner: &str, epoch: i64) -> Result<bool, StoreError> {
        Ok(self.change(CONFIRM, params![resource, owner, epoch]).await? == 1)
    }

    /// What other nodes hold at `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn leases_of_others(&mut self, owner: &str, now: Timestamp) -> Result<Vec<String>, StoreError> {
        self.rows(OTHERS, params![owner, now]).await?.into_iter().map(|mut row| row.take()).collect()
    }

    /// Lets a resource go.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release_lease(&mut self, resource: &str, owner: &str, epoch: i64) -> Result<(), StoreError> {
        self.run(RELEASE, params![resource, owner, epoch]).await
    }
}
