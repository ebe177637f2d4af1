//! Getting a file from where a customer or a carrier says that it is.
//!
//! Enters: a URL that was judged. Leaves: the whole file, or what there is instead. Never here: following a redirect. The
//! caller has its target judged as it had the URL itself.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};

use super::connections::Keeping;
use super::{FRAMING_HEADERS, FetchFailed, GuardedClient, GuardedUrl};

/// One file to get.
#[derive(Debug)]
pub struct Fetch {
    pub url: GuardedUrl,
    pub headers: HeaderMap,
    /// From the look-up to the last byte.
    pub timeout: Duration,
    /// Of a longer file nothing is handed out.
    pub max_bytes: usize,
}

/// What came.
#[derive(Debug)]
pub struct Fetched {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Body,
}

/// What there is of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    Whole(Vec<u8>),
    TooLong,
}

impl GuardedClient {
    /// Sends one GET and reads the whole answer. Redirects are answers like any other.
    ///
    /// # Errors
    /// [`FetchFailed`] when the answer did not come whole within the time-out, or none was asked for.
    pub async fn get(&self, fetch: Fetch) -> Result<Fetched, FetchFailed> {
        let timeout = fetch.timeout;
        // Dropping the exchange closes its connection.
        tokio::time::timeout(timeout, self.exchange(fetch)).await.unwrap_or(Err(FetchFailed::Timeout(timeout)))
    }

    async fn exchange(&self, fetch: Fetch) -> Result<Fetched, FetchFailed> {
        let Fetch { url, mut headers, max_bytes, .. } = fetch;
        self.policy.check_parsed(url.as_url())?;
        for name in &FRAMING_HEADERS {
            headers.remove(name);
        }
        let mut outgoing = reqwest::Request::new(Method::GET, url.into_url());
        *outgoing.headers_mut() = headers;
        let mut response = self.connections.of(Keeping::Closes).execute(outgoing).await?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let told = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        let mut body = Vec::with_capacity(told.unwrap_or(0).min(max_bytes));
        if told.is_some_and(|length| length > max_bytes) {
            return Ok(Fetched { status, headers, body: Body::TooLong });
        }
        while let Some(chunk) = response.chunk().await? {
            if chunk.len() > max_bytes - body.len() {
                return Ok(Fetched { status, headers, body: Body::TooLong });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Fetched { status, headers, body: Body::Whole(body) })
    }
}
