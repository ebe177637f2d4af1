//! Why there is no answer, in words that a customer may read.
//!
//! Enters: reqwest's nested errors. Leaves: [`FetchFailed`], whose text goes into the delivery log.
//! Never here: addresses, ports or look-up results in a text: they may describe the operator's network.

use std::error::Error;
use std::io;
use std::time::Duration;

use super::policy::UrlRefused;
use super::resolve::ResolveFailed;

const MAX_TLS_TEXT: usize = 200;

/// No answer, and why. All but `Refused` may pass: a retry can succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchFailed {
    #[error("refused: {0}")]
    Refused(#[from] UrlRefused),
    #[error("the host name could not be resolved")]
    Dns,
    #[error("no connection: {0}")]
    Connect(ConnectProblem),
    #[error("the TLS handshake failed: {0}")]
    Tls(String),
    #[error("no complete answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    #[error("the connection was closed before the answer was complete")]
    Reset,
    #[error("the answer's headers are too large")]
    HeadersTooLarge,
    #[error("the answer is not valid HTTP")]
    NotHttp,
    /// None of the above. The text is for the log: it may name addresses.
    #[error("the request failed")]
    Other(String),
}

/// What came of trying to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectProblem {
    #[error("the host refused it")]
    RefusedByHost,
    #[error("the host is not reachable")]
    Unreachable,
    #[error("the host did not answer in time")]
    TimedOut,
    #[error("it could not be made")]
    Other,
}

impl From<reqwest::Error> for FetchFailed {
    fn from(error: reqwest::Error) -> Self {
        if let Some(ours) = find::<ResolveFailed>(&error) {
            return match ours {
                ResolveFailed::Refused(refused) => Self::Refused(refused.clone()),
                ResolveFailed::Lookup(_) => Self::Dns,
            };
        }
        if let Some(tls) = find::<rustls::Error>(&error) {
            return from_tls(tls);
        }
        if error.is_connect() {
            return Self::Connect(connect_problem(&error));
        }
        if let Some(hyper) = find::<hyper::Error>(&error) {
            if hyper.is_parse_too_large() {
                return Self::HeadersTooLarge;
            }
            if hyper.is_parse() || spoke_first(hyper) {
                return Self::NotHttp;
            }
            if hyper.is_incomplete_message() || hyper.is_closed() || hyper.is_canceled() {
                return Self::Reset;
            }
        }
        match find::<io::Error>(&error) {
            Some(io) if is_reset(io.kind()) => Self::Reset,
            _ => Self::Other(chain(&error)),
        }
    }
}

/// Whether the server began to talk before it had a request, as mail servers do. hyper has no predicate for that: it
/// cancels the request, for a reason that neither has a cause of its own nor is a connection that ended.
fn spoke_first(error: &hyper::Error) -> bool {
    let reason = error.source().and_then(|cause| cause.downcast_ref::<hyper::Error>());
    error.is_canceled()
        && reason.is_some_and(|reason| {
            reason.source().is_none() && !reason.is_incomplete_message() && !reason.is_closed() && !reason.is_canceled()
        })
}

fn from_tls(error: &rustls::Error) -> FetchFailed {
    match error {
        // What a server that speaks plain HTTP on this port looks like.
        rustls::Error::InvalidMessage(_) => FetchFailed::Tls("the server does not speak TLS".to_owned()),
        // A certificate can present thousands of names, and the text lists them.
        other => FetchFailed::Tls(other.to_string().chars().take(MAX_TLS_TEXT).collect()),
    }
}

fn connect_problem(error: &reqwest::Error) -> ConnectProblem {
    use io::ErrorKind as K;
    match find::<io::Error>(error).map(io::Error::kind) {
        Some(K::ConnectionRefused) => ConnectProblem::RefusedByHost,
        Some(K::NetworkUnreachable | K::HostUnreachable) => ConnectProblem::Unreachable,
        _ if error.is_timeout() => ConnectProblem::TimedOut,
        _ => ConnectProblem::Other,
    }
}

fn is_reset(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as K;
    matches!(kind, K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::UnexpectedEof)
}

/// The outermost cause of type `E`. An `io::Error` hides the error it wraps from `source()`, so that one is
/// looked into as well.
fn find<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<E>() {
            return Some(found);
        }
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|inner| find::<E>(inner)) {
            return Some(found);
        }
        next = cause.source();
    }
    None
}

/// All causes in one line.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
