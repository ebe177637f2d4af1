//! Who is asking: `Authorization: Bearer sk_…` to a [`Caller`]; and for whom: `X-Sub-Account-Id`.

use std::net::IpAddr;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use offhook_domain::{AccountId, ApiKeyId, Id, KeyScopes};
use offhook_store::accounts::KeyOwner;
use offhook_store::{StoreError, Tx};

use super::audit_log::{Act, record_refusal};
use super::client_address::client_address;
use super::error::ApiError;
use super::extract::Named;
pub use super::key_cache::{KeyCache, key_cache};
use super::scopes;
use crate::app::{App, hash_api_key};

/// Names the sub-account a request is for.
const SUB_ACCOUNT: &str = "x-sub-account-id";

/// Who asks, proven by a key, and for which account.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The account that is acted on: the key's own, or the sub-account that its request names.
    pub account: AccountId,
    /// Who pays for it: its master, or itself.
    pub payer: AccountId,
    pub key: ApiKeyId,
    /// Whose that key is.
    pub owner: AccountId,
    pub scopes: KeyScopes,
    /// The client's address, where it is known.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// Whether the account that is acted on is a sub-account.
    #[must_use]
    pub fn is_sub_account(&self) -> bool {
        self.account != self.payer
    }

    /// Whether the key is that of who pays: the account's own where it pays for itself, else its master's.
    #[must_use]
    pub fn is_payer(&self) -> bool {
        self.owner == self.payer
    }
}

/// Lets a request pass that carries a good key which may do this.
pub async fn require_key(State(app): State<App>, mut request: Request, next: Next) -> Response {
    match identify(&app, &request).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

/// What is needed of a request is taken from it before anything is waited for: its body need not be shared by threads.
pub(super) fn identify<'a>(
    app: &'a App,
    request: &Request,
) -> impl Future<Output = Result<Caller, ApiError>> + Send + use<'a> {
    let hash = presented_key(request.headers());
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("", MatchedPath::as_str);
    let needed = scopes::needed(request.method(), route);
    let outlives_its_account = scopes::outlives_its_account(request.method(), route);
    let act = Act::of(request);
    let asked_for = request.headers().get(SUB_ACCOUNT).filter(|id| !id.is_empty());
    let asked_for = asked_for.map(|id| AccountId::parse(id.to_str().unwrap_or_default()).ok());
    let trusted = &app.config.server.trusted_proxies;
    let address = client_address(request.extensions(), request.headers(), trusted);
    async move {
        let owner = authenticate(app, hash?).await?;
        app.keys.was_used(&owner.key, app.now(), address);
        let account = if owner.scopes.allow(needed) {
            account_acted_on(app, &owner.account, asked_for, outlives_its_account).await
        } else {
            let message = format!("this key has not the scope {:?} that this needs", needed.as_str());
            Err(ApiError::forbidden(message))
        };
        let KeyOwner { key, account: owner, payer, scopes } = owner;
        match account {
            Ok(account) => Ok(Caller { account, payer, key, owner, scopes, address }),
            Err(error) => {
                if let Some(act) = act.filter(|_| error.status().is_client_error()) {
                    record_refusal(app, &owner, &key, address, act, error.status()).await;
                }
                Err(error)
            }
        }
    }
}

/// The caller's own account, or the sub-account that is asked for. One that is none of the caller's is missing: it must not
/// act on his own instead.
async fn account_acted_on(
    app: &App,
    own: &AccountId,
    asked_for: Option<Option<AccountId>>,
    also_closed: bool,
) -> Result<AccountId, ApiError> {
    let asked = match asked_for {
        None => return Ok(own.clone()),
        Some(asked) => asked.ok_or_else(AccountId::missing)?,
    };
    if is_child(app, own, &asked, also_closed).await? { Ok(asked) } else { Err(AccountId::missing()) }
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

async fn authenticate(app: &App, hash: String) -> Result<KeyOwner, ApiError> {
    if let Some(owner) = app.keys.owner(&hash) {
        return Ok(owner);
    }
    let wanted = hash.clone();
    let owner = app.store.read::<_, ApiError>(async move |tx| Ok(tx.key_owner(&wanted).await?)).await?;
    let owner = owner.ok_or_else(|| ApiError::unauthorized("the API key is unknown or revoked"))?;
    app.keys.remember(hash, owner.clone());
    Ok(owner)
}

/// Whether it is an open sub-account, or also a closed one.
async fn is_child(app: &App, master: &AccountId, child: &AccountId, also_closed: bool) -> Result<bool, ApiError> {
    if app.keys.is_family(master, child) {
        return Ok(true);
    }
    let (ours, theirs) = (master.clone(), child.clone());
    let find = async move |tx: &mut Tx| tx.of(&ours).is_open_child(&theirs).await;
    let is_open = app.store.read::<_, StoreError>(find).await?;
    if is_open == Some(true) {
        app.keys.remember_family(master.clone(), child.clone());
    }
    Ok(is_open.is_some_and(|is_open| is_open || also_closed))
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| ApiError::unauthorized("this needs an API key"))
    }
}
