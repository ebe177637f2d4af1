//! Digits that we hear as events. In: event packets, whichever of them arrive, and the time. Out: each key once.

use std::time::{Duration, Instant};

use super::{Digit, Event, Key};

/// No more packets of a key for so long: its ends were lost.
const LOST: Duration = Duration::from_millis(150);

/// The key that the other side holds, or held last.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    current: Option<Held>,
    clock_rate: u32,
}

#[derive(Debug, Clone)]
struct Held {
    digit: Digit,
    /// When this segment began, by the stream's clock.
    since: u32,
    /// What the segments before it lasted, and it.
    before: u64,
    lasted: u16,
    /// It was told that the key came up: by an end, or because nothing more was heard.
    released: bool,
    /// An end was heard: what follows is another press.
    ended: bool,
    heard: Instant,
}

impl Keys {
    /// For events whose durations count so many ticks a second.
    #[must_use]
    pub const fn new(clock_rate: u32) -> Self {
        Self { current: None, clock_rate }
    }

    /// Another clock was agreed on. A key that is held stays so.
    pub const fn set_clock_rate(&mut self, clock_rate: u32) {
        self.clock_rate = clock_rate;
    }

    /// Takes an event packet. What it means is added to `keys`; mostly nothing, since most repeat what was known.
    pub fn hear(&mut self, payload: &[u8], timestamp: u32, at: Instant, keys: &mut Vec<Key>) {
        let Some(event) = Event::parse(payload) else { return };
        let Some(digit) = Digit::from_event(event.event) else { return };
        if let Some(held) = &mut self.current {
            match held.place(digit, timestamp, at) {
                Place::Here => {}
                Place::NextSegment => {
                    held.before += u64::from(timestamp.wrapping_sub(held.since));
                    held.since = timestamp;
                    held.lasted = 0;
                }
                Place::Before => return,
                Place::Another => {
                    self.release(keys);
                    self.current = None;
                }
            }
        }
        let held = self.current.get_or_insert_with(|| {
            keys.push(Key::Pressed(digit));
            Held { digit, since: timestamp, before: 0, lasted: 0, released: false, ended: false, heard: at }
        });
        held.heard = at;
        held.lasted = held.lasted.max(event.duration);
        if event.end {
            held.ended = true;
            self.release(keys);
        }
    }

    /// Time passes: a key of which nothing more is heard was released.
    pub fn tick(&mut self, at: Instant, keys: &mut Vec<Key>) {
        if self.current.as_ref().is_some_and(|held| at.saturating_duration_since(held.heard) > LOST) {
            self.release(keys);
        }
    }

    /// Whether a key is held just now.
    #[must_use]
    pub fn held(&self) -> bool {
        self.current.as_ref().is_some_and(|held| !held.released)
    }

    fn release(&mut self, keys: &mut Vec<Key>) {
        let Some(held) = self.current.as_mut().filter(|held| !held.released) else { return };
        held.released = true;
        let ticks = held.before + u64::from(held.lasted);
        let lasted = Duration::from_millis(ticks * 1000 / u64::from(self.clock_rate.max(1)));
        keys.push(Key::Released(held.digit, lasted));
    }
}

/// Where a packet belongs, seen from the key that is known.
enum Place {
    Here,
    /// The same key is held for longer than the duration field can say.
    NextSegment,
    /// It comes late: what it tells is over.
    Before,
    Another,
}

impl Held {
    fn place(&self, digit: Digit, timestamp: u32, at: Instant) -> Place {
        let later = timestamp.wrapping_sub(self.since);
        if later == 0 && digit == self.digit {
            return Place::Here;
        }
        // The clock of a stream that begins anew may be behind; then the key is long over.
        let recent = at.saturating_duration_since(self.heard) < Duration::from_secs(1);
        if later > u32::MAX / 2 && recent {
            return Place::Before;
        }
        // A segment follows only a full one; the last packets of that one may be lost.
        let full = u32::from(u16::MAX) - 8000;
        let follows = later >= u32::from(self.lasted) && (full..=u32::from(u16::MAX)).contains(&later);
        if digit == self.digit && !self.ended && recent && follows {
            return Place::NextSegment;
        }
        Place::Another
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::keying::{HELD, Keyed, Keying};
    use super::*;

    const TICKS: u32 = 160;

    /// All packets of some digits, each 20 ms, with its time in ms.
    fn keyed(digits: &str, held: Duration) -> Vec<(u64, Keyed)> {
        let mut keying = Keying::default();
        for sign in digits.chars() {
            keying.press(Digit::parse(sign).unwrap(), held);
        }
        let mut packets = Vec::new();
        let (mut timestamp, mut ms) = (u32::MAX - 3000, 0);
        while keying.busy() {
            packets.extend(keying.tick(timestamp, TICKS).map(|keyed| (ms, keyed)));
            timestamp = timestamp.wrapping_add(TICKS);
            ms += 20;
        }
        packets
    }

    fn heard(packets: impl IntoIterator<Item = (u64, Keyed)>) -> Vec<Key> {
        let start = Instant::now();
        let (mut keys, mut found, mut last) = (Keys::new(8000), Vec::new(), 0);
        for (ms, keyed) in packets {
            keys.tick(start + Duration::from_millis(ms), &mut found);
            keys.hear(&keyed.payload, keyed.timestamp, start + Duration::from_millis(ms), &mut found);
            last = ms;
        }
        keys.tick(start + Duration::from_millis(last + 500), &mut found);
        found
    }

    fn pressed(keys: &[Key]) -> String {
        keys.iter().filter_map(|key| if let Key::Pressed(digit) = key { Some(digit.sign()) } else { None }).collect()
    }

    #[test]
    fn what_is_pressed_is_heard_once_with_its_length() {
        let packets = keyed("1*#9D", HELD);
        assert_eq!(packets.iter().filter(|(_, keyed)| keyed.marker).count(), 5);
        let keys = heard(packets);
        assert_eq!(pressed(&keys), "1*#9D");
        let lengths: Vec<_> =
            keys.iter().filter_map(|key| if let Key::Released(_, held) = key { Some(*held) } else { None }).collect();
        assert_eq!(lengths, [HELD; 5]);
    }

    #[test]
    fn the_same_digit_twice_is_two() {
        assert_eq!(pressed(&heard(keyed("5555", Duration::from_millis(60)))), "5555");
    }

    #[test]
    fn each_digit_survives_the_loss_of_all_but_one_of_its_packets() {
        let packets = keyed("12", HELD);
        let per_digit = packets.len() / 2;
        for kept in 0..per_digit {
            let keys = heard([packets[kept], packets[per_digit + kept]]);
            assert_eq!(pressed(&keys), "12");
            assert_eq!(keys.len(), 4, "each is released as well: {keys:?}");
        }
    }

    #[test]
    fn a_key_held_for_long_is_one_key() {
        let long = Duration::from_secs(20);
        let keys = heard(keyed("7", long));
        let digit = Digit::parse('7').unwrap();
        assert_eq!(keys, [Key::Pressed(digit), Key::Released(digit, long)]);
        // Even where the packets around the segments' seams are lost.
        let holes = keyed("7", long).into_iter().filter(|(ms, _)| !(8100..8230).contains(ms) && ms % 60 != 0);
        assert_eq!(pressed(&heard(holes)), "7");
    }

    #[test]
    fn an_event_that_is_no_key_is_nothing() {
        let start = Instant::now();
        let mut found = Vec::new();
        let mut keys = Keys::new(8000);
        for payload in [&[16, 0, 0, 100][..], &[32, 0x80, 0, 1], &[1, 2, 3], &[]] {
            keys.hear(payload, 7, start, &mut found);
        }
        assert!(found.is_empty());
    }

    proptest! {
        #[test]
        fn packets_may_be_lost_doubled_and_swapped(
            digits in "[0-9*#A-D]{1,8}", fates in prop::collection::vec(0..10_u8, 300), held in 60..200_u64,
        ) {
            let packets = keyed(&digits, Duration::from_millis(held));
            let mut arriving = Vec::new();
            let mut kept = std::collections::BTreeSet::new();
            for (i, &(ms, keyed)) in packets.iter().enumerate() {
                match fates[i % fates.len()] {
                    0..3 => {}
                    3 => arriving.extend([(ms, keyed), (ms, keyed)]),
                    _ => arriving.push((ms, keyed)),
                }
                if fates[i % fates.len()] >= 3 {
                    kept.insert(keyed.timestamp);
                }
                if fates[i % fates.len()] == 4 && arriving.len() >= 2 {
                    let last = arriving.len() - 1;
                    let (a, b) = (arriving[last - 1].0, arriving[last].0);
                    arriving.swap(last - 1, last);
                    (arriving[last - 1].0, arriving[last].0) = (a, b);
                }
            }
            let keys = heard(arriving);
            let downs = keys.iter().filter(|key| matches!(key, Key::Pressed(_))).count();
            // Never more than were pressed; all of which a packet came, but for one that only came behind its successor.
            prop_assert!(downs <= kept.len());
            prop_assert!(downs + 1 >= kept.len() || kept.len() > 3);
            prop_assert_eq!(keys.len(), downs * 2);
        }

        #[test]
        fn anything_may_come(packets in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..8), any::<u32>(), 0..400_u64), 0..60)) {
            let start = Instant::now();
            let (mut keys, mut found) = (Keys::new(8000), Vec::new());
            let mut at = start;
            for (payload, timestamp, pause) in packets {
                at += Duration::from_millis(pause);
                keys.hear(&payload, timestamp, at, &mut found);
                keys.tick(at, &mut found);
            }
        }
    }
}
