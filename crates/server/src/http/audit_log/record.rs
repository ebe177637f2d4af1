//! Writes the audit log: a line before each act that it is kept of, and its outcome behind it.
//!
//! In: a request whose key may do what it asks. Out: the request's answer. The line is committed before the act begins, so
//! that no act is without one, even where the process dies in between; its outcome is missing then. What is refused before
//! it comes so far, for its key's sake, is written down with its outcome, once in a while. Never here: bodies and secrets.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use offhook_domain::{AccountId, ApiKeyId, AuditId, Id, KeyScope, Timestamp};
use offhook_store::audit_log::{Actor, AuditLine, Outcome};
use offhook_store::{StoreError, Tx};

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::ApiError;
use crate::http::{document, once, request_id, scopes};

/// Operations' names by their method and route.
static OPERATIONS: LazyLock<HashMap<String, String>> = LazyLock::new(operations);

/// What an act was done to, where neither path nor answer says so by an id: an extension of the answer.
#[derive(Debug, Clone)]
pub struct Target(pub String);

/// A person as the log names one: by a hash that only this installation can make, so that the log tells whether somebody was
/// erased and not who.
pub fn target_of_person(app: &App, person: &str) -> Target {
    Target(format!("person {}", app.sealer.fingerprint(person)))
}

/// Keeps a line of requests that change how the account is set up, or that take its contents away.
pub async fn record(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some((caller, line)) = line_of(&app, &request) else { return next.run(request).await };
    let (account, id) = (caller.account.clone(), line.id.clone());
    let begun = app.store.write::<_, StoreError>(async move |tx: &mut Tx| tx.of(&caller.account).audit(&line).await);
    if let Err(error) = begun.await {
        return match error {
            // Nothing was done yet, whatever became of the line.
            StoreError::Unknown(why) => ApiError::internal(&why).into_response(),
            error => ApiError::from(error).into_response(),
        };
    }
    let (answer, target) = target_of(next.run(request).await).await;
    let (status, replayed) = (i64::from(answer.status().as_u16()), once::is_replayed(&answer));
    let outcome = Outcome { status, replayed, target };
    let conclude = async move |tx: &mut Tx| tx.of(&account).conclude_audit(&id, &outcome).await;
    if let Err(error) = app.store.write::<_, StoreError>(conclude).await {
        tracing::warn!(%error, "the outcome of an act is missing in the audit log");
    }
    answer
}

/// The line of a request, where one is kept of it.
fn line_of(app: &App, request: &Request) -> Option<(Caller, AuditLine)> {
    let caller = request.extensions().get::<Caller>()?.clone();
    let line = Act::of(request)?.line(app.now(), &caller.key, caller.address);
    Some((caller, line))
}

/// An act that the log is kept of, as its request tells it.
#[derive(Debug, Clone)]
pub struct Act {
    action: String,
    target: Option<String>,
}

impl Act {
    /// `None` where no line is kept of such a request.
    pub fn of(request: &Request) -> Option<Self> {
        let (method, route) = (request.method(), request.extensions().get::<MatchedPath>()?.as_str());
        let target = || target_in_path(route, request.uri().path());
        is_kept(method, route).then(|| Self { action: action(method, route), target: target() })
    }

    fn line(self, at: Timestamp, key: &ApiKeyId, address: Option<IpAddr>) -> AuditLine {
        AuditLine {
            id: AuditId::generate(at),
            actor: Actor::Key,
            key: Some(key.clone()),
            remote_address: address.map(|address| address.to_string()),
            action: self.action,
            target: self.target,
            request_id: Some(request_id::current()).filter(|id| !id.is_empty()),
            status: None,
            replayed: false,
            at,
        }
    }
}

/// Writes down that an act was refused before it began: its key lacks the scope, names a sub-account that is not its own,
/// or asks too often. Once in a while of each kind: whoever tries keys must not make us write without end.
pub async fn record_refusal(
    app: &App,
    account: &AccountId,
    key: &ApiKeyId,
    address: Option<IpAddr>,
    act: Act,
    status: StatusCode,
) {
    if !app.keys.is_first_refusal(key, &act.action, status.as_u16()) {
        return;
    }
    let line = AuditLine { status: Some(status.as_u16().into()), ..act.line(app.now(), key, address) };
    let account = account.clone();
    let write = app.store.write::<_, StoreError>(async move |tx: &mut Tx| tx.of(&account).audit(&line).await);
    if let Err(error) = write.await {
        tracing::warn!(%error, "a refusal is missing in the audit log");
    }
}

fn is_kept(method: &Method, route: &str) -> bool {
    !method.is_safe() && matches!(scopes::needed(method, route), KeyScope::Numbers | KeyScope::Admin)
}

/// The operation's name in the OpenAPI document.
fn action(method: &Method, route: &str) -> String {
    let name = format!("{method} {route}");
    OPERATIONS.get(&name).cloned().unwrap_or(name)
}

fn operations() -> HashMap<String, String> {
    let document = crate::http::document();
    let paths = document.paths.paths.into_iter();
    paths
        .flat_map(|(path, item)| {
            let named =
                document::operations_of(item).filter_map(|(method, operation)| Some((method, operation.operation_id?)));
            named.map(|(method, id)| (format!("{method} {path}"), id)).collect::<Vec<_>>()
        })
        .collect()
}

/// The last id in the path. What looks otherwise may be anything, a phone number even, and is not kept.
fn target_in_path(route: &str, path: &str) -> Option<String> {
    let parts = route.split('/').zip(path.split('/'));
    let ids = parts.filter(|(pattern, _)| pattern.starts_with('{')).map(|(_, text)| text);
    ids.filter(|text| is_id(text)).last().map(str::to_owned)
}

fn is_id(text: &str) -> bool {
    let is_word = |part: &str| part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    text.split_once('_').is_some_and(|(prefix, rest)| is_word(prefix) && rest.len() == 26 && is_word(rest))
}

/// The id of what was made, read from its answer.
async fn target_of(answer: Response) -> (Response, Option<String>) {
    if let Some(Target(target)) = answer.extensions().get::<Target>() {
        let target = target.clone();
        return (answer, Some(target));
    }
    if !answer.status().is_success() {
        return (answer, None);
    }
    let (parts, body) = answer.into_parts();
    // An answer of ours is whole in memory already.
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return (Response::from_parts(parts, Body::empty()), None);
    };
    let body: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let made = body["id"].as_str().filter(|id| is_id(id)).map(str::to_owned);
    (Response::from_parts(parts, Body::from(bytes)), made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_have_the_names_of_the_document() {
        assert_eq!(action(&Method::POST, "/v1/keys"), "createKey");
        assert_eq!(action(&Method::DELETE, "/v1/sub-accounts/{id}"), "closeSubAccount");
        assert_eq!(action(&Method::POST, "/v1/nothing"), "POST /v1/nothing");
    }

    #[test]
    fn only_ids_are_kept_of_a_path() {
        let number = "num_06ck3v0w2e8zg1m8t4q7x5n9ra";
        let found = |id: &str| target_in_path("/v1/numbers/{id}", &format!("/v1/numbers/{id}"));
        assert_eq!(found(number).as_deref(), Some(number));
        assert_eq!(found("+14155550100"), None);
        assert_eq!(found("num_'--"), None);
        assert_eq!(target_in_path("/v1/numbers", "/v1/numbers"), None);
    }

    #[test]
    fn what_is_said_is_no_act() {
        assert!(!is_kept(&Method::POST, "/v1/messages"));
        assert!(!is_kept(&Method::GET, "/v1/keys"));
        assert!(is_kept(&Method::POST, "/v1/numbers"));
        assert!(is_kept(&Method::POST, "/v1/webhooks"));
        assert!(is_kept(&Method::POST, "/v1/privacy/export"));
    }
}
