//! Asks a carrier's HTTP API. In: a request whose address comes from the operator's configuration. Out: its answer, or
//! precisely whether it may have arrived. Never here: what an answer means; addresses that a customer named.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Method, StatusCode};
use offhook_domain::message::{Failure, SendOutcome};
use serde_json::Value;
use url::Url;

/// DNS, TCP and TLS. What is not connected by then has not arrived.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The whole exchange; the caller's own patience is shorter as a rule.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Shorter than the idle time-outs of common servers (60–75 s), so that we rarely write into a closing connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// No answer that we read is longer.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;
/// A carrier that wants a pause and does not say how long gets this one.
const PAUSE: Duration = Duration::from_secs(1);
/// Who asks for a pause this short is waited for by a message; a longer one is an outcome.
const SHORT_PAUSE: Duration = Duration::from_secs(2);
/// None is obeyed for longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// The client can't be made: no usable root certificates on this machine, as a rule.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client of a carrier can't be built")]
pub struct ClientUnbuildable(#[source] reqwest::Error);

/// One API.
pub(crate) struct Api {
    http: Http,
    base: Url,
    /// Until when the carrier wants to be left alone.
    pause: Mutex<Option<Instant>>,
}

/// A request.
pub(crate) struct Ask<'a> {
    pub method: Method,
    /// Behind the base.
    pub path: &'a str,
    pub query: &'a [(&'a str, &'a str)],
    pub body: Body,
    /// Past this it does not leave the process.
    pub until: Option<Instant>,
}

/// What a request says.
pub(crate) enum Body {
    None,
    Form(Vec<(&'static str, String)>),
    Json(Value),
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub status: StatusCode,
    /// `Null` where it is no JSON.
    pub body: Value,
}

/// No answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoReply {
    /// The request never left us, or not whole.
    NotSent(String),
    /// Nobody knows.
    Lost(String),
}

impl NoReply {
    pub fn into_words(self) -> String {
        match self {
            Self::NotSent(why) | Self::Lost(why) => why,
        }
    }
}

#[expect(clippy::disallowed_types, reason = "its addresses are the operator's own, never a customer's")]
type Http = reqwest::Client;

impl Api {
    /// `headers` go with every request, as whatever proves who we are.
    pub fn new(base: Url, headers: HeaderMap) -> Result<Self, ClientUnbuildable> {
        let here = matches!(base.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        Ok(Self { http: client(headers, here).map_err(ClientUnbuildable)?, base, pause: Mutex::new(None) })
    }

    /// How long the carrier still wants to be left alone.
    pub fn pause(&self) -> Option<Duration> {
        let pause = *self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        pause.and_then(|until| until.checked_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    /// Asks once. Nothing is repeated here: whoever asks knows what a repeat would do.
    pub async fn ask(&self, ask: Ask<'_>) -> Result<Reply, NoReply> {
        let request = self.request(&ask)?;
        let mut response = self.http.execute(request).await.map_err(|error| why(&error))?;
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS {
            self.keep_pause(response.headers());
        }
        let mut body = Vec::new();
        // An answer that breaks off has still told its status.
        while let Ok(Some(chunk)) = response.chunk().await {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                return Err(NoReply::Lost("the answer is longer than any that makes sense".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
    }

    /// Hands over the message that `ask` is. `paused` is the code of one that is not asked because the carrier wants to be left
    /// alone, `id` finds the carrier's id in the answer that took it, and `refused` tells what another answer means.
    pub async fn hand_over(
        &self,
        ask: Ask<'_>,
        paused: &str,
        id: fn(&Value) -> Option<&str>,
        refused: fn(&Reply) -> SendOutcome,
    ) -> SendOutcome {
        match self.pause() {
            Some(pause) if pause <= SHORT_PAUSE => tokio::time::sleep(pause).await,
            Some(_) => return SendOutcome::NotTaken(Failure::new(paused, "the carrier asked for a pause")),
            None => {}
        }
        match self.ask(ask).await {
            Ok(reply) if reply.status.is_success() => match id(&reply.body) {
                Some(id) => SendOutcome::Accepted { carrier_message_id: id.to_owned() },
                None => SendOutcome::Unknown(Failure::new("30001", "the carrier's answer could not be read")),
            },
            Ok(reply) => refused(&reply),
            Err(NoReply::NotSent(why)) => SendOutcome::NotTaken(Failure::new("30022", &why)),
            Err(NoReply::Lost(why)) => SendOutcome::Unknown(Failure::new("30001", &why)),
        }
    }

    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Reply, String> {
        let ask = Ask { method: Method::GET, path, query, body: Body::None, until: None };
        self.ask(ask).await.map_err(NoReply::into_words)
    }

    fn request(&self, ask: &Ask<'_>) -> Result<reqwest::Request, NoReply> {
        let mut url = self.base.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}{}", ask.path));
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(ask.query);
        }
        let mut request = reqwest::Request::new(ask.method.clone(), url);
        let (kind, text) = match &ask.body {
            Body::None => return Ok(request),
            Body::Form(fields) => {
                let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
                ("application/x-www-form-urlencoded", form)
            }
            Body::Json(value) => ("application/json", value.to_string()),
        };
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
        headers.insert(CONTENT_LENGTH, text.len().into());
        *request.body_mut() = Some(match ask.until {
            None => text.into(),
            // Asked for when the connection is there, right before it is written: a request whose body is missing
            // is none.
            Some(until) => reqwest::Body::wrap_stream(stream::once(async move {
                if Instant::now() < until { Ok(Bytes::from(text)) } else { Err(TooLate) }
            })),
        });
        Ok(request)
    }

    fn keep_pause(&self, headers: &HeaderMap) {
        let named = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let wait = named.map_or(PAUSE, Duration::from_secs).min(LONGEST_PAUSE);
        *self.pause.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + wait);
    }
}

#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the time to hand it over had run out")]
struct TooLate;

#[expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "see `Http`")]
fn client(headers: HeaderMap, here: bool) -> Result<Http, reqwest::Error> {
    let builder = reqwest::Client::builder();
    // An operator's proxy is the way out, not the way to this machine.
    let builder = if here { builder.no_proxy() } else { builder };
    builder
        .default_headers(headers)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        // One exchange per connection, and none that is repeated behind our back.
        .http1_only()
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .user_agent(concat!("Offhook/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// The text may be shown to the operator, and bears no address: URLs hold account numbers.
fn why(error: &reqwest::Error) -> NoReply {
    if caused_by::<TooLate>(error) {
        return NoReply::NotSent(TooLate.to_string());
    }
    if error.is_connect() {
        return NoReply::NotSent(format!("no connection to the carrier: {}", deepest(error)));
    }
    if error.is_builder() {
        return NoReply::NotSent("the request can't be written".to_owned());
    }
    if error.is_timeout() {
        return NoReply::Lost("the carrier did not answer in time".to_owned());
    }
    NoReply::Lost(format!("the carrier's answer was lost: {}", deepest(error)))
}

fn caused_by<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        if cause.is::<E>() {
            return true;
        }
        next = cause.source();
    }
    false
}

fn deepest(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// What a JSON value has at a path, as text.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}
