//! A POST whose answer is read as it comes: a turn of a call.
//!
//! Enters: a request that was judged. Leaves: the answer's head, and then its body, piece by piece. Dropping it closes the
//! connection, whatever is still to come.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};

use super::connections::Keeping;
use super::{FRAMING_HEADERS, FetchFailed, GuardedClient, Request};

/// An answer whose body is on its way.
#[derive(Debug)]
pub struct Stream {
    pub status: StatusCode,
    response: reqwest::Response,
    gap: Duration,
}

impl GuardedClient {
    /// Sends one POST; `timeout` is until the answer's head, and `body_timeout` for each piece of its body. Redirects are
    /// answers like any other.
    ///
    /// # Errors
    /// [`FetchFailed`] when no answer began within the time-out, or none was asked for.
    pub async fn post_streaming(&self, request: Request) -> Result<Stream, FetchFailed> {
        let Request { url, mut headers, body, timeout, body_timeout: gap, .. } = request;
        self.policy.check_parsed(url.as_url())?;
        for name in &FRAMING_HEADERS {
            headers.remove(name);
        }
        let mut outgoing = reqwest::Request::new(Method::POST, url.into_url());
        *outgoing.headers_mut() = headers;
        *outgoing.body_mut() = Some(body.into());
        let http = self.connections.of(Keeping::Keeps);
        match tokio::time::timeout(timeout, http.execute(outgoing)).await {
            Ok(answer) => {
                answer.map(|response| Stream { status: response.status(), response, gap }).map_err(Into::into)
            }
            Err(_) => Err(FetchFailed::Timeout(timeout)),
        }
    }
}

impl Stream {
    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// It broke off, or nothing came for too long.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, FetchFailed> {
        match tokio::time::timeout(self.gap, self.response.chunk()).await {
            Ok(chunk) => Ok(chunk?),
            Err(_) => Err(FetchFailed::Timeout(self.gap)),
        }
    }
}
