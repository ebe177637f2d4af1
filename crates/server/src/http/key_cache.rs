//! What a node remembers of keys: whose they are, whom they may act for, and that they were used.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use offhook_domain::{AccountId, ApiKeyId, Timestamp};
use offhook_store::accounts::{KeyOwner, KeyUse};

/// For how long a key that was good is taken for good without asking the store again. A key revoked on
/// another node works at most this much longer.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// A key's use is written down once in this time at the most.
const USE_NOTED_EVERY: Duration = Duration::from_secs(60);
/// A refusal of the same key for the same reason has one line of the audit log in this time.
const REFUSAL_LOGGED_EVERY: Duration = Duration::from_secs(10);
const MOST: u64 = 10_000;

/// Shared by all requests of a node. Cheap to clone.
#[derive(Clone)]
pub struct KeyCache {
    owners: Cache<String, KeyOwner>,
    /// Masters and their open sub-accounts.
    families: Cache<(AccountId, AccountId), ()>,
    noted: Cache<ApiKeyId, ()>,
    /// Of whom lately what was refused with which status.
    refused: Cache<(ApiKeyId, String, u16), ()>,
    uses: Arc<Mutex<BTreeMap<ApiKeyId, KeyUse>>>,
}

/// An empty cache of keys.
#[must_use]
pub fn key_cache() -> KeyCache {
    KeyCache {
        owners: Cache::builder().max_capacity(MOST).time_to_live(TRUSTED_FOR).build(),
        families: Cache::builder().max_capacity(MOST).time_to_live(TRUSTED_FOR).build(),
        noted: Cache::builder().max_capacity(MOST).time_to_live(USE_NOTED_EVERY).build(),
        refused: Cache::builder().max_capacity(MOST).time_to_live(REFUSAL_LOGGED_EVERY).build(),
        uses: Arc::default(),
    }
}

impl KeyCache {
    /// Whose the key with this hash was a moment ago.
    #[must_use]
    pub fn owner(&self, hash: &str) -> Option<KeyOwner> {
        self.owners.get(hash)
    }

    pub fn remember(&self, hash: String, owner: KeyOwner) {
        self.owners.insert(hash, owner);
    }

    /// Whether `child` was an open sub-account of `master` a moment ago.
    #[must_use]
    pub fn is_family(&self, master: &AccountId, child: &AccountId) -> bool {
        self.families.contains_key(&(master.clone(), child.clone()))
    }

    pub fn remember_family(&self, master: AccountId, child: AccountId) {
        self.families.insert((master, child), ());
    }

    /// Forgets whom it trusts: a key was revoked, or an account closed.
    pub fn invalidate_all(&self) {
        self.owners.invalidate_all();
        self.families.invalidate_all();
    }

    /// Notes that a key was used, to be written down by housekeeping.
    pub fn was_used(&self, key: &ApiKeyId, at: Timestamp, from: Option<IpAddr>) {
        if self.noted.contains_key(key) {
            return;
        }
        self.noted.insert(key.clone(), ());
        let used = KeyUse { at, from: from.map(|address| address.to_string()) };
        self.uses.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), used);
    }

    /// Whether this is the first refusal of its kind for a while: the others are not logged, so that who is refused makes
    /// few writes.
    #[must_use]
    pub fn is_first_refusal(&self, key: &ApiKeyId, action: &str, status: u16) -> bool {
        self.refused.entry((key.clone(), action.to_owned(), status)).or_insert(()).is_fresh()
    }

    /// The uses noted since this was last asked.
    #[must_use]
    pub fn take_uses(&self) -> BTreeMap<ApiKeyId, KeyUse> {
        std::mem::take(&mut *self.uses.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
