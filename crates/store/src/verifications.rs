//! Codes that were texted to see whose a phone number is.

use offhook_domain::{NumberId, Timestamp, VerificationId};

use crate::engine::{Tx, params, statements};
use crate::error::StoreError;
use crate::scope::Scope;

statements! {
    INSERT = "INSERT INTO verifications (id, account_id, code_hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)";
    TRY = "UPDATE verifications SET tries = tries + 1
        WHERE id = $1 AND account_id = $2 AND tries < $3 AND verified_at IS NULL AND expires_at > $4";
    GET = "SELECT code_hash, tries, verified_at, expires_at FROM verifications WHERE id = $1 AND account_id = $2";
    VERIFIED = "UPDATE verifications SET verified_at = $1 WHERE id = $2 AND account_id = $3";
    PRUNE = "DELETE FROM verifications WHERE expires_at < $1";
    FIRST_NUMBER = "SELECT id FROM numbers WHERE account_id = $1 AND status = 'active' ORDER BY id LIMIT 1";
}

/// A code that was texted.
#[derive(Debug, Clone)]
pub struct Verification {
    pub code_hash: String,
    /// Codes that were tried.
    pub tries: i64,
    pub verified_at: Option<Timestamp>,
    pub expires_at: Timestamp,
}

impl Scope<'_> {
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_verification(
        &mut self,
        id: &VerificationId,
        code_hash: &str,
        at: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.tx.run(INSERT, params![id, self.account, code_hash, at, expires_at]).await
    }

    /// Takes one of `most` tries, before the code is looked at: whoever tries at the same time waits. False when there is
    /// none to take.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn try_verification(
        &mut self,
        id: &VerificationId,
        most: i64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.tx.change(TRY, params![id, self.account, most, now]).await? == 1)
    }

    /// # Errors
    /// [`StoreError`].
    pub async fn verification(&mut self, id: &VerificationId) -> Result<Option<Verification>, StoreError> {
        let Some(mut row) = self.tx.row(GET, params![id, self.account]).await? else { return Ok(None) };
        let (code_hash, tries) = (row.take()?, row.take()?);
        Ok(Some(Verification { code_hash, tries, verified_at: row.take()?, expires_at: row.take()? }))
    }

    /// Its code was entered; no other is taken.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn verified(&mut self, id: &VerificationId, at: Timestamp) -> Result<(), StoreError> {
        self.tx.run(VERIFIED, params![at, id, self.account]).await
    }

    /// The number that the account has had for the longest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn first_number(&mut self) -> Result<Option<NumberId>, StoreError> {
        self.tx.row(FIRST_NUMBER, params![self.account]).await?.map(|mut row| row.take()).transpose()
    }
}

impl Tx {
    /// Forgets codes that ended before then.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prune_verifications(&mut self, before: Timestamp) -> Result<(), StoreError> {
        self.run(PRUNE, params![before]).await
    }
}
