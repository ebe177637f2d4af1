//! Mails to be sent. A row stands until its mail is with the server, or is of no use any more.

use offhook_domain::{Timestamp, VerificationId};

use crate::engine::{Row, Tx, params, statements};
use crate::error::StoreError;

statements! {
    INSERT = "INSERT INTO mails (id, recipient, subject, body, due_at, give_up_at) VALUES ($1, $2, $3, $4, $5, $6)";
    DUE = "SELECT id, recipient, subject, body, due_at, tries, give_up_at FROM mails WHERE due_at <= $1
        ORDER BY due_at LIMIT $2";
    CLAIM = "UPDATE mails SET due_at = $1, tries = tries + 1 WHERE id = $2 AND due_at = $3";
    DEFER = "UPDATE mails SET due_at = $1 WHERE id = $2";
    DELETE = "DELETE FROM mails WHERE id = $1";
}

/// A mail on its way.
#[derive(Debug, Clone)]
pub struct Mail {
    /// What it is about.
    pub id: VerificationId,
    pub recipient: String,
    pub subject: String,
    /// Sealed.
    pub body: String,
    pub due_at: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// It is of no use after that.
    pub give_up_at: Timestamp,
}

impl Tx {
    /// Has a mail sent once this is committed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_mail(&mut self, mail: &Mail) -> Result<(), StoreError> {
        let Mail { id, recipient, subject, body, due_at, give_up_at, .. } = mail;
        self.run(INSERT, params![id, recipient, subject, body, *due_at, *give_up_at]).await
    }

    /// Mails to send now, the longest waiting first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn mails_due(&mut self, now: Timestamp, limit: i64) -> Result<Vec<Mail>, StoreError> {
        self.rows(DUE, params![now, limit]).await?.into_iter().map(read).collect()
    }

    /// Takes a mail as it was read, until `until`; false when another node did.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_mail(&mut self, mail: &Mail, until: Timestamp) -> Result<bool, StoreError> {
        Ok(self.change(CLAIM, params![until, &mail.id, mail.due_at]).await? == 1)
    }

    /// Tries a mail again then.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn defer_mail(&mut self, id: &VerificationId, until: Timestamp) -> Result<(), StoreError> {
        self.run(DEFER, params![until, id]).await
    }

    /// Forgets a mail that is sent, or of no use.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_mail(&mut self, id: &VerificationId) -> Result<(), StoreError> {
        self.run(DELETE, params![id]).await
    }
}

fn read(mut row: Row) -> Result<Mail, StoreError> {
    Ok(Mail {
        id: row.take()?,
        recipient: row.take()?,
        subject: row.take()?,
        body: row.take()?,
        due_at: row.take()?,
        tries: row.take()?,
        give_up_at: row.take()?,
    })
}
