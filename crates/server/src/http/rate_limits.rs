//! How often a key may ask, by the class of what it asks for; the same for all nodes together.
//!
//! In: a request whose key is known. Out: the request, or 429 with the time to wait. A node takes tokens from the bucket
//! in the store, one at first and more at a time where they are used up fast, and at most what comes in a twentieth of a
//! second: so a busy key costs few transactions, and what another node lacks for it is little.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use offhook_domain::Timestamp;
use offhook_store::StoreError;
use offhook_store::rate_buckets::{Rate, Taken};
use tokio::sync::Mutex;

use super::audit_log::{Act, record_refusal};
use super::auth::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::config::RateLimits;

/// The most tokens taken at a time: a second's, divided by this.
const PORTIONS: u32 = 20;
/// Tokens that were taken and not used by then are gone.
const TOKENS_KEPT: Duration = Duration::from_millis(500);
/// Keys that are in memory at most, in each class.
const MOST_KEYS: u64 = 50_000;
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// The buckets of the keys that asked lately, as far as this node has taken from them.
#[derive(Clone)]
pub struct Meters(moka::sync::Cache<String, Arc<Mutex<Meter>>>);

/// What a node has of a bucket.
#[derive(Debug)]
struct Meter {
    tokens: u32,
    /// When they are gone.
    kept_until: Timestamp,
    /// How many were taken last.
    portion: u32,
    /// There is none before then, for anybody.
    empty_until: Timestamp,
}

/// What a request does, as far as its rate goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Read,
    Write,
    Message,
    Call,
}

impl Default for Meters {
    fn default() -> Self {
        Self(moka::sync::Cache::builder().max_capacity(MOST_KEYS).time_to_idle(FORGOTTEN_AFTER).build())
    }
}

/// Lets a request pass whose key has not asked too often.
pub async fn limit(State(app): State<App>, request: Request, next: Next) -> Response {
    let refused = match metered(&app, &request) {
        Some((resource, class, rate)) => check(&app, resource, class, rate).await.err(),
        None => None,
    };
    let Some(error) = refused else { return next.run(request).await };
    let (caller, act) = (request.extensions().get::<Caller>().cloned(), Act::of(&request));
    // Its body need not be shared by threads, and is not needed.
    drop(request);
    if let (Some(Caller { account, key, address, .. }), Some(act)) = (caller, act) {
        record_refusal(&app, &account, &key, address, act, error.status()).await;
    }
    error.into_response()
}

/// What a request takes of, where there is a limit to it.
fn metered(app: &App, request: &Request) -> Option<(String, Class, Rate)> {
    let limits = &app.config.rate_limits;
    if app.config.mode.sandbox && !limits.in_sandbox {
        return None;
    }
    let class = Class::of(request.method(), request.uri().path());
    let rate = class.rate(limits)?;
    let caller = request.extensions().get::<Caller>()?;
    Some((format!("{} {}", caller.key, class.as_str()), class, rate))
}

async fn check(app: &App, resource: String, class: Class, rate: Rate) -> Result<(), ApiError> {
    let meter = app.meters.0.get_with_by_ref(&resource, || Arc::new(Mutex::new(Meter::idle())));
    match meter.lock().await.pass(app, &resource, rate).await? {
        None => Ok(()),
        Some(wait) => {
            let message = format!("too many requests of this key ({}): try again after {wait:?}", class.as_str());
            Err(ApiError::rate_limited(wait, message))
        }
    }
}

impl Meter {
    fn idle() -> Self {
        let past = Timestamp::from_micros(0);
        Self { tokens: 0, kept_until: past, portion: 0, empty_until: past }
    }

    /// Uses a token; how long to wait where there is none.
    async fn pass(&mut self, app: &App, resource: &str, rate: Rate) -> Result<Option<Duration>, StoreError> {
        let now = app.now();
        if self.tokens > 0 && now < self.kept_until {
            self.tokens -= 1;
            return Ok(None);
        }
        if now < self.empty_until {
            return Ok(Some(self.empty_until.since(now)));
        }
        let used_up = self.tokens == 0 && now < self.kept_until;
        self.portion = if used_up { (self.portion * 2).clamp(1, most(rate)) } else { 1 };
        let (wanted, name) = (self.portion, resource.to_owned());
        let taken =
            app.store.write::<_, StoreError>(async move |tx| tx.take_tokens(&name, rate, wanted, now).await).await?;
        match taken {
            Taken::Tokens(tokens) => {
                self.tokens = tokens.saturating_sub(1);
                self.kept_until = now.plus(TOKENS_KEPT);
                Ok(None)
            }
            Taken::NoneFor(wait) => {
                self.empty_until = now.plus(wait);
                Ok(Some(wait))
            }
        }
    }
}

/// The most tokens to take at a time.
fn most(rate: Rate) -> u32 {
    let a_second = Duration::from_secs(1).as_micros().checked_div(rate.interval.as_micros()).unwrap_or(1);
    (u32::try_from(a_second).unwrap_or(u32::MAX) / PORTIONS).clamp(1, rate.burst)
}

impl Class {
    fn of(method: &Method, path: &str) -> Self {
        let path = path.trim_end_matches('/');
        let makes_message = |path: &str| {
            matches!(path, "/v1/messages" | "/v1/verify/send")
                || path.ends_with("/reactions")
                || path.ends_with("/typing")
                || path.ends_with("/contact-card/share")
        };
        match *method {
            Method::GET | Method::HEAD | Method::OPTIONS => Self::Read,
            Method::POST if makes_message(path) => Self::Message,
            Method::POST if path == "/v1/calls" || path == "/v1/calls/web" => Self::Call,
            _ => Self::Write,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Read => "reads",
            Self::Write => "writes",
            Self::Message => "messages",
            Self::Call => "calls",
        }
    }

    /// `None` where there is no limit.
    fn rate(self, limits: &RateLimits) -> Option<Rate> {
        let per_minute = match self {
            Self::Read => limits.reads_per_minute,
            Self::Write => limits.writes_per_minute,
            Self::Message => limits.messages_per_minute,
            Self::Call => limits.calls_per_minute,
        };
        let interval = Duration::from_secs(60).checked_div(per_minute)?;
        let burst = per_minute.saturating_mul(limits.burst_seconds).div_ceil(60).max(1);
        Some(Rate { interval, burst })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_does_is_told_by_its_method_and_path() {
        let class = |method: &Method, path: &str| Class::of(method, path);
        assert_eq!(class(&Method::GET, "/v1/messages"), Class::Read);
        assert_eq!(class(&Method::POST, "/v1/messages"), Class::Message);
        assert_eq!(class(&Method::POST, "/v1/messages/msg_1/reactions"), Class::Message);
        assert_eq!(class(&Method::POST, "/v1/calls/call_1/end"), Class::Write);
        assert_eq!(class(&Method::POST, "/v1/calls"), Class::Call);
        assert_eq!(class(&Method::DELETE, "/v1/numbers/num_1"), Class::Write);
    }

    #[test]
    fn a_node_takes_a_twentieth_of_a_second_at_most() {
        let rate = |per_minute| Rate { interval: Duration::from_secs(60) / per_minute, burst: 1_000 };
        assert_eq!([1, 60, 1_200, 6_000].map(|per_minute| most(rate(per_minute))), [1, 1, 1, 5]);
    }
}
