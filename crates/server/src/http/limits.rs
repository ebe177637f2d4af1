//! What holds for every request: a time-out, a body limit, a count, a stop-watch, and no panic that reaches the
//! client.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tokio::sync::OwnedSemaphorePermit;

use super::error::ApiError;
use super::whole_body::{LargeBodies, Whole};
use crate::app::App;
use crate::telemetry::names;

/// What the limits of all requests share.
#[derive(Clone)]
pub struct Limits {
    pub app: App,
    pub large_bodies: LargeBodies,
}

/// Runs the rest of the request within its limits.
pub async fn apply(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let Limits { app, large_bodies } = limits;
    let started = Instant::now();
    let method = request.method().clone();
    // The route's pattern, never the path: ids must not become labels.
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |p| p.as_str().to_owned());
    let (limit, patience) = (app.config.server.body_limit_bytes, app.config.server.request_timeout);
    let answering_patience = if waits_for_calls(&route) { patience.max(WAITING) } else { patience };
    let response = match read_whole(request, &large_bodies, limit, patience).await {
        Ok((request, _place)) => {
            let answering = AssertUnwindSafe(next.run(request)).catch_unwind();
            match tokio::time::timeout(answering_patience, answering).await {
                Ok(Ok(response)) => response,
                Ok(Err(_)) => panicked(&method),
                Err(_) => timed_out(&method),
            }
        }
        Err(error) => error.into_response(),
    };
    let labels = [
        ("route", route),
        ("method", method_label(&method).to_owned()),
        ("status", response.status().as_u16().to_string()),
    ];
    metrics::counter!(names::HTTP_REQUESTS, &labels).increment(1);
    metrics::histogram!(names::HTTP_REQUEST_SECONDS, &labels).record(started.elapsed().as_secs_f64());
    response
}

/// Whoever waits for a call may do so for ten minutes (contract, "Calls").
const WAITING: Duration = Duration::from_secs(620);

fn waits_for_calls(route: &str) -> bool {
    matches!(route, "/v1/calls" | "/v1/calls/{id}" | "/sandbox/calls")
}

/// A method of anybody's invention must not become a label: each would take memory for good.
fn method_label(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// Reads the body whole before anyone answers: a connection whose request is left half read can't be used again,
/// and a client that does finds it closed. Nothing has happened while the body is still on its way.
async fn read_whole(
    request: Request,
    large_bodies: &LargeBodies,
    limit: usize,
    patience: Duration,
) -> Result<(Request, Option<OwnedSemaphorePermit>), ApiError> {
    let (parts, body) = request.into_parts();
    match tokio::time::timeout(patience, large_bodies.read(body, limit)).await {
        Ok(whole) => whole.map(|Whole { bytes, place }| (Request::from_parts(parts, Body::from(bytes)), place)),
        Err(_) => Err(ApiError::refused("the body did not arrive in time; nothing was changed")),
    }
}

fn timed_out(method: &Method) -> Response {
    cut_short(method, "the request took too long")
}

fn panicked(method: &Method) -> Response {
    tracing::error!("a handler panicked");
    cut_short(method, "something went wrong here")
}

/// A 5xx may only say that nothing happened. After a change that is not known, so a change gets a 409: the
/// client looks before it tries again, or repeats it under its `Idempotency-Key`.
fn cut_short(method: &Method, why: &str) -> Response {
    if method.is_safe() {
        return ApiError::plain(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", why).into_response();
    }
    let message = format!(
        "{why}; whether it took effect is not known: look before you repeat it, or repeat it with its Idempotency-Key"
    );
    ApiError::conflict("CONFLICT", message).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invented_method_is_no_label() {
        assert_eq!(method_label(&Method::PATCH), "PATCH");
        assert_eq!(method_label(&Method::from_bytes(b"X1").unwrap()), "other");
    }
}
