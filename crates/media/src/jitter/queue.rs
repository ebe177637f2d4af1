//! Packets that wait to be decoded, in the order of the stream. Their bytes are kept and used again.

use std::collections::VecDeque;

/// More bytes than this never wait: two seconds of G.711, and a bound on what a flood can take.
const MOST_BYTES: usize = 16_000;

/// Nor more packets: those of 10 ms for more than a second.
const MOST_PACKETS: usize = 128;

/// Waiting packets.
#[derive(Debug, Default)]
pub struct Queue {
    packets: VecDeque<Queued>,
    bytes: usize,
    spare: Vec<Vec<u8>>,
}

/// One of them.
#[derive(Debug)]
pub struct Queued {
    /// Its number, without wrapping around.
    pub place: i64,
    /// Its first sample.
    pub media: i64,
    /// How many samples it has.
    pub length: i64,
    /// It describes comfort noise.
    pub noise: bool,
    /// What it says.
    pub payload: Vec<u8>,
}

/// It is there already, or contradicts what is there.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused;

impl Queue {
    pub fn insert(&mut self, place: i64, media: i64, length: i64, noise: bool, payload: &[u8]) -> Result<(), Refused> {
        let at = self.packets.partition_point(|queued| queued.place < place);
        let repeated = self.packets.get(at).is_some_and(|queued| queued.place == place);
        // Time can't run against the order; a stream where it does is broken.
        let backward = at.checked_sub(1).and_then(|before| self.packets.get(before)).is_some_and(|q| q.media >= media)
            || self.packets.get(at).is_some_and(|after| after.media <= media);
        if repeated || backward {
            return Err(Refused);
        }
        let mut kept = self.spare.pop().unwrap_or_default();
        kept.clear();
        kept.extend_from_slice(payload);
        self.bytes += payload.len();
        self.packets.insert(at, Queued { place, media, length, noise, payload: kept });
        Ok(())
    }

    pub fn first(&self) -> Option<&Queued> {
        self.packets.front()
    }

    pub fn take_first(&mut self) -> Option<Queued> {
        let first = self.packets.pop_front()?;
        self.bytes -= first.payload.len();
        Some(first)
    }

    pub fn drop_first(&mut self) {
        if let Some(first) = self.take_first() {
            self.recycle(first.payload);
        }
    }

    pub fn recycle(&mut self, payload: Vec<u8>) {
        if self.spare.len() < 8 {
            self.spare.push(payload);
        }
    }

    pub fn clear(&mut self) {
        while !self.packets.is_empty() {
            self.drop_first();
        }
    }

    /// From the first sample that waits to the last.
    pub fn span(&self) -> i64 {
        self.first().map_or(0, |first| self.span_from(first.media))
    }

    /// From a given sample to the last that waits.
    pub fn span_from(&self, media: i64) -> i64 {
        self.packets.back().map_or(0, |last| (last.media + last.length - media).max(0))
    }

    /// Whether more waits than ever should.
    pub fn is_overfull(&self, longest: i64) -> bool {
        self.bytes > MOST_BYTES
            || self.packets.len() > MOST_PACKETS
            || (self.packets.len() > 1 && self.span() > longest)
    }
}
