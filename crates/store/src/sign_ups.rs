//! Sign-ups under way. Every step asks for the state it starts from, so that two who enter the same code, or one who does
//! and the reconciler, never both take it.

use offhook_domain::{AccountId, E164, PurchaseId, Timestamp, VerificationId};

use crate::engine::{Row, Tx, params, statements};
use crate::error::StoreError;

statements! {
    INSERT = "INSERT INTO sign_ups (id, email, agent_name, code_hash, state, created_at, expires_at)
        VALUES ($1, $2, $3, $4, 'open', $5, $6)";
    TRY = "UPDATE sign_ups SET tries = tries + 1 WHERE id = $1 AND tries < $2";
    FORGIVE = "UPDATE sign_ups SET tries = tries - 1 WHERE id = $1";
    GET = "SELECT id, email, agent_name, code_hash, tries, state, expires_at, answer FROM sign_ups WHERE id = $1";
    BEGIN_BUYING = "UPDATE sign_ups SET state = 'buying', purchase_id = $1, carrier = $2, phone_number = $3, asked_at = $4,
        settle_after = $5 WHERE id = $6 AND state = 'open'";
    // Here and below by the id: the partial index must not be taken for it, whatever PostgreSQL believes of it.
    REPOINT = "UPDATE sign_ups SET phone_number = $1 WHERE id = $2 AND state || '' = 'buying' AND purchase_id = $3";
    LEAVE = "UPDATE sign_ups SET settle_after = $1 WHERE id = $2 AND state || '' = 'buying' AND purchase_id = $3";
    REOPEN = "UPDATE sign_ups SET state = 'open', purchase_id = NULL, carrier = NULL, phone_number = NULL, asked_at = NULL,
        settle_after = NULL WHERE id = $1 AND state || '' = 'buying' AND purchase_id = $2";
    FINISH = "UPDATE sign_ups SET state = 'done', answer = $1 WHERE id = $2 AND state || '' = 'buying' AND purchase_id = $3";
    TO_SETTLE = "SELECT id, purchase_id, carrier, phone_number, asked_at, settle_after FROM sign_ups
        WHERE state = 'buying' AND settle_after <= $1 ORDER BY settle_after LIMIT $2";
    CLAIM = "UPDATE sign_ups SET settle_after = $1 WHERE id = $2 AND settle_after = $3 AND state = 'buying'";
    PRUNE = "DELETE FROM sign_ups WHERE expires_at < $1 AND state <> 'buying'";
    HAS_EMAIL = "SELECT 1 FROM account_emails WHERE email = $1";
    TAKE_EMAIL = "INSERT INTO account_emails (email, account_id, source, created_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING";
}

/// Somebody who wants an account.
#[derive(Debug, Clone)]
pub struct SignUp {
    pub id: VerificationId,
    /// Normalised.
    pub email: String,
    pub agent_name: String,
    pub code_hash: String,
    /// Codes that were tried and wrong.
    pub tries: i64,
    pub state: SignUpState,
    pub expires_at: Timestamp,
    /// Sealed, once it is done.
    pub answer: Option<String>,
}

/// How far a sign-up has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignUpState {
    Open,
    Buying,
    Done,
}

/// What is asked of the carrier for a sign-up.
#[derive(Debug, Clone)]
pub struct SignUpPurchase {
    pub sign_up: VerificationId,
    /// Our reference at the carrier.
    pub id: PurchaseId,
    pub carrier: String,
    pub phone_number: E164,
    pub asked_at: Timestamp,
    /// Nobody but its buyer touches it before then.
    pub settle_after: Timestamp,
}

impl Tx {
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_sign_up(&mut self, sign_up: &SignUp, at: Timestamp) -> Result<(), StoreError> {
        let SignUp { id, email, agent_name, code_hash, expires_at, .. } = sign_up;
        self.run(INSERT, params![id, email, agent_name, code_hash, at, *expires_at]).await
    }

    /// # Errors
    /// [`StoreError`].
    pub async fn sign_up(&mut self, id: &VerificationId) -> Result<Option<SignUp>, StoreError> {
        self.row(GET, params![id]).await?.map(read).transpose()
    }

    /// Takes one of `most` tries, before the code is looked at: whoever tries at the same time waits. False when none is
    /// left or there is no such sign-up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn try_sign_up(&mut self, id: &VerificationId, most: i64) -> Result<bool, StoreError> {
        Ok(self.change(TRY, params![id, most]).await? == 1)
    }

    /// Gives a try back: the code was right.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forgive_sign_up(&mut self, id: &VerificationId) -> Result<(), StoreError> {
        self.run(FORGIVE, params![id]).await
    }

    /// Begins to buy for an open sign-up; false when somebody else has begun.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_sign_up_purchase(&mut self, purchase: &SignUpPurchase) -> Result<bool, StoreError> {
        let SignUpPurchase { sign_up, id, carrier, phone_number, asked_at, settle_after } = purchase;
        let values = params![id, carrier, phone_number, *asked_at, *settle_after, sign_up];
        Ok(self.change(BEGIN_BUYING, values).await? == 1)
    }

    /// Tries for another number; false when it is no longer the buyer's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn repoint_sign_up(&mut self, purchase: &SignUpPurchase) -> Result<bool, StoreError> {
        let values = params![&purchase.phone_number, &purchase.sign_up, &purchase.id];
        Ok(self.change(REPOINT, values).await? == 1)
    }

    /// Leaves a purchase to the reconciler, from `settle_after` on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn leave_sign_up(&mut self, purchase: &SignUpPurchase, from: Timestamp) -> Result<(), StoreError> {
        self.run(LEAVE, params![from, &purchase.sign_up, &purchase.id]).await
    }

    /// Ends a purchase that came to nothing: the code may be entered again. False when it has ended before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reopen_sign_up(&mut self, purchase: &SignUpPurchase) -> Result<bool, StoreError> {
        Ok(self.change(REOPEN, params![&purchase.sign_up, &purchase.id]).await? == 1)
    }

    /// Ends a purchase that came to an account, and keeps the answer; false when it has ended otherwise.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish_sign_up(&mut self, purchase: &SignUpPurchase, answer: &str) -> Result<bool, StoreError> {
        Ok(self.change(FINISH, params![answer, &purchase.sign_up, &purchase.id]).await? == 1)
    }

    /// Purchases that nobody is at, for their time is up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sign_ups_to_settle(&mut self, now: Timestamp, limit: i64) -> Result<Vec<SignUpPurchase>, StoreError> {
        self.rows(TO_SETTLE, params![now, limit]).await?.into_iter().map(read_purchase).collect()
    }

    /// Takes a purchase as it was read, until `until`; false when another node did.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_sign_up(&mut self, purchase: &SignUpPurchase, until: Timestamp) -> Result<bool, StoreError> {
        Ok(self.change(CLAIM, params![until, &purchase.sign_up, purchase.settle_after]).await? == 1)
    }

    /// Forgets sign-ups that ended before then.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prune_sign_ups(&mut self, before: Timestamp) -> Result<(), StoreError> {
        self.run(PRUNE, params![before]).await
    }

    /// Whether an address has an account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_email(&mut self, email: &str) -> Result<bool, StoreError> {
        Ok(self.row(HAS_EMAIL, params![email]).await?.is_some())
    }

    /// Gives an address its account; false when it has one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_email(
        &mut self,
        email: &str,
        account: &AccountId,
        source: Option<&String>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.change(TAKE_EMAIL, params![email, account, source, at]).await? == 1)
    }
}

fn read(mut row: Row) -> Result<SignUp, StoreError> {
    Ok(SignUp {
        id: row.take()?,
        email: row.take()?,
        agent_name: row.take()?,
        code_hash: row.take()?,
        tries: row.take()?,
        state: match row.take::<String>()?.as_str() {
            "open" => SignUpState::Open,
            "buying" => SignUpState::Buying,
            "done" => SignUpState::Done,
            other => return Err(StoreError::Corrupt(format!("sign-up state {other}"))),
        },
        expires_at: row.take()?,
        answer: row.take()?,
    })
}

fn read_purchase(mut row: Row) -> Result<SignUpPurchase, StoreError> {
    Ok(SignUpPurchase {
        sign_up: row.take()?,
        id: row.take()?,
        carrier: row.take()?,
        phone_number: row.take()?,
        asked_at: row.take()?,
        settle_after: row.take()?,
    })
}
