//! How long sound has to wait. In: for each packet, when it was said and when it came. Out: the wait that most packets
//! make in time.
//!
//! The fastest packets of the last seconds are the measure: how much later than they another is, is its lateness. That
//! needs no common clock, and a clock that runs differently moves the measure along.

use std::time::{Duration, Instant};

/// The last 8 × 32 packets: five seconds.
const WINDOWS: usize = 8;
const PACKETS_PER_WINDOW: u32 = 32;
/// Lateness is counted in steps of 5 ms, up to half a second.
const STEP_MS: i64 = 5;
const STEPS: usize = 100;
/// One packet in thirty may be too late: waiting for it would cost every answer more than it is worth.
const IN_TIME: f32 = 0.97;
/// What is remembered after each packet.
const MEMORY: f32 = 0.998;
/// Our ticks are not quite even either.
const MARGIN_MS: i64 = 10;
const LEAST_MS: i64 = 20;
/// Packets so close behind each other were held up together.
const BURST: Duration = Duration::from_millis(1);
/// Before anything is known.
const FIRST_MS: i64 = 40;
/// Packets until something is.
const KNOWN: u32 = 20;

/// What is known of a stream's delays.
#[derive(Debug, Clone)]
pub struct Delay {
    rate: i64,
    longest: i64,
    start: Option<Instant>,
    /// The smallest difference, arrival minus media time, of each window; in samples.
    floors: [i64; WINDOWS],
    /// The smallest of them.
    floor: i64,
    in_window: u32,
    last: Option<Instant>,
    seen: u32,
    late: [f32; STEPS],
    target: i64,
}

impl Delay {
    pub fn new(rate: u32, longest: Duration) -> Self {
        let rate = i64::from(rate);
        Self {
            rate,
            longest: longest.as_millis() as i64 * rate / 1000,
            start: None,
            floors: [i64::MAX; WINDOWS],
            floor: i64::MAX,
            in_window: 0,
            last: None,
            seen: 0,
            late: [0.0; STEPS],
            target: FIRST_MS * rate / 1000,
        }
    }

    /// Another stream: its times have nothing to do with the last one's, but how uneven the way is stays.
    pub fn restart(&mut self) {
        self.floors = [i64::MAX; WINDOWS];
        self.floor = i64::MAX;
        self.in_window = 0;
    }

    /// This packet, just now, is the measure from here on.
    pub fn rebase(&mut self, media: i64, now: Instant) {
        self.restart();
        let offset = self.samples(now) - media;
        self.floors[0] = offset - self.target;
        self.floor = self.floors[0];
    }

    /// Whether a packet's time makes no sense beside the last ones': the stream's clock was set anew.
    pub fn is_leap(&mut self, media: i64, at: Instant) -> bool {
        let offset = self.samples(at) - media;
        self.floor != i64::MAX && (offset - self.floor).abs() > self.rate * 3 / 2
    }

    /// Takes note of when a packet came.
    pub fn note(&mut self, media: i64, at: Instant) {
        let offset = self.samples(at) - media;
        if self.in_window == PACKETS_PER_WINDOW {
            self.floors.rotate_right(1);
            self.floors[0] = i64::MAX;
            self.in_window = 0;
        }
        self.in_window += 1;
        self.floors[0] = self.floors[0].min(offset);
        self.floor = self.floors.iter().copied().min().unwrap_or(offset);
        let lateness = offset - self.floor;
        // What was held up longer than we ever wait, and the burst that follows a stall, is no reason to wait.
        let burst = self.last.is_some_and(|last| at.saturating_duration_since(last) < BURST);
        self.last = Some(at);
        if lateness <= self.longest && (!burst || lateness * 1000 < FIRST_MS * self.rate) {
            self.count(lateness);
        }
    }

    fn count(&mut self, lateness: i64) {
        self.seen = self.seen.saturating_add(1);
        let step = (lateness * 1000 / self.rate / STEP_MS).clamp(0, STEPS as i64 - 1) as usize;
        let memory = MEMORY.min(self.seen as f32 / (self.seen as f32 + 1.0));
        for share in &mut self.late {
            *share *= memory;
        }
        self.late[step] += 1.0 - memory;
        if self.seen < KNOWN {
            return;
        }
        let all: f32 = self.late.iter().sum();
        let mut so_far = 0.0;
        let steps = self.late.iter().position(|share| {
            so_far += share;
            so_far >= IN_TIME * all
        });
        let wanted = (steps.unwrap_or(STEPS) as i64 + 1) * STEP_MS + MARGIN_MS;
        self.target = (wanted.max(LEAST_MS) * self.rate / 1000).min(self.longest);
    }

    /// How long, in samples, a sample would have waited by now had it come as fast as the fastest.
    pub fn waited(&mut self, media: i64, now: Instant) -> i64 {
        if self.floor == i64::MAX { 0 } else { self.samples(now) - media - self.floor }
    }

    pub const fn target_samples(&self) -> i64 {
        self.target
    }

    pub const fn longest_samples(&self) -> i64 {
        self.longest
    }

    pub fn target(&self) -> Duration {
        Duration::from_micros((self.target * 1_000_000 / self.rate).unsigned_abs())
    }

    fn samples(&mut self, at: Instant) -> i64 {
        let passed = at.saturating_duration_since(*self.start.get_or_insert(at));
        (passed.as_micros() as i64) * self.rate / 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream with a lateness, in ms, of each packet.
    fn after(packets: u32, mut late: impl FnMut(u32) -> u64) -> Delay {
        let mut delay = Delay::new(8000, Duration::from_millis(300));
        let start = Instant::now();
        for i in 0..packets {
            let at = start + Duration::from_millis(u64::from(i) * 20 + late(i));
            delay.note(i64::from(i) * 160, at);
        }
        delay
    }

    #[test]
    fn an_even_network_waits_hardly_at_all() {
        assert_eq!(after(200, |_| 30).target(), Duration::from_millis(20));
    }

    #[test]
    fn an_uneven_one_waits_for_nearly_all() {
        let target = after(500, |i| u64::from(i * 7919 % 61)).target();
        assert!((60..=75).contains(&target.as_millis()), "{target:?}");
    }

    #[test]
    fn a_few_stragglers_are_not_waited_for() {
        let target = after(1000, |i| if i % 50 == 49 { 200 } else { 0 }).target();
        assert_eq!(target, Duration::from_millis(20));
    }

    #[test]
    fn a_clock_that_runs_slow_is_not_lateness() {
        // 500 ppm: after half a minute 15 ms.
        let target = after(1500, |i| u64::from(i) * 20 / 2000).target();
        assert!(target <= Duration::from_millis(25), "{target:?}");
    }
}
