//! One post of an event to a customer's endpoint, signed anew: what every delivery comes down to.
//!
//! In: an endpoint, the kept bytes. Out: what the log says of the attempt. Never here: when to try again.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use offhook_domain::webhook::{EventType, Webhook};
use offhook_domain::{DeliveryId, Id};

use super::App;
use super::secrets::NotOpened;
use crate::guarded_http::{Answer, FetchFailed, GuardedUrl, Request, Stream, UrlRefused};
use crate::webhook_signature;

/// How much of an answer is kept, and how long that is waited for: an answer says all that counts in its first line.
pub(super) const KEPT_BYTES: usize = 2048;
const BODY_TIMEOUT: Duration = Duration::from_secs(2);

/// A webhook, ready to be posted to.
#[derive(Clone)]
pub struct Endpoint {
    pub webhook: Webhook,
    secret: String,
    url: Result<GuardedUrl, UrlRefused>,
}

/// One attempt of a delivery.
pub struct Attempt<'a> {
    pub delivery: &'a DeliveryId,
    pub event: EventType,
    /// The bytes that are kept, the same on every attempt.
    pub body: Bytes,
    pub timeout: Duration,
    /// Whether more is about to be sent to the same endpoint.
    pub more_follows: bool,
}

/// What one post came to.
#[derive(Debug)]
pub struct Posted {
    pub http_status: Option<u16>,
    /// Why it failed; nothing after a 2xx.
    pub error: Option<String>,
    /// The beginning of the answer's body.
    pub response_body: Option<String>,
    /// Until the answer began, or failed to.
    pub elapsed: Duration,
}

impl Posted {
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        self.error.is_none()
    }

    /// Whether the endpoint said that it is gone for good.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.http_status == Some(StatusCode::GONE.as_u16())
    }

    #[must_use]
    pub fn millis(&self) -> i64 {
        i64::try_from(self.elapsed.as_millis()).unwrap_or(i64::MAX)
    }
}

impl Endpoint {
    /// # Errors
    /// [`NotOpened`] when the secret was sealed with another key.
    pub fn open(app: &App, webhook: Webhook) -> Result<Self, NotOpened> {
        let secret = app.sealer.open(&webhook.sealed_secret)?;
        let url = app.guard.check(&webhook.url);
        Ok(Self { webhook, secret, url })
    }

    /// How long an attempt may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.webhook.timeout_seconds.unsigned_abs())
    }

    /// Signs and sends one attempt of a delivery.
    pub async fn post(&self, app: &App, attempt: Attempt<'_>) -> Posted {
        let started = std::time::Instant::now();
        let answer = match self.request(app, attempt) {
            Ok(request) => app.guard.post(request).await,
            Err(failed) => Err(failed),
        };
        judge(answer, started.elapsed())
    }

    /// Signs and sends a turn of a call, whose answer is read as it comes. Each piece of it has the attempt's time-out.
    ///
    /// # Errors
    /// [`FetchFailed`] when no answer began.
    pub async fn post_streaming(&self, app: &App, attempt: Attempt<'_>) -> Result<Stream, FetchFailed> {
        let timeout = attempt.timeout;
        let request = self.request(app, attempt)?;
        app.guard.post_streaming(Request { body_timeout: timeout, ..request }).await
    }

    fn request(&self, app: &App, attempt: Attempt<'_>) -> Result<Request, FetchFailed> {
        let Attempt { delivery, event, body, timeout, more_follows } = attempt;
        let now = app.now().as_unix_seconds();
        let signed = webhook_signature::sign(&self.secret, delivery.as_str(), now, &body, event.as_str());
        let mut headers = signed.map_err(|error| FetchFailed::Other(error.to_string()))?;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Request {
            url: self.url.clone()?,
            headers,
            body,
            timeout,
            body_timeout: BODY_TIMEOUT,
            max_response_bytes: KEPT_BYTES,
            keep_connection: more_follows,
        })
    }
}

fn judge(answer: Result<Answer, FetchFailed>, elapsed: Duration) -> Posted {
    let answer = match answer {
        Ok(answer) => answer,
        Err(failed) => {
            if let FetchFailed::Other(detail) = &failed {
                tracing::debug!(detail, "a webhook post failed");
            }
            return Posted { http_status: None, error: Some(failed.to_string()), response_body: None, elapsed };
        }
    };
    let status = answer.status;
    let error = if status.is_success() {
        None
    } else if status == StatusCode::GONE {
        Some(GONE.to_owned())
    } else if status.is_redirection() {
        Some(format!("the endpoint answered {}, and redirects are not followed", status.as_u16()))
    } else {
        Some(format!("the endpoint answered {status}"))
    };
    let response_body = Some(readable(&answer.body_prefix));
    Posted { http_status: Some(status.as_u16()), error, response_body, elapsed: answer.elapsed }
}

/// What the log says of deliveries that ended because of a 410.
pub const GONE: &str = "the endpoint answered 410 Gone";

/// Bytes of a stranger as text that both engines can keep. A character that the limit cut in two is left out.
pub(super) fn readable(bytes: &[u8]) -> String {
    let whole = match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    };
    String::from_utf8_lossy(whole).replace('\0', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_become_text_that_can_be_kept() {
        assert_eq!(readable("grüße".as_bytes()), "grüße");
        assert_eq!(readable(&"grü".as_bytes()[..3]), "gr", "the cut character is left out");
        assert_eq!(readable(b"a\0b\xffc"), "ab\u{fffd}c");
    }
}
