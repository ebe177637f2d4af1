//! What carriers post to us. In: a request as it came. Out: what it brings, once it is proved to be the carrier's. Never here:
//! I/O, or keeping anything.

use offhook_domain::Timestamp;

use crate::Inbound;

/// A request of a carrier's.
#[derive(Debug, Clone, Copy)]
pub struct Hook<'a> {
    /// What it called, as the world writes it.
    pub url: &'a str,
    pub headers: &'a http::HeaderMap,
    pub body: &'a [u8],
    pub now: Timestamp,
}

impl Hook<'_> {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Reads the hooks of one carrier.
pub trait Hooks: Send + Sync {
    /// Proves a hook and reads it. What means nothing to us brings nothing.
    ///
    /// # Errors
    /// [`HookRefused`]; then it must have no effect.
    fn read(&self, hook: &Hook<'_>) -> Result<Vec<Inbound>, HookRefused>;

    /// What the carrier wants to hear once all is kept.
    fn thanks(&self) -> Answer;
}

/// The body of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub content_type: &'static str,
    pub body: &'static str,
}

/// Why a hook counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HookRefused {
    #[error("the request is not signed")]
    Unsigned,
    #[error("the signature is not the carrier's for this request")]
    Forged,
    #[error("the request was signed too long ago, or this server's clock is wrong")]
    Stale,
    #[error("the request can't be read")]
    Unreadable,
}
