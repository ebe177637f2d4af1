//! Numbers whose time has come: a payment that is due, one that is overdue, an end that was set.

use offhook_domain::number::Number;
use offhook_domain::{Micros, Timestamp};

use crate::engine::{Row, Tx, params, statements};
use crate::error::StoreError;
use crate::numbers::read;
use crate::scope::Scope;

statements! {
    RENEWING = "SELECT id, account_id, phone_number, country, status, kind, agent_id, carrier, external_id, expires_at,
        purchased_at, renews_at, unpaid_since, released_at FROM numbers
        WHERE status = 'active' AND renews_at <= $1 AND unpaid_since IS NULL ORDER BY renews_at LIMIT $2";
    PAYABLE = "SELECT n.id, n.account_id, n.phone_number, n.country, n.status, n.kind, n.agent_id, n.carrier,
        n.external_id, n.expires_at, n.purchased_at, n.renews_at, n.unpaid_since, n.released_at
        FROM numbers n JOIN accounts a ON a.id = n.account_id
        WHERE n.status = 'active' AND n.unpaid_since IS NOT NULL AND $1 <= (SELECT b.balance FROM books b
            WHERE b.account_id = COALESCE(a.parent_id, a.id) AND b.book = 'wallet')
        ORDER BY n.unpaid_since LIMIT $2";
    OVERDUE = "SELECT id, account_id, phone_number, country, status, kind, agent_id, carrier, external_id, expires_at,
        purchased_at, renews_at, unpaid_since, released_at FROM numbers
        WHERE status = 'active' AND unpaid_since IS NOT NULL AND unpaid_since <= $1 ORDER BY unpaid_since LIMIT $2";
    EXPIRED = "SELECT id, account_id, phone_number, country, status, kind, agent_id, carrier, external_id, expires_at,
        purchased_at, renews_at, unpaid_since, released_at FROM numbers
        WHERE status = 'active' AND expires_at IS NOT NULL AND expires_at <= $1 ORDER BY expires_at LIMIT $2";
    PROLONG = "UPDATE numbers SET renews_at = $1, unpaid_since = NULL
        WHERE account_id = $2 AND id = $3 AND status = 'active' AND renews_at = $4";
    OWE = "UPDATE numbers SET renews_at = $1, unpaid_since = $2 WHERE account_id = $3 AND id = $4 AND status = 'active'";
    ENDING = "UPDATE numbers SET renews_at = renews_at WHERE account_id = $1 AND id = $2 AND status = 'active'
        AND (unpaid_since <= $3 OR expires_at <= $4)";
}

impl Tx {
    /// Numbers to be paid for, less those known to be unpaid.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn numbers_to_renew(&mut self, now: Timestamp, limit: i64) -> Result<Vec<Number>, StoreError> {
        read_all(self.rows(RENEWING, params![now, limit]).await?)
    }

    /// Unpaid numbers whose payers have `price` by now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn numbers_payable(&mut self, price: Micros, limit: i64) -> Result<Vec<Number>, StoreError> {
        read_all(self.rows(PAYABLE, params![price, limit]).await?)
    }

    /// Numbers that are unpaid since `since` or longer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn numbers_unpaid_since(&mut self, since: Timestamp, limit: i64) -> Result<Vec<Number>, StoreError> {
        read_all(self.rows(OVERDUE, params![since, limit]).await?)
    }

    /// Numbers whose set end has come.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn numbers_expired(&mut self, now: Timestamp, limit: i64) -> Result<Vec<Number>, StoreError> {
        read_all(self.rows(EXPIRED, params![now, limit]).await?)
    }
}

impl Scope<'_> {
    /// Moves the next payment on; false when the number is no longer as it was read.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prolong_number(&mut self, number: &Number, renews_at: Timestamp) -> Result<bool, StoreError> {
        let values = params![renews_at, self.account, &number.id, number.renews_at];
        Ok(self.tx.change(PROLONG, values).await? == 1)
    }

    /// Notes in the transaction of a [`Scope::prolong_number`] that the payment could not be made: the number is
    /// due as it was read, and unpaid since `since`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn number_is_unpaid(&mut self, number: &Number, since: Timestamp) -> Result<(), StoreError> {
        self.tx.run(OWE, params![number.renews_at, since, self.account, &number.id]).await
    }

    /// Whether a number is unpaid since `unpaid_since` or its set end has come; it stays so until the commit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn number_must_end(
        &mut self,
        number: &Number,
        unpaid_since: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.tx.change(ENDING, params![self.account, &number.id, unpaid_since, now]).await? == 1)
    }
}

fn read_all(rows: Vec<Row>) -> Result<Vec<Number>, StoreError> {
    rows.into_iter().map(read).collect()
}
