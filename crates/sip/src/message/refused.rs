//! What can't be read, and what is to be said about it. The answer is written from the text that came, because what can't
//! be read can't be represented.

use super::{HeaderName, Method, reason_phrase};

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No SIP at all, or a response that can't be read: nothing is said.
    #[error("not SIP: {0}")]
    Ignored(&'static str),
    /// A request that can't be read: it is told so.
    #[error("bad request: {}", .0.reason)]
    Answered(Box<BadRequest>),
}

/// A request that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRequest {
    /// 400 unless the RFC names another.
    pub status: u16,
    /// What was wrong.
    pub reason: &'static str,
    /// An ACK is never answered.
    pub(super) is_ack: bool,
    /// Via, From, To, Call-ID and CSeq as they came.
    pub(super) copied: Vec<(HeaderName, String)>,
}

impl BadRequest {
    /// The response that goes back to where the request came from; `None` where none may be sent.
    #[must_use]
    pub fn answer(&self) -> Option<Vec<u8>> {
        let has_via = self.copied.iter().any(|(name, _)| *name == HeaderName::Via);
        if self.is_ack || !has_via {
            return None;
        }
        let phrase = if self.reason.is_empty() { reason_phrase(self.status) } else { self.reason };
        let mut out = format!("SIP/2.0 {} {phrase}\r\n", self.status);
        for (name, value) in &self.copied {
            // Only a single tag is missing from what the RFC asks for; a stateless answer needs none of its own making,
            // but §8.2.6.2 wants one, and the same for each repeat.
            let tag = if *name == HeaderName::To && !value.contains("tag") { ";tag=unread" } else { "" };
            out.push_str(name.as_str());
            out.push_str(": ");
            out.push_str(value);
            out.push_str(tag);
            out.push_str("\r\n");
        }
        out.push_str("Content-Length: 0\r\n\r\n");
        Some(out.into_bytes())
    }

    pub(super) fn is_ack(method: Option<&Method>) -> bool {
        method == Some(&Method::Ack)
    }
}
