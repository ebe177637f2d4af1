//! Digits that we send. In: digits, and a tick each 20 ms. Out: the event packet that takes the sound's place, if any.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Digit, Event};

/// How long a key is held, if nothing else is said.
pub const HELD: Duration = Duration::from_millis(120);
/// Between two keys, from the first of the end packets on.
const GAP_TICKS: u32 = 5;
/// The end is sent three times, since any of them may be lost.
const ENDS: u32 = 3;
/// About as loud as a phone's own, in -dBm0.
const VOLUME: u8 = 10;
/// The longest that an event's field can say; a key held longer goes on as another segment (RFC 4733 §2.5.1.3).
const SEGMENT: u32 = 0xFFFF;

/// The keys that we are about to press.
#[derive(Debug, Clone, Default)]
pub struct Keying {
    waiting: VecDeque<(Digit, Duration)>,
    now: State,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    #[default]
    Idle,
    /// `passed` and `length` count the clock's ticks since the segment began.
    Down {
        digit: Digit,
        since: u32,
        passed: u32,
        length: u32,
        first: bool,
    },
    Ending {
        event: Event,
        since: u32,
        sent: u32,
    },
    Between(u32),
}

/// What takes the place of sound for 20 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyed {
    /// The event.
    pub payload: [u8; 4],
    /// When it began, by the stream's clock.
    pub timestamp: u32,
    /// It begins here.
    pub marker: bool,
}

impl Keying {
    /// Presses a key once those before it are done.
    pub fn press(&mut self, digit: Digit, held: Duration) {
        self.waiting.push_back((digit, held));
    }

    /// Whether the sound has to wait.
    #[must_use]
    pub fn busy(&self) -> bool {
        !self.waiting.is_empty() || !matches!(self.now, State::Idle)
    }

    /// The packet of the next 20 ms, where the stream's time is `timestamp` and goes on by `ticks`. While [`busy`] there
    /// may also be none: the pause between two keys.
    ///
    /// [`busy`]: Self::busy
    pub fn tick(&mut self, timestamp: u32, ticks: u32) -> Option<Keyed> {
        self.begin(timestamp, ticks);
        match &mut self.now {
            State::Idle => None,
            State::Between(left) => {
                *left -= 1;
                if *left == 0 {
                    self.now = State::Idle;
                }
                None
            }
            State::Down { digit, since, passed, length, first } => {
                *passed += ticks;
                let event = Event { event: digit.event(), end: false, volume: VOLUME, duration: *passed as u16 };
                let marker = std::mem::replace(first, false);
                let began = *since;
                if *passed >= *length {
                    let event = Event { end: true, ..event };
                    self.now = State::Ending { event, since: began, sent: 1 };
                    return Some(Keyed { payload: event.write(), timestamp: began, marker });
                }
                if *passed + ticks > SEGMENT {
                    // A segment lasts until the next begins.
                    *since = since.wrapping_add(*passed);
                    *length -= *passed;
                    *passed = 0;
                }
                Some(Keyed { payload: event.write(), timestamp: began, marker })
            }
            State::Ending { event, since, sent } => {
                *sent += 1;
                let keyed = Keyed { payload: event.write(), timestamp: *since, marker: false };
                if *sent == ENDS {
                    self.now = State::Between(GAP_TICKS - ENDS + 1);
                }
                Some(keyed)
            }
        }
    }

    fn begin(&mut self, timestamp: u32, ticks: u32) {
        if !matches!(self.now, State::Idle) {
            return;
        }
        let Some((digit, held)) = self.waiting.pop_front() else { return };
        let frames = u32::try_from(held.as_millis() / 20).unwrap_or(u32::MAX).clamp(2, 60 * 50);
        self.now = State::Down { digit, since: timestamp, passed: 0, length: frames * ticks, first: true };
    }
}
