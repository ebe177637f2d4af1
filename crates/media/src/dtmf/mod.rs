//! Digits: as events of RFC 4733 ([`keying`] sends, [`keys`] hears), and as tones in the sound ([`tones`]).

pub mod keying;
pub mod keys;
pub mod tones;

use std::fmt;
use std::time::Duration;

/// One of the sixteen keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digit(u8);

const KEYS: &[u8; 16] = b"0123456789*#ABCD";

impl Digit {
    /// Reads a key's sign.
    #[must_use]
    pub fn parse(sign: char) -> Option<Self> {
        let sign = u8::try_from(sign.to_ascii_uppercase()).ok()?;
        KEYS.iter().position(|&key| key == sign).map(|event| Self(event as u8))
    }

    /// The key of an event, if it is one of a key: others are flashes, modem and fax sounds.
    #[must_use]
    pub const fn from_event(event: u8) -> Option<Self> {
        if event < 16 { Some(Self(event)) } else { None }
    }

    /// Its number in RFC 4733.
    #[must_use]
    pub const fn event(self) -> u8 {
        self.0
    }

    /// Its sign.
    #[must_use]
    pub const fn sign(self) -> char {
        KEYS[self.0 as usize] as char
    }
}

impl fmt::Display for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.sign())
    }
}

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// It went down. Told once, with the first packet that arrives of it, so that an answer need not wait for the end.
    Pressed(Digit),
    /// It came up, or nothing more was heard of it.
    Released(Digit, Duration),
}

/// The four bytes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Event {
    event: u8,
    end: bool,
    volume: u8,
    duration: u16,
}

impl Event {
    fn parse(payload: &[u8]) -> Option<Self> {
        let &[event, flags, high, low, ..] = payload else { return None };
        let duration = u16::from_be_bytes([high, low]);
        Some(Self { event, end: flags & 0x80 != 0, volume: flags & 0x3F, duration })
    }

    const fn write(self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        [self.event, if self.end { 0x80 } else { 0 } | (self.volume & 0x3F), high, low]
    }
}
