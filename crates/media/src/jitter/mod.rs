//! The jitter buffer: from packets as the network brings them, to sound as it was said. In: packets with the time that
//! each came. Out: a frame each 20 ms, whatever came.
//!
//! It waits as long as most packets are late ([`delay`]), and no longer. What is missing when its time comes is concealed
//! ([`conceal`]); where the wait has to grow or shrink, or the other side's clock runs differently from ours, speech is
//! stretched or squeezed by whole periods of the voice ([`stretch`]). Pauses that the other side doesn't send (DTX) are
//! filled with its comfort noise, and each talk spurt begins anew.

mod conceal;
mod delay;
mod playout;
mod queue;
mod stretch;

use std::time::{Duration, Instant};

use crate::codec::comfort_noise::ComfortNoise;
use crate::codec::{Codec, Decoder};
use crate::rtp::Packet;
use crate::rtp::incoming::Place;
use conceal::Concealment;
use delay::Delay;
use playout::Playout;
use queue::{Queue, Queued};

/// Concealed for so long, there is nothing left to conceal.
const CONCEALED_AT_MOST: i64 = 120;

/// The jitter buffer of one stream.
pub struct JitterBuffer {
    codec: Codec,
    decoder: Box<dyn Decoder>,
    delay: Delay,
    queue: Queue,
    playout: Playout,
    concealment: Concealment,
    noise: ComfortNoise,
    state: State,
    /// The last packet's timestamp, and the same without wrapping around.
    unwrapped: Option<(u32, i64)>,
    last_decoded: i64,
    /// The highest place of a packet that is no sound: where it is missing, nothing was lost.
    last_soundless: i64,
    frames_since_stretch: u32,
    stats: JitterStats,
}

/// Where the buffer is in the stream; in samples of the stream's own time.
#[derive(Debug, Clone, Copy)]
enum State {
    /// Nothing is to be heard until the next packet has waited long enough.
    Waiting,
    /// `next` is what is decoded next; `stretched` was concealed without knowing whether it was lost or is late.
    Playing { next: i64, stretched: i64 },
}

/// What was done about what was missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JitterStats {
    /// Packets that came when their time was over.
    pub late: u64,
    /// Packets that came twice.
    pub repeated: u64,
    /// Packets that were thrown away because there were too many.
    pub overrun: u64,
    /// Payloads that could not be decoded.
    pub broken: u64,
    /// Samples that were made up.
    pub concealed: u64,
    /// Samples that were heard.
    pub heard: u64,
}

impl JitterBuffer {
    /// For a stream of a codec, which may be held up for at most `longest`.
    #[must_use]
    pub fn new(codec: Codec, longest: Duration) -> Self {
        let rate = codec.sample_rate();
        Self {
            codec,
            decoder: codec.decoder(),
            delay: Delay::new(rate, longest),
            queue: Queue::default(),
            playout: Playout::new(rate),
            concealment: Concealment::new(rate),
            noise: ComfortNoise::default(),
            state: State::Waiting,
            unwrapped: None,
            last_decoded: i64::MIN,
            last_soundless: i64::MIN,
            frames_since_stretch: 0,
            stats: JitterStats::default(),
        }
    }

    /// The codec that it decodes.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// What was done so far.
    #[must_use]
    pub const fn stats(&self) -> JitterStats {
        self.stats
    }

    /// How long sound waits at present.
    #[must_use]
    pub fn target(&self) -> Duration {
        self.delay.target()
    }

    /// Takes a packet of sound.
    pub fn push(&mut self, packet: &Packet<'_>, place: Place, at: Instant) {
        self.insert(packet, place, false, at);
    }

    /// Takes a packet that describes comfort noise.
    pub fn push_noise(&mut self, packet: &Packet<'_>, place: Place, at: Instant) {
        self.insert(packet, place, true, at);
    }

    /// A packet of the stream was no sound: a digit.
    pub fn pass(&mut self, place: Place) {
        if let Place::At(place) = place {
            self.last_soundless = self.last_soundless.max(place);
        }
    }

    fn insert(&mut self, packet: &Packet<'_>, place: Place, noise: bool, at: Instant) {
        let place = match place {
            Place::Stranger => return,
            Place::Restart(place) => {
                self.restart();
                place
            }
            Place::At(place) => place,
        };
        let mut media = self.unwrap_timestamp(packet.timestamp);
        if self.delay.is_leap(media, at) {
            self.restart();
            media = self.unwrap_timestamp(packet.timestamp);
        }
        if self.is_late(media, at) {
            return;
        }
        let length = if noise { 0 } else { self.decoder.duration(packet.payload) as i64 };
        match self.queue.insert(place, media, length, noise, packet.payload) {
            Ok(()) => self.delay.note(media, at),
            Err(queue::Refused) => self.stats.repeated += 1,
        }
        if self.queue.is_overfull(self.delay.longest_samples()) {
            self.leap_ahead();
        }
    }

    /// More waits than ever should: leaves out what is oldest, so that the rest waits as long as it should.
    fn leap_ahead(&mut self) {
        while self.queue.is_overfull(self.delay.target_samples()) {
            self.queue.drop_first();
            self.stats.overrun += 1;
        }
        if let (State::Playing { .. }, Some(first)) = (self.state, self.queue.first()) {
            self.state = State::Playing { next: first.media, stretched: 0 };
            self.concealment.prepare(self.playout.tail());
        }
    }

    /// Whether a packet's time is over; then it still tells how late packets are.
    fn is_late(&mut self, media: i64, at: Instant) -> bool {
        let State::Playing { next, .. } = self.state else { return false };
        if media >= next {
            return false;
        }
        self.delay.note(media, at);
        self.stats.late += 1;
        true
    }

    /// The stream begins anew.
    fn restart(&mut self) {
        self.queue.clear();
        self.delay.restart();
        self.unwrapped = None;
        self.state = State::Waiting;
        self.last_decoded = i64::MIN;
        self.last_soundless = i64::MIN;
        self.noise.silence();
    }

    /// Where in the stream a timestamp is, in samples.
    fn unwrap_timestamp(&mut self, timestamp: u32) -> i64 {
        let ticks = match self.unwrapped {
            Some((last, ticks)) => ticks + i64::from(timestamp.wrapping_sub(last) as i32),
            None => i64::from(timestamp),
        };
        self.unwrapped = Some((timestamp, ticks));
        let (rate, clock) = (i64::from(self.codec.sample_rate()), i64::from(self.codec.clock_rate()));
        ticks * rate / clock
    }

    /// The next 20 ms, into a frame of that length.
    pub fn pop(&mut self, now: Instant, frame: &mut [i16]) {
        self.stretch(now);
        while self.playout.ready() < frame.len() {
            self.fill(frame.len() - self.playout.ready(), now);
        }
        self.playout.take(frame);
        self.stats.heard += frame.len() as u64;
    }

    /// Adds at least something to what is ready.
    fn fill(&mut self, wanted: usize, now: Instant) {
        let State::Playing { next, stretched } = self.state else { return self.wait(wanted, now) };
        let Some(first) = self.queue.first() else {
            let over = stretched >= self.ms(CONCEALED_AT_MOST) || self.last_soundless > self.last_decoded;
            if over {
                self.state = State::Waiting;
            } else {
                self.conceal(wanted, None);
                self.state = State::Playing { next, stretched: stretched + wanted as i64 };
            }
            return;
        };
        let gap = first.media - next;
        // What was made up stands for what was lost, once it is known that something was.
        let gap = if gap > 0 { (gap - stretched).max(0) } else { gap };
        if gap <= 0 || first.noise {
            self.decode_first();
        } else if first.place == self.last_decoded.max(self.last_soundless).saturating_add(1)
            || gap > self.ms(CONCEALED_AT_MOST)
        {
            self.state = State::Waiting;
        } else {
            let count = gap.min(wanted as i64) as usize;
            let from_next = (gap == count as i64).then_some(());
            self.conceal(count, from_next);
            let next = self.queue.first().map_or(next, |first| first.media - gap) + count as i64;
            self.state = State::Playing { next, stretched: 0 };
        }
    }

    /// Nothing is playing. Begins when the first packet has waited its time; until then there is the room's noise.
    fn wait(&mut self, wanted: usize, now: Instant) {
        if let Some(first) = self.queue.first() {
            if first.noise {
                return self.decode_first();
            }
            let waited = self.delay.waited(first.media, now);
            if waited >= self.delay.target_samples() || self.queue.span() > self.delay.target_samples() {
                if waited > self.delay.longest_samples() {
                    // The whole way has become longer; what was fast before is no measure any more.
                    self.delay.rebase(first.media, now);
                }
                self.state = State::Playing { next: first.media, stretched: 0 };
                return self.decode_first();
            }
        }
        self.concealment.stop();
        self.noise.extend(wanted, self.playout.tail());
    }

    fn decode_first(&mut self) {
        let Some(Queued { place, media, noise, payload, .. }) = self.queue.take_first() else { return };
        self.last_decoded = self.last_decoded.max(place);
        if noise {
            self.noise.describe(&payload);
            self.state = State::Waiting;
            return self.queue.recycle(payload);
        }
        let start = self.playout.len();
        if self.decoder.decode(&payload, self.playout.tail()).is_err() {
            self.stats.broken += 1;
        }
        let added = self.playout.len() - start;
        self.concealment.merge(self.playout.tail(), start);
        // A broken one is as good as lost: what follows it has a gap before it.
        let next = if added == 0 { media } else { media + added as i64 };
        self.state = State::Playing { next, stretched: 0 };
        self.queue.recycle(payload);
    }

    /// Makes something up; if the packet behind the gap is there, perhaps by what it tells of the one before it.
    fn conceal(&mut self, count: usize, next_is_known: Option<()>) {
        self.stats.concealed += count as u64;
        let next = next_is_known.and_then(|()| self.queue.first()).map(|first| first.payload.as_slice());
        if !self.decoder.recover(next, count, self.playout.tail()) {
            self.concealment.extend(count, self.playout.tail());
        }
    }

    /// Lets speech run a little faster or slower, where it waits too long or too short.
    fn stretch(&mut self, now: Instant) {
        self.frames_since_stretch = self.frames_since_stretch.saturating_add(1);
        let State::Playing { next, .. } = self.state else { return };
        let excess = self.delay.waited(next - self.playout.ready() as i64, now) - self.delay.target_samples();
        let often = if excess > self.ms(80) { 2 } else { 5 };
        if self.frames_since_stretch < often {
            return;
        }
        let level = self.playout.ready() as i64 + self.queue.span_from(next);
        if excess > self.ms(25) && level >= self.ms(50) {
            self.decode_ahead(next);
            if self.playout.squeeze() {
                self.frames_since_stretch = 0;
            }
        } else if excess < -self.ms(5) && level >= self.ms(30) {
            self.decode_ahead(next);
            if self.playout.spread() {
                self.frames_since_stretch = 0;
            }
        }
    }

    /// Stretching needs two periods of the voice to look at.
    fn decode_ahead(&mut self, mut next: i64) {
        while (self.playout.ready() as i64) < self.ms(30) {
            if self.queue.first().is_none_or(|first| first.media != next || first.noise) {
                return;
            }
            self.decode_first();
            let State::Playing { next: after, .. } = self.state else { return };
            if after == next {
                return;
            }
            next = after;
        }
    }

    const fn ms(&self, ms: i64) -> i64 {
        ms * self.codec.sample_rate() as i64 / 1000
    }
}
