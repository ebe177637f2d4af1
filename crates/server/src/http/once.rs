//! `Idempotency-Key`: the first outcome of a request is kept with its effect and replayed.
//!
//! A change goes through [`Once::write`], which claims the key, runs the change and keeps its answer in one
//! transaction. A refusal (below 500) is kept by [`remember`] behind the handler; a 5xx never is, for then
//! nothing happened and the client may try again. Nor is an unknown outcome: the key tells what it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use offhook_domain::AccountId;
use offhook_store::engine::Work;
use offhook_store::idempotency::Claim;
use offhook_store::{StoreError, Tx};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::auth::Caller;
use super::error::{ApiError, OutcomeUnknown};
use crate::app::{App, Ring, Sealer, hex};

const HEADER: &str = "idempotency-key";
const REPLAYED: &str = "idempotency-replayed";
const MAX_KEY: usize = 255;

/// An answer as it is kept and sent: a status and a JSON text, or no body (204).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: StatusCode,
    pub body: Option<String>,
    /// The workers to wake once this is committed.
    rings: Vec<Ring>,
}

impl Reply {
    /// 200 with a JSON body.
    ///
    /// # Errors
    /// 500 when `body` can't be JSON, which is a defect here.
    pub fn ok<T: Serialize>(body: &T) -> Result<Self, ApiError> {
        Self::json(StatusCode::OK, body)
    }

    /// 201 with a JSON body.
    ///
    /// # Errors
    /// As for [`Reply::ok`].
    pub fn created<T: Serialize>(body: &T) -> Result<Self, ApiError> {
        Self::json(StatusCode::CREATED, body)
    }

    /// 204.
    #[must_use]
    pub fn no_content() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: None, rings: Vec::new() }
    }

    /// Wakes a worker once this answer is committed.
    #[must_use]
    pub fn ringing(mut self, ring: Ring) -> Self {
        self.rings.push(ring);
        self
    }

    fn json<T: Serialize>(status: StatusCode, body: &T) -> Result<Self, ApiError> {
        let body = serde_json::to_string(body).map_err(|error| ApiError::internal(&error))?;
        Ok(Self { status, body: Some(body), rings: Vec::new() })
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        match self.body {
            Some(body) => (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
            None => self.status.into_response(),
        }
    }
}

/// The request's claim to happen once; without a key every request is its own.
#[derive(Clone, Default)]
pub struct Once {
    key: Option<Arc<OnceKey>>,
}

/// How a request stands that claimed its key.
pub enum Begun {
    /// It is to happen.
    Fresh,
    /// It has happened, with this answer.
    Done(Reply),
    Refused(ApiError),
}

struct OnceKey {
    key: String,
    /// SHA-256 of method, path, query and body.
    fingerprint: String,
    /// Set when the outcome is with the store already.
    settled: AtomicBool,
    /// A kept answer may hold a webhook's secret.
    sealer: Sealer,
}

impl Once {
    /// Runs a change in one transaction with the claim of the key and the keeping of its answer.
    ///
    /// # Errors
    /// What `work` returned; 422 when the key was used with another request; 409 while the first is under way.
    pub async fn write(
        &self,
        app: &App,
        caller: &Caller,
        work: impl Work<Reply, ApiError>,
    ) -> Result<Response, ApiError> {
        let (once, account, now) = (self.clone(), caller.account.clone(), app.now());
        let outcome = app
            .store
            .write(async move |tx: &mut Tx| {
                if let Some(done) = once.begin(tx, &account, now).await? {
                    return Ok(Outcome::Replayed(done));
                }
                let reply = work(tx).await?;
                once.finish(tx, &account, now, &reply).await?;
                Ok::<_, ApiError>(Outcome::Fresh(reply))
            })
            .await?;
        self.settle();
        Ok(match outcome {
            Outcome::Fresh(mut reply) => {
                for ring in reply.rings.drain(..) {
                    app.wakes.ring(ring);
                }
                reply.into_response()
            }
            Outcome::Replayed(reply) => replayed(reply),
        })
    }

    /// Claims the key in a transaction of a longer operation; the kept answer where there is one.
    ///
    /// # Errors
    /// As for [`Once::write`].
    pub async fn begin(
        &self,
        tx: &mut Tx,
        account: &AccountId,
        now: offhook_domain::Timestamp,
    ) -> Result<Option<Reply>, ApiError> {
        match self.claim(tx, account, now).await? {
            Begun::Fresh => Ok(None),
            Begun::Done(reply) => Ok(Some(reply)),
            Begun::Refused(error) => Err(error),
        }
    }

    /// As [`Once::begin`], for a transaction that others share: a refusal does not end it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim(
        &self,
        tx: &mut Tx,
        account: &AccountId,
        now: offhook_domain::Timestamp,
    ) -> Result<Begun, StoreError> {
        let Some(key) = &self.key else { return Ok(Begun::Fresh) };
        let claim = tx.of(account).claim_once(&key.key, &key.fingerprint, now).await?;
        Ok(match key.judge(claim) {
            Ok(None) => Begun::Fresh,
            Ok(Some(reply)) => Begun::Done(reply),
            Err(error) => Begun::Refused(error),
        })
    }

    /// The kept answer where there is one, without claiming the key: an operation that asks others first looks
    /// here before it does.
    ///
    /// # Errors
    /// As for [`Once::write`].
    pub async fn look(
        &self,
        tx: &mut Tx,
        account: &AccountId,
        now: offhook_domain::Timestamp,
    ) -> Result<Option<Reply>, ApiError> {
        let Some(key) = &self.key else { return Ok(None) };
        key.judge(tx.of(account).look_once(&key.key, &key.fingerprint, now).await?)
    }

    /// Keeps the answer under the key claimed at `claimed_at`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish(
        &self,
        tx: &mut Tx,
        account: &AccountId,
        claimed_at: offhook_domain::Timestamp,
        reply: &Reply,
    ) -> Result<(), StoreError> {
        let Some(key) = &self.key else { return Ok(()) };
        let body = reply.body.as_deref().map(|body| key.sealer.seal(body));
        tx.of(account).finish_once(&key.key, claimed_at, i64::from(reply.status.as_u16()), body.as_deref()).await
    }

    /// The key's text, for an operation that outlives its request.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref().map(|key| key.key.as_str())
    }

    /// Tells that the store has the outcome, so that nobody keeps it again.
    pub fn settle(&self) {
        if let Some(key) = &self.key {
            key.settled.store(true, Ordering::Relaxed);
        }
    }
}

impl OnceKey {
    /// Goes on with a fresh key, answers with what is kept, or refuses.
    fn judge(&self, claim: Claim) -> Result<Option<Reply>, ApiError> {
        match claim {
            Claim::Fresh => Ok(None),
            Claim::Done { status, body } => {
                let body = body.map(|sealed| self.sealer.open(&sealed)).transpose();
                body.map(|body| Some(stored_reply(status, body))).map_err(|error| ApiError::internal(&error))
            }
            Claim::Reused => {
                self.settled.store(true, Ordering::Relaxed);
                let message = "this Idempotency-Key was used with another request";
                Err(ApiError::unprocessable_header("IDEMPOTENCY_KEY_REUSED", "Idempotency-Key", message))
            }
            Claim::InProgress => {
                self.settled.store(true, Ordering::Relaxed);
                let message = "the first request with this Idempotency-Key is still under way";
                Err(ApiError::conflict("IDEMPOTENCY_IN_PROGRESS", message))
            }
        }
    }
}

enum Outcome {
    Fresh(Reply),
    Replayed(Reply),
}

fn stored_reply(status: i64, body: Option<String>) -> Reply {
    let status = u16::try_from(status).ok().and_then(|s| StatusCode::from_u16(s).ok()).unwrap_or(StatusCode::OK);
    Reply { status, body, rings: Vec::new() }
}

/// A kept answer on its way out, marked as such.
pub fn replayed(reply: Reply) -> Response {
    let mut response = reply.into_response();
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

/// Whether an answer is a kept one.
pub fn is_replayed(answer: &Response) -> bool {
    answer.headers().contains_key(REPLAYED)
}

impl<S: Send + Sync> FromRequestParts<S> for Once {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

/// Reads the header before the handler and keeps a refusal after it. Stands behind `require_key`.
pub async fn remember(State(app): State<App>, request: Request, next: Next) -> Response {
    let changes = matches!(*request.method(), Method::POST | Method::PATCH | Method::PUT | Method::DELETE);
    let Some(header) = request.headers().get(HEADER).filter(|_| changes) else { return next.run(request).await };
    let key = match header.to_str() {
        Ok(text) if (1..=MAX_KEY).contains(&text.len()) => text.to_owned(),
        _ => {
            let message = format!("must be 1 to {MAX_KEY} visible ASCII characters");
            return ApiError::invalid_field("header", "Idempotency-Key", message).into_response();
        }
    };
    match keep_refusal(&app, request, next, key).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn keep_refusal(app: &App, request: Request, next: Next, key: String) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.map_err(|error| ApiError::internal(&error))?;
    let mut hash = Sha256::new();
    hash.update(format!("{} {}\n", parts.method, parts.uri));
    hash.update(&bytes);
    let fingerprint = hex(&hash.finalize());
    let (settled, sealer) = (AtomicBool::new(false), app.sealer.clone());
    let once = Once { key: Some(Arc::new(OnceKey { key, fingerprint, settled, sealer })) };
    let caller = parts.extensions.get::<Caller>().cloned();
    let mut request = Request::from_parts(parts, Body::from(bytes));
    request.extensions_mut().insert(once.clone());
    let response = next.run(request).await;
    let (Some(caller), Some(key)) = (caller, once.key.clone()) else { return Ok(response) };
    let status = response.status();
    let worth_keeping = status.as_u16() < 500 && status != StatusCode::TOO_MANY_REQUESTS;
    if key.settled.load(Ordering::Relaxed) || !worth_keeping {
        return Ok(response);
    }
    if response.extensions().get::<OutcomeUnknown>().is_some() {
        return Ok(find_out(app, &caller, once, response).await);
    }
    keep(app, &caller, once, response).await
}

/// Finds out by the key what became of a change whose commit was not answered: it is kept with its answer, or
/// nothing of it is. Never keeps that it is unknown.
async fn find_out(app: &App, caller: &Caller, once: Once, unknown: Response) -> Response {
    let (account, now) = (caller.account.clone(), app.now());
    let found = app
        .store
        .write(async move |tx: &mut Tx| {
            // Claimed, not looked at: a commit that is still going on is waited for. Then given up again.
            let found = once.begin(tx, &account, now).await?;
            if found.is_none()
                && let Some(key) = once.key()
            {
                tx.of(&account).forget_once(key, now).await?;
            }
            Ok::<_, ApiError>(found)
        })
        .await;
    match found {
        Ok(Some(done)) => replayed(done),
        Ok(None) => ApiError::internal(&"the commit failed: its key is not there").into_response(),
        Err(_) => unknown,
    }
}

/// Keeps an answer that came without a transaction of its own: a refusal, or a change that changed nothing.
async fn keep(app: &App, caller: &Caller, once: Once, response: Response) -> Result<Response, ApiError> {
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.map_err(|error| ApiError::internal(&error))?;
    let body = (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned());
    let reply = Reply { status: parts.status, body, rings: Vec::new() };
    let (account, now) = (caller.account.clone(), app.now());
    let before = app
        .store
        .write(async move |tx: &mut Tx| {
            let before = once.begin(tx, &account, now).await?;
            if before.is_none() {
                once.finish(tx, &account, now, &reply).await?;
            }
            Ok::<_, ApiError>(before)
        })
        .await?;
    Ok(match before {
        Some(first) => replayed(first),
        None => Response::from_parts(parts, Body::from(bytes)),
    })
}

#[cfg(test)]
mod tests;
