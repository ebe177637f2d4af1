//! The request's id: in every answer's `X-Request-Id`, in every error body and in the logs.

use axum::extract::{MatchedPath, Request};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use offhook_domain::{Clock, Id, RequestId, SystemClock};
use tracing::Instrument;

tokio::task_local! {
    static CURRENT: String;
}

static CLOCK: std::sync::LazyLock<SystemClock> = std::sync::LazyLock::new(SystemClock::default);
const HEADER: &str = "x-request-id";

/// The id of the request this task works on; empty outside of one.
pub fn current() -> String {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// Takes the client's id where it is a sane one, else makes one.
pub async fn assign(request: Request, next: Next) -> Response {
    let given = request.headers().get(HEADER).and_then(|value| value.to_str().ok()).filter(|text| is_sane(text));
    let id = given.map_or_else(|| RequestId::generate(CLOCK.now()).to_string(), str::to_owned);
    let header = HeaderValue::from_str(&id);
    // The route's pattern: a path may hold a phone number.
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
    let span = tracing::info_span!("request", id = %id, method = %request.method(), route);
    let mut response = CURRENT.scope(id, next.run(request)).instrument(span).await;
    if let Ok(value) = header {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

fn is_sane(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}
