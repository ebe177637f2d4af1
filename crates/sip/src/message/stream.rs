//! Messages out of a stream (§18.3): TCP and TLS have no ends of messages, so Content-Length is the only one.

use super::parse::read_content_length;

/// How much of a message is waited for. A peer that exceeds it is cut off.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Start line and header fields.
    pub head: usize,
    /// The body.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: 32 * 1024, body: 64 * 1024 }
    }
}

/// What stands next in a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Framing {
    /// The bytes of one message.
    Message(Vec<u8>),
    /// A double CRLF, which wants a single one back (RFC 5626 §4.4.1).
    Ping,
    /// Nothing whole yet.
    Unfinished,
    /// Where the next message begins can't be known any more: answer this head as far as that is possible, and close.
    Broken(Vec<u8>),
}

/// Cuts one connection's bytes into messages.
#[derive(Debug, Default)]
pub struct Framer {
    limits: Limits,
    buffer: Vec<u8>,
    /// Up to here no end of a head was found, so a slow sender is not searched again from the start for every byte.
    searched: usize,
}

impl Framer {
    /// With limits of its own.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, buffer: Vec::new(), searched: 0 }
    }

    /// What came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether nothing is waiting for its rest.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next message, to be asked for until it is [`Framing::Unfinished`] or [`Framing::Broken`].
    pub fn next_frame(&mut self) -> Framing {
        if self.buffer.starts_with(b"\r\n\r\n") {
            self.take(4);
            return Framing::Ping;
        }
        // A single CRLF is a pong, or the end of a generous message (§7.5).
        if self.buffer.starts_with(b"\r\n") && self.buffer.len() > 2 && !b"\r\n\r\n".starts_with(&self.buffer[..]) {
            self.take(2);
            return self.next_frame();
        }
        let from = self.searched.saturating_sub(3);
        let Some(end) = self.buffer[from..].windows(4).position(|four| four == b"\r\n\r\n").map(|at| from + at) else {
            self.searched = self.buffer.len();
            let too_long = self.buffer.len() > self.limits.head;
            return if too_long { self.broken(self.buffer.len()) } else { Framing::Unfinished };
        };
        if end > self.limits.head {
            return self.broken(end);
        }
        let length = std::str::from_utf8(&self.buffer[..end]).ok().and_then(|head| read_content_length(head).ok()?);
        match length {
            Some(length) if length <= self.limits.body => {
                let whole = end + 4 + length;
                if self.buffer.len() < whole { Framing::Unfinished } else { Framing::Message(self.take(whole)) }
            }
            // Without a readable Content-Length the rest of the stream has no beginning.
            _ => self.broken(end + 4),
        }
    }

    fn broken(&mut self, head: usize) -> Framing {
        let head = self.take(head);
        self.buffer = Vec::new();
        Framing::Broken(head)
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        self.searched = 0;
        let rest = self.buffer.split_off(length);
        std::mem::replace(&mut self.buffer, rest)
    }
}
