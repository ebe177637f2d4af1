//! `/v1/keys`: the API keys of an account.

pub mod create;
pub mod list;
pub mod revoke;

use offhook_domain::{ApiKeyId, KeyScope, Timestamp};
use offhook_store::accounts::StoredKey;
use serde::Serialize;
use utoipa::ToSchema;

/// A key as it can be shown again: never the secret, only enough to know it by.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Key)]
pub struct KeyView {
    #[schema(value_type = String)]
    id: ApiKeyId,
    name: String,
    /// The secret's beginning and end.
    #[schema(example = "sk_live_…9f3c")]
    hint: String,
    /// `read`, `messages`, `calls`, `numbers`, `admin`.
    scopes: Vec<&'static str>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    /// To the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// The client's address at that time.
    last_used_from: Option<String>,
}

impl KeyView {
    fn of(key: StoredKey) -> Self {
        let StoredKey { id, hint, name, scopes, created_at, revoked_at, last_used } = key;
        let scopes = scopes.iter().map(KeyScope::as_str).collect();
        let (last_used_at, last_used_from) = last_used.map(|used| (used.at, used.from)).unzip();
        Self { id, name, hint, scopes, created_at, revoked_at, last_used_at, last_used_from: last_used_from.flatten() }
    }
}
