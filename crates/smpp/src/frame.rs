//! From a stream of bytes to whole PDUs.

use crate::pdu::{Body, Malformed, Pdu};
use crate::status::Status;

/// The length of a PDU's header.
pub const HEADER: usize = 16;
/// A PDU that claims to be longer is none: `message_payload` ends at 64 KB.
pub const LONGEST: usize = 128 * 1024;

/// What came is not SMPP, or the two sides do not agree any more on where a PDU begins. Nothing more can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer says that a PDU has {0} octets")]
pub struct Garbage(pub u32);

/// One PDU, its body not yet read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub command_id: u32,
    pub status: Status,
    pub sequence: u32,
    pub body: Vec<u8>,
}

impl Frame {
    /// Reads the body.
    ///
    /// # Errors
    /// [`Malformed`]: the frame is whole, and what stands in it makes no sense. The next one may.
    pub fn read(&self) -> Result<Pdu, Malformed> {
        let body = Body::read(self.command_id, self.status, &self.body)?;
        Ok(Pdu { status: self.status, sequence: self.sequence, body })
    }
}

/// Gathers bytes until they are PDUs.
#[derive(Debug, Default)]
pub struct FrameReader {
    bytes: Vec<u8>,
    read: usize,
}

impl FrameReader {
    pub fn push(&mut self, bytes: &[u8]) {
        if self.read > 0 {
            self.bytes.drain(..self.read);
            self.read = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole PDU.
    ///
    /// # Errors
    /// [`Garbage`], for ever after.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Garbage> {
        let waiting = &self.bytes[self.read..];
        let Some((length, rest)) = waiting.split_first_chunk::<4>() else { return Ok(None) };
        let claimed = u32::from_be_bytes(*length);
        let length = claimed as usize;
        if !(HEADER..=LONGEST).contains(&length) {
            return Err(Garbage(claimed));
        }
        if waiting.len() < length {
            return Ok(None);
        }
        let word = |at: usize| u32::from_be_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
        let frame = Frame {
            command_id: word(0),
            status: Status(word(4)),
            sequence: word(8),
            body: waiting[HEADER..length].to_vec(),
        };
        self.read += length;
        Ok(Some(frame))
    }
}
