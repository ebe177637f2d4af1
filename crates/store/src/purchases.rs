//! Purchases of numbers under way. Every step asks for the state it starts from, so that buyer and reconciler,
//! on whichever node, never both take it.

use offhook_domain::purchase::{Purchase, PurchaseState};
use offhook_domain::{E164, NumberId, PurchaseId, Timestamp};

use crate::engine::{Row, Tx, params, statements};
use crate::error::StoreError;
use crate::scope::Scope;

statements! {
    INSERT = "INSERT INTO purchases (id, account_id, state, carrier, phone_number, country, kind, agent_id, external_id,
        expires_at, price, once_key, settle_after, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    REPOINT = "UPDATE purchases SET phone_number = $1, carrier = $2
        WHERE account_id = $3 AND id = $4 AND state = 'reserved'";
    UNCONFIRM = "UPDATE purchases SET state = 'unconfirmed', settle_after = $1
        WHERE account_id = $2 AND id = $3 AND state = 'reserved'";
    STORE = "UPDATE purchases SET state = 'stored', number_id = $1
        WHERE account_id = $2 AND id = $3 AND state IN ('reserved', 'unconfirmed')";
    UNDO = "UPDATE purchases SET state = 'undone'
        WHERE account_id = $1 AND id = $2 AND state IN ('reserved', 'unconfirmed')";
    TO_SETTLE = "SELECT id, account_id, state, carrier, phone_number, country, kind, agent_id, external_id, expires_at,
        price, once_key, settle_after, created_at FROM purchases
        WHERE state IN ('reserved', 'unconfirmed') AND settle_after <= $1 ORDER BY settle_after LIMIT $2";
    ADOPT = "UPDATE purchases SET settle_after = $1
        WHERE state IN ('reserved', 'unconfirmed') AND settle_after > $2 AND created_at < $3";
    ADOPT_OWN = "UPDATE purchases SET settle_after = $1
        WHERE state IN ('reserved', 'unconfirmed') AND settle_after > $2 AND created_at < $3 AND account_id = $4";
    OUTCOME = "SELECT state, number_id FROM purchases WHERE account_id = $1 AND id = $2";
    OF_NUMBER = "SELECT id FROM purchases WHERE number_id = $1 AND account_id = $2";
    BEING_BOUGHT = "SELECT 1 FROM purchases WHERE phone_number = $1 AND state IN ('reserved', 'unconfirmed') LIMIT 1";
    CLAIM = "UPDATE purchases SET settle_after = $1
        WHERE id = $2 AND settle_after = $3 AND state IN ('reserved', 'unconfirmed')";
}

impl Scope<'_> {
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_purchase(&mut self, purchase: &Purchase) -> Result<(), StoreError> {
        let Purchase { id, state, carrier, phone_number, country, kind, agent_id, external_id, .. } = purchase;
        let values = params![
            id,
            self.account,
            state.as_str(),
            carrier,
            phone_number,
            *country,
            kind,
            agent_id.as_ref(),
            external_id.as_ref(),
            purchase.expires_at,
            purchase.price,
            purchase.once_key.as_ref(),
            purchase.settle_after,
            purchase.created_at
        ];
        self.tx.run(INSERT, values).await
    }

    /// Tries for another number; false when the purchase is no longer the buyer's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn repoint_purchase(
        &mut self,
        id: &PurchaseId,
        carrier: &str,
        number: &E164,
    ) -> Result<bool, StoreError> {
        Ok(self.tx.change(REPOINT, params![number, carrier, self.account, id]).await? == 1)
    }

    /// Leaves a purchase to the reconciler, from `settle_after` on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unconfirm_purchase(&mut self, id: &PurchaseId, settle_after: Timestamp) -> Result<(), StoreError> {
        self.tx.run(UNCONFIRM, params![settle_after, self.account, id]).await
    }

    /// Ends an open purchase with a number; false when it has ended otherwise.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn store_purchase(&mut self, id: &PurchaseId, number: &NumberId) -> Result<bool, StoreError> {
        Ok(self.tx.change(STORE, params![number, self.account, id]).await? == 1)
    }

    /// Ends an open purchase without a number; false when it has ended otherwise.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn undo_purchase(&mut self, id: &PurchaseId) -> Result<bool, StoreError> {
        Ok(self.tx.change(UNDO, params![self.account, id]).await? == 1)
    }

    /// Ends the time of the account's open purchases that were begun before `begun_before`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn adopt_own_purchases(&mut self, now: Timestamp, begun_before: Timestamp) -> Result<(), StoreError> {
        self.tx.run(ADOPT_OWN, params![now, now, begun_before, self.account]).await
    }

    /// The purchase that a number came of.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn purchase_of(&mut self, number: &NumberId) -> Result<Option<PurchaseId>, StoreError> {
        self.tx.row(OF_NUMBER, params![number, self.account]).await?.map(|mut row| row.take()).transpose()
    }

    /// How a purchase stands, and the number it came to.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn purchase_outcome(
        &mut self,
        id: &PurchaseId,
    ) -> Result<Option<(PurchaseState, Option<NumberId>)>, StoreError> {
        let row = self.tx.row(OUTCOME, params![self.account, id]).await?;
        row.map(|mut row| Ok((read_state(&row.take::<String>()?)?, row.take()?))).transpose()
    }
}

impl Tx {
    /// Open purchases that nobody is at, for their time is up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn purchases_to_settle(&mut self, now: Timestamp, limit: i64) -> Result<Vec<Purchase>, StoreError> {
        self.rows(TO_SETTLE, params![now, limit]).await?.into_iter().map(read).collect()
    }

    /// Ends the time of open purchases that were begun before `begun_before`, whose buyers are known to be gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn adopt_purchases(&mut self, now: Timestamp, begun_before: Timestamp) -> Result<(), StoreError> {
        self.run(ADOPT, params![now, now, begun_before]).await
    }

    /// Whether an open purchase may come to this number: the carrier may have sold it, and we not stored it yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_being_bought(&mut self, phone_number: &E164) -> Result<bool, StoreError> {
        Ok(self.row(BEING_BOUGHT, params![phone_number]).await?.is_some())
    }

    /// Takes an open purchase as it was read, until `until`; false when another node did.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_purchase(&mut self, purchase: &Purchase, until: Timestamp) -> Result<bool, StoreError> {
        Ok(self.change(CLAIM, params![until, &purchase.id, purchase.settle_after]).await? == 1)
    }
}

fn read(mut row: Row) -> Result<Purchase, StoreError> {
    Ok(Purchase {
        id: row.take()?,
        account_id: row.take()?,
        state: read_state(&row.take::<String>()?)?,
        carrier: row.take()?,
        phone_number: row.take()?,
        country: row.take()?,
        kind: row.take()?,
        agent_id: row.take()?,
        external_id: row.take()?,
        expires_at: row.take()?,
        price: row.take()?,
        once_key: row.take()?,
        settle_after: row.take()?,
        created_at: row.take()?,
    })
}

fn read_state(text: &str) -> Result<PurchaseState, StoreError> {
    use PurchaseState::{Reserved, Stored, Unconfirmed, Undone};
    let found = [Reserved, Unconfirmed, Stored, Undone].into_iter().find(|state| state.as_str() == text);
    found.ok_or_else(|| StoreError::Corrupt(format!("purchase state {text}")))
}
