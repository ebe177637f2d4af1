//! Who is asking: `Authorization: Bearer sk_…` to a [`Caller`].

use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use offhook_domain::{AccountId, ApiKeyId, Id};
use offhook_store::accounts::KeyOwner;

use super::error::ApiError;
use crate::app::{App, hash_api_key};

/// For how long a key that was good is taken for good without asking the store again. A key revoked on
/// another node works at most this much longer.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// Names the sub-account a request is for.
const SCOPE: &str = "x-sub-account-id";

/// Key owners by hash.
pub type KeyCache = moka::sync::Cache<String, KeyOwner>;

/// An empty cache of keys.
#[must_use]
pub fn key_cache() -> KeyCache {
    moka::sync::Cache::builder().max_capacity(10_000).time_to_live(TRUSTED_FOR).build()
}

/// The account that asks, proven by its key.
#[derive(Debug, Clone)]
pub struct Caller {
    pub account: AccountId,
    pub key: ApiKeyId,
}

/// Lets a request pass that carries a good key.
pub async fn require_key(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let key_hash = presented_key(request.headers());
    let scope = request.headers().get(SCOPE).cloned();
    let caller = authenticate(&app, key_hash).await.and_then(|caller| check_scope(caller, scope.as_ref()));
    match caller {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

/// A request scoped to an account that is no child of the caller must not act on the caller's own.
fn check_scope(caller: Caller, scope: Option<&HeaderValue>) -> Result<Caller, ApiError> {
    match scope {
        Some(id) if !id.is_empty() && id.as_bytes() != caller.account.as_str().as_bytes() => {
            Err(ApiError::not_found("SUB_ACCOUNT_NOT_FOUND", "sub-account"))
        }
        _ => Ok(caller),
    }
}

/// The hash of the key a request carries.
fn presented_key(headers: &HeaderMap) -> Result<String, ApiError> {
    let header = headers.get(header::AUTHORIZATION);
    let header = header.ok_or_else(|| ApiError::unauthorized("send your API key as Authorization: Bearer sk_…"))?;
    let (scheme, key) = header.to_str().unwrap_or_default().split_once(' ').unwrap_or_default();
    let key = key.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || key.is_empty() {
        return Err(ApiError::unauthorized("the API key is malformed: send Authorization: Bearer sk_…"));
    }
    Ok(hash_api_key(key))
}

async fn authenticate(app: &App, key_hash: Result<String, ApiError>) -> Result<Caller, ApiError> {
    let hash = key_hash?;
    if let Some(owner) = app.keys.get(&hash) {
        return Ok(Caller { account: owner.account, key: owner.key });
    }
    let wanted = hash.clone();
    let owner = app.store.read::<_, ApiError>(async move |tx| Ok(tx.key_owner(&wanted).await?)).await?;
    let owner = owner.ok_or_else(|| ApiError::unauthorized("the API key is unknown or revoked"))?;
    app.keys.insert(hash, owner.clone());
    Ok(Caller { account: owner.account, key: owner.key })
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| ApiError::unauthorized("this needs an API key"))
    }
}
