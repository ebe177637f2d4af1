//! What a proxy must know of the language that is spoken through it.

use super::End;

/// One connection's language: where messages end, and which wait for an answer.
pub trait Protocol: Send {
    /// How many bytes the first message of `bytes` takes, which `sender` sent; `None` while it is not all there.
    fn length(&self, sender: End, bytes: &[u8]) -> Option<usize>;

    /// Takes note of a message, each once and in order. Out: what it says in words, where the protocol has words, and
    /// how many answers more (or less) are due to the client once it is forwarded.
    fn read(&mut self, sender: End, message: &[u8]) -> (String, i64);
}

/// Bytes of which nothing is known: whatever is read at once is a message, and nothing is owed.
#[derive(Debug, Default)]
pub struct Anything;

impl Protocol for Anything {
    fn length(&self, _: End, bytes: &[u8]) -> Option<usize> {
        (!bytes.is_empty()).then_some(bytes.len())
    }

    fn read(&mut self, _: End, _: &[u8]) -> (String, i64) {
        (String::new(), 0)
    }
}
