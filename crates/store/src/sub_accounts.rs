//! Sub-accounts: whom an account pays for; and what each account sets for itself.

use offhook_domain::{AccountId, Micros, Timestamp};

use crate::engine::{Row, Tx, params, statements};
use crate::error::StoreError;
use crate::scope::{Page, Scope, Window};

statements! {
    INSERT = "INSERT INTO accounts (id, name, parent_id, created_at) VALUES ($1, $2, $3, $4)";
    LIST = "SELECT id, name, created_at FROM accounts
        WHERE parent_id = $1 AND closed_at IS NULL ORDER BY id DESC LIMIT $2 OFFSET $3";
    COUNT = "SELECT COUNT(*) FROM accounts WHERE parent_id = $1 AND closed_at IS NULL";
    GET = "SELECT id, name, created_at FROM accounts WHERE parent_id = $1 AND id = $2 AND closed_at IS NULL";
    RENAME = "UPDATE accounts SET name = $1 WHERE parent_id = $2 AND id = $3 AND closed_at IS NULL";
    CLOSE = "UPDATE accounts SET closed_at = $1
        WHERE parent_id = $2 AND id = $3 AND closed_at IS NULL AND numbers_held = 0";
    LOCK = "UPDATE accounts SET name = name WHERE id = $1";
    LOCK_OPEN = "UPDATE accounts SET name = name WHERE id = $1 AND closed_at IS NULL";
    CHILD = "SELECT closed_at FROM accounts WHERE parent_id = $1 AND id = $2";
    SETTINGS = "SELECT name, retention_days, daily_spend_limit, daily_spend_limit_by, created_at
        FROM accounts WHERE id = $1";
    SET = "UPDATE accounts SET name = $1, retention_days = $2, daily_spend_limit = $3, daily_spend_limit_by = $4
        WHERE id = $5";
    RETAINING = "SELECT id, retention_days FROM accounts WHERE id > $1 AND retention_days IS NOT NULL ORDER BY id LIMIT $2";
}

/// An account that another one pays for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAccount {
    pub id: AccountId,
    pub name: String,
    pub created_at: Timestamp,
}

/// What an account is called and has set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSettings {
    pub name: String,
    /// Messages older than this are deleted; none are where it is not set.
    pub retention_days: Option<i64>,
    /// The most that may be spent in a day, where it is set.
    pub daily_spend_limit: Option<Micros>,
    /// Whose key set that: the account's own, or its payer's. Not known of what was set before this was kept.
    pub daily_spend_limit_by: Option<AccountId>,
    pub created_at: Timestamp,
}

impl Scope<'_> {
    /// Opens a sub-account. It has no books: its money moves in this account's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn create_sub_account(&mut self, id: &AccountId, name: &str, at: Timestamp) -> Result<(), StoreError> {
        self.tx.run(INSERT, params![id, name, self.account, at]).await
    }

    /// The open ones, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sub_accounts(&mut self, window: Window) -> Result<Page<SubAccount>, StoreError> {
        let rows = self.tx.rows(LIST, params![self.account, window.limit, window.offset]).await?;
        let total = self.tx.one(COUNT, params![self.account]).await?.take()?;
        Ok(Page { items: rows.into_iter().map(read).collect::<Result<_, _>>()?, total })
    }

    /// One of the open ones.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sub_account(&mut self, id: &AccountId) -> Result<Option<SubAccount>, StoreError> {
        self.tx.row(GET, params![self.account, id]).await?.map(read).transpose()
    }

    /// False when there is no such open sub-account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rename_sub_account(&mut self, id: &AccountId, name: &str) -> Result<bool, StoreError> {
        Ok(self.tx.change(RENAME, params![name, self.account, id]).await? == 1)
    }

    /// Closes a sub-account that holds no number and buys none; false when it does, or is not there. Its keys stop
    /// working, and what was written stays.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn close_sub_account(&mut self, id: &AccountId, at: Timestamp) -> Result<bool, StoreError> {
        Ok(self.tx.change(CLOSE, params![at, self.account, id]).await? == 1)
    }

    /// Whoever else is about to change this account, or its keys, waits until the commit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_account(&mut self) -> Result<(), StoreError> {
        self.tx.run(LOCK, params![self.account]).await
    }

    /// As [`Scope::lock_account`]; false when the account is closed. What an open account may do alone begins with this: its
    /// key may be trusted a moment longer than it lives.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_open_account(&mut self) -> Result<bool, StoreError> {
        Ok(self.tx.change(LOCK_OPEN, params![self.account]).await? == 1)
    }

    /// Whether this sub-account is open; `None` when there never was one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_open_child(&mut self, id: &AccountId) -> Result<Option<bool>, StoreError> {
        let row = self.tx.row(CHILD, params![self.account, id]).await?;
        row.map(|mut row| Ok(row.take::<Option<Timestamp>>()?.is_none())).transpose()
    }

    /// What the account has set.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn account_settings(&mut self) -> Result<AccountSettings, StoreError> {
        let mut row = self.tx.one(SETTINGS, params![self.account]).await?;
        Ok(AccountSettings {
            name: row.take()?,
            retention_days: row.take()?,
            daily_spend_limit: row.take()?,
            daily_spend_limit_by: row.take()?,
            created_at: row.take()?,
        })
    }

    /// Keeps changed settings.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_account_settings(&mut self, settings: &AccountSettings) -> Result<(), StoreError> {
        let AccountSettings { name, retention_days, daily_spend_limit, daily_spend_limit_by, .. } = settings;
        let by = daily_spend_limit_by.as_ref();
        self.tx.run(SET, params![name, *retention_days, *daily_spend_limit, by, self.account]).await
    }
}

impl Tx {
    /// Accounts that have set for how long they keep messages, by their ids from behind `after` on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn retaining_accounts(&mut self, after: &str, limit: i64) -> Result<Vec<(AccountId, i64)>, StoreError> {
        let rows = self.rows(RETAINING, params![after, limit]).await?;
        rows.into_iter().map(|mut row| Ok((row.take()?, row.take()?))).collect()
    }
}

fn read(mut row: Row) -> Result<SubAccount, StoreError> {
    Ok(SubAccount { id: row.take()?, name: row.take()?, created_at: row.take()? })
}
