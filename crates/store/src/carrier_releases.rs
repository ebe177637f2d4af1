//! Numbers given up that their carrier has yet to take back. While one stands here nobody buys it again, for a
//! repeated release would take it from its new holder.

use offhook_domain::{E164, NumberId, PurchaseId, Timestamp};

use crate::engine::{Row, Tx, params, statements};
use crate::error::StoreError;

statements! {
    INSERT = "INSERT INTO carrier_releases (number_id, carrier, phone_number, reference, due_at)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING";
    // Not while a message may go out from it: the carrier could sell the number to somebody else before.
    DUE = "SELECT number_id, carrier, phone_number, reference, due_at, attempts FROM carrier_releases r WHERE due_at <= $1
        AND NOT EXISTS (SELECT 1 FROM send_jobs j WHERE j.line = r.number_id AND j.epoch IS NULL)
        AND NOT EXISTS (SELECT 1 FROM send_jobs j WHERE j.line = r.number_id AND j.epoch IS NOT NULL)
        ORDER BY due_at LIMIT $2";
    CLAIM = "UPDATE carrier_releases SET due_at = $1, attempts = attempts + 1 WHERE number_id = $2 AND due_at = $3";
    DONE = "DELETE FROM carrier_releases WHERE number_id = $1";
    PENDING = "SELECT 1 FROM carrier_releases WHERE phone_number = $1 LIMIT 1";
}

/// A number to give back to its carrier.
#[derive(Debug, Clone)]
pub struct CarrierRelease {
    pub number_id: NumberId,
    pub carrier: String,
    pub phone_number: E164,
    /// The purchase it was bought under, where it is known.
    pub reference: Option<PurchaseId>,
    pub due_at: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
}

impl Tx {
    /// Has a number given back to its carrier.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn give_back(
        &mut self,
        number: &NumberId,
        carrier: &str,
        phone_number: &E164,
        reference: Option<&PurchaseId>,
        due_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(INSERT, params![number, carrier, phone_number, reference, due_at]).await
    }

    /// Numbers to give back now, the longest waiting first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn carrier_releases_due(
        &mut self,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<CarrierRelease>, StoreError> {
        self.rows(DUE, params![now, limit]).await?.into_iter().map(read).collect()
    }

    /// Takes a release as it was read, until `until`; false when another node did.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_carrier_release(
        &mut self,
        release: &CarrierRelease,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.change(CLAIM, params![until, &release.number_id, release.due_at]).await? == 1)
    }

    /// The carrier has the number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn given_back(&mut self, number: &NumberId) -> Result<(), StoreError> {
        self.run(DONE, params![number]).await
    }

    /// Whether the carrier has yet to take this number back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_to_be_given_back(&mut self, phone_number: &E164) -> Result<bool, StoreError> {
        Ok(self.row(PENDING, params![phone_number]).await?.is_some())
    }
}

fn read(mut row: Row) -> Result<CarrierRelease, StoreError> {
    Ok(CarrierRelease {
        number_id: row.take()?,
        carrier: row.take()?,
        phone_number: row.take()?,
        reference: row.take()?,
        due_at: row.take()?,
        attempts: row.take()?,
    })
}
