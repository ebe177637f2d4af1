//! Accounts and their API keys.

use std::collections::BTreeMap;

use offhook_domain::{AccountId, ApiKeyId, KeyScopes, Timestamp};

use crate::engine::{Row, Tx, params, statements};
use crate::error::StoreError;
use crate::scope::{Page, Scope, Window};

statements! {
    INSERT_ACCOUNT = "INSERT INTO accounts (id, name, created_at) VALUES ($1, $2, $3)";
    INSERT_BOOK = "INSERT INTO books (account_id, book) VALUES ($1, $2)";
    FIRST_ACCOUNT = "SELECT id FROM accounts ORDER BY id LIMIT 1";
    HAS_ACCOUNT = "SELECT id FROM accounts WHERE id = $1";
    INSERT_KEY = "INSERT INTO api_keys (id, account_id, hash, hint, name, scopes, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
    KEY_BY_HASH = "SELECT k.id, k.account_id, COALESCE(a.parent_id, a.id), k.scopes
        FROM api_keys k JOIN accounts a ON a.id = k.account_id
        WHERE k.hash = $1 AND k.revoked_at IS NULL AND a.closed_at IS NULL";
    KEYS = "SELECT id, hint, name, scopes, created_at, revoked_at, last_used_at, last_used_from FROM api_keys
        WHERE account_id = $1 ORDER BY id";
    KEYS_PAGE = "SELECT id, hint, name, scopes, created_at, revoked_at, last_used_at, last_used_from FROM api_keys
        WHERE account_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3";
    COUNT_KEYS = "SELECT COUNT(*) FROM api_keys WHERE account_id = $1";
    ADMIN_KEY = "SELECT id FROM api_keys WHERE account_id = $1 AND revoked_at IS NULL AND scopes LIKE '%admin%' LIMIT 1";
    REVOKE_KEY = "UPDATE api_keys SET revoked_at = $1 WHERE account_id = $2 AND id = $3 AND revoked_at IS NULL";
    KEY_USED = "UPDATE api_keys SET last_used_at = $1, last_used_from = $2
        WHERE id = $3 AND (last_used_at IS NULL OR last_used_at < $1)";
    HOLD_NUMBER = "UPDATE accounts SET numbers_held = numbers_held + 1
        WHERE id = $1 AND numbers_held < $2 AND closed_at IS NULL";
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
    pub scopes: KeyScopes,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    pub last_used: Option<KeyUse>,
}

/// When a key was used, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    pub at: Timestamp,
    pub from: Option<String>,
}

/// Whom a key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyOwner {
    pub key: ApiKeyId,
    pub account: AccountId,
    /// Who pays for the account: its master, or itself.
    pub payer: AccountId,
    pub scopes: KeyScopes,
}

impl Tx {
    /// Opens an account with its four books at zero.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn create_account(&mut self, id: &AccountId, name: &str, at: Timestamp) -> Result<(), StoreError> {
        self.run(INSERT_ACCOUNT, params![id, name, at]).await?;
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

    /// Who may use the key with this hash. `None` when there is none, it is revoked, or its account is closed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn key_owner(&mut self, hash: &str) -> Result<Option<KeyOwner>, StoreError> {
        let row = self.row(KEY_BY_HASH, params![hash]).await?;
        let read = |mut row: Row| {
            let (key, account, payer) = (row.take()?, row.take()?, row.take()?);
            Ok(KeyOwner { key, account, payer, scopes: read_scopes(&mut row)? })
        };
        row.map(read).transpose()
    }

    /// Notes when keys were used last, unless a later use is known.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keys_were_used(&mut self, uses: &BTreeMap<ApiKeyId, KeyUse>) -> Result<(), StoreError> {
        for (key, KeyUse { at, from }) in uses {
            self.run(KEY_USED, params![*at, from.as_ref(), key]).await?;
        }
        Ok(())
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
    /// Adds a key by its hash; one that is there already stays as it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_key(&mut self, key: &StoredKey, hash: &str) -> Result<(), StoreError> {
        let StoredKey { id, hint, name, scopes, created_at, .. } = key;
        let values = params![id, self.account, hash, hint, name, scopes.to_text(), *created_at];
        self.tx.run(INSERT_KEY, values).await
    }

    /// All keys, revoked ones too, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keys(&mut self) -> Result<Vec<StoredKey>, StoreError> {
        let rows = self.tx.rows(KEYS, params![self.account]).await?;
        rows.into_iter().map(read_key).collect()
    }

    /// As [`Scope::keys`], the newest first and a part at a time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keys_page(&mut self, window: Window) -> Result<Page<StoredKey>, StoreError> {
        let rows = self.tx.rows(KEYS_PAGE, params![self.account, window.limit, window.offset]).await?;
        let total = self.tx.one(COUNT_KEYS, params![self.account]).await?.take()?;
        Ok(Page { items: rows.into_iter().map(read_key).collect::<Result<_, _>>()?, total })
    }

    /// Whether a key that may do everything is left.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_admin_key(&mut self) -> Result<bool, StoreError> {
        Ok(self.tx.row(ADMIN_KEY, params![self.account]).await?.is_some())
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

fn read_key(mut row: Row) -> Result<StoredKey, StoreError> {
    let (id, hint, name, scopes) = (row.take()?, row.take()?, row.take()?, read_scopes(&mut row)?);
    let (created_at, revoked_at) = (row.take()?, row.take()?);
    let (used, from): (Option<Timestamp>, _) = (row.take()?, row.take()?);
    let last_used = used.map(|at| KeyUse { at, from });
    Ok(StoredKey { id, hint, name, scopes, created_at, revoked_at, last_used })
}

fn read_scopes(row: &mut Row) -> Result<KeyScopes, StoreError> {
    let text: String = row.take()?;
    KeyScopes::parse(&text).ok_or_else(|| StoreError::Corrupt(format!("scopes {text:?}")))
}
