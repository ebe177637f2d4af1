//! `POST /hooks/{kind}/{carrier}`, `POST /hooks/{kind}/{carrier}/{what}`: what carriers post to us. In: a request that the
//! carrier itself proves and reads. Out: thanks, once what it brought is committed; else the carrier brings it again.

use axum::body::Bytes;
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use offhook_carriers::{Hook, HookRefused};

use super::error::ApiError;
use crate::app::{App, receiving};
use crate::telemetry::names;

/// A carrier, and whatever its kind calls what it posts.
type Named = Path<std::collections::HashMap<String, String>>;

pub async fn handle(
    State(app): State<App>,
    Path(named): Named,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let name = named.get("carrier").map(String::as_str).unwrap_or_default();
    let carrier = app.carriers.named(name).cloned();
    let carrier = carrier.ok_or_else(|| ApiError::not_found("NOT_FOUND", "carrier"))?;
    let hooks = carrier.hooks().ok_or_else(|| ApiError::not_found("NOT_FOUND", "carrier"))?;
    // As the world writes it: the carrier signs what it called, not what a proxy made of it.
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let url = format!("{}{path}", app.config.public_url(app.config.server.listen));
    let hook = Hook { url: &url, headers: &headers, body: &body, now: app.now() };
    let read = hooks.read(&hook);
    let outcome = read.as_ref().err().map_or("read", outcome);
    metrics::counter!(names::CARRIER_HOOKS, "carrier" => carrier.name(), "outcome" => outcome).increment(1);
    let inbound = read.map_err(|why| {
        tracing::warn!(carrier = carrier.name(), %why, "a hook was refused");
        refused(why)
    })?;
    if !inbound.is_empty() {
        // Also where it may be kept: the carrier's own id makes a repeat harmless.
        receiving::receive(&app, inbound).await.map_err(|_| {
            ApiError::plain(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "it can't be kept now; bring it again")
        })?;
    }
    let thanks = hooks.thanks();
    Ok(([(header::CONTENT_TYPE, thanks.content_type)], thanks.body).into_response())
}

fn outcome(why: &HookRefused) -> &'static str {
    match why {
        HookRefused::Unsigned => "unsigned",
        HookRefused::Forged => "forged",
        HookRefused::Stale => "stale",
        HookRefused::Unreadable => "unreadable",
    }
}

fn refused(why: HookRefused) -> ApiError {
    let (status, code) = match why {
        HookRefused::Unsigned => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
        HookRefused::Forged | HookRefused::Stale => (StatusCode::FORBIDDEN, "FORBIDDEN"),
        HookRefused::Unreadable => (StatusCode::BAD_REQUEST, "BAD_REQUEST"),
    };
    ApiError::plain(status, code, why.to_string())
}
