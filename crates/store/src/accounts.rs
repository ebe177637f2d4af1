//! Accounts and their API keys.

use offhook_domain::{AccountId, ApiKeyId, Timestamp};

use crate::engine::{Tx, params, statements};
use crate::error::StoreError;
use crate::scope::Scope;

statements! {
    INSERT_ACCOUNT = "INSERT INTO accounts (id, name, created_at) VALUES ($1, $2, $3)";
    INSERT_SUB_ACCOUNT = "INSERT INTO accounts (id, name, parent_id, created_at) VALUES ($1, $2, $3, $4)";
    INSERT_BOOK = "INSERT INTO books (account_id, book) VALUES ($1, $2)";
    FIRST_ACCOUNT = "SELECT id FROM accounts ORDER BY id LIMIT 1";
    HAS_ACCOUNT = "SELECT id FROM accounts WHERE id = $1";
    INSERT_KEY = "INSERT INTO api_keys (id, account_id, hash, hint, name, created_at) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT DO NOTHING";
    KEY_BY_HASH = "SELECT id, account_id FROM api_keys WHERE hash = $1 AND revoked_at IS NULL";
    KEYS = "SELECT id, hint, name, created_at, revoked_at FROM api_keys WHERE account_id = $1 ORDER BY id";
    REVOKE_KEY = "UPDATE api_keys SET revoked_at = $1 WHERE account_id = $2 AND id = $3 AND revoked_at IS NULL";
    HOLD_NUMBER = "UPDATE accounts SET numbers_held = numbers_held + 1 WHERE id = $1 AND numbers_held < $2";
    DROP_NUMBER = "UPDATE accounts SET numbers_held = numbers_held - 1 WHERE id = $1";
    NUMBERS_HELD = "SELECT numbers_held FROM accounts WHERE id = $1";
    SETTING = "SELECT value FROM settings WHERE name = $1";
    SET_IF_ABSENT = "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    UNSET = "DELETE FROM settings WHERE name = $1";
}

/// An API key as it is kept: never the secret, only its hash and a hint to know it by.
#[derive(Debug, Clone)]
pub struct StoredKey {
    pub id: ApiKeyId,
    /// The first characters and the last four.
    pub hint: String,
    pub name: String,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

/// Whom a key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyOwner {
    pub key: ApiKeyId,
    pub account: AccountId,
}

impl Tx {
    /// Opens an account with its four books at zero.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn create_account(&mut self, id: &AccountId, name: &str, at: Timestamp) -> Result<(), StoreError> {
        self.run(INSERT_ACCOUNT, params![id, name, at]).await?;
        self.open_books(id).await
    }

    async fn open_books(&mut self, id: &AccountId) -> Result<(), StoreError> {
        for book in ["funding", "wallet", "held", "revenue"] {
            self.run(INSERT_BOOK, params![id, book]).await?;
        }
        Ok(())
    }

    /// The oldest account, which a fresh installation starts with.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn first_account(&mut self) -> Result<Option<AccountId>, StoreError> {
        self.row(FIRST_ACCOUNT, []).await?.map(|mut row| row.take()).transpose()
    }

    /// Whether there is such an account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_account(&mut self, id: &AccountId) -> Result<bool, StoreError> {
        Ok(self.row(HAS_ACCOUNT, params![id]).await?.is_some())
    }

    /// Who may use the key with this hash. `None` when there is none or it is revoked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn key_owner(&mut self, hash: &str) -> Result<Option<KeyOwner>, StoreError> {
        let row = self.row(KEY_BY_HASH, params![hash]).await?;
        row.map(|mut row| Ok(KeyOwner { key: row.take()?, account: row.take()? })).transpose()
    }

    /// The value of an installation-wide setting.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn setting(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        self.row(SETTING, params![name]).await?.map(|mut row| row.take()).transpose()
    }

    /// Keeps the first value ever given to a setting.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_if_absent(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        self.run(SET_IF_ABSENT, params![name, value]).await
    }

    /// Sets something and takes it back: nothing changes, but the store had to write.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_and_unset(&mut self, name: &str) -> Result<(), StoreError> {
        self.set_if_absent(name, "").await?;
        self.run(UNSET, params![name]).await
    }
}

impl Scope<'_> {
    /// Opens a sub-account, for which this account pays.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn create_sub_account(&mut self, id: &AccountId, name: &str, at: Timestamp) -> Result<(), StoreError> {
        self.tx.run(INSERT_SUB_ACCOUNT, params![id, name, self.account, at]).await?;
        self.tx.open_books(id).await
    }

    /// Adds a key by its hash; one that is there already stays as it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_key(&mut self, key: &StoredKey, hash: &str) -> Result<(), StoreError> {
        self.tx.run(INSERT_KEY, params![&key.id, self.account, hash, &key.hint, &key.name, key.created_at]).await
    }

    /// All keys, revoked ones too, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keys(&mut self) -> Result<Vec<StoredKey>, StoreError> {
        let rows = self.tx.rows(KEYS, params![self.account]).await?;
        let read = |mut row: crate::engine::Row| {
            let (id, hint, name) = (row.take()?, row.take()?, row.take()?);
            Ok(StoredKey { id, hint, name, created_at: row.take()?, revoked_at: row.take()? })
        };
        rows.into_iter().map(read).collect()
    }

    /// Whether there was such a key to revoke.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke_key(&mut self, id: &ApiKeyId, at: Timestamp) -> Result<bool, StoreError> {
        Ok(self.tx.change(REVOKE_KEY, params![at, self.account, id]).await? == 1)
    }

    /// Takes one place of the hold limit; false when all are taken. Safe under concurrent buys.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hold_number(&mut self, limit: i64) -> Result<bool, StoreError> {
        Ok(self.tx.change(HOLD_NUMBER, params![self.account, limit]).await? == 1)
    }

    /// Gives a place of the hold limit back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn drop_number(&mut self) -> Result<(), StoreError> {
        self.tx.run(DROP_NUMBER, params![self.account]).await
    }

    /// How many places of the hold limit are taken.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn numbers_held(&mut self) -> Result<i64, StoreError> {
        self.tx.row(NUMBERS_HELD, params![self.account]).await?.map_or(Ok(0), |mut row| row.take())
    }
}
