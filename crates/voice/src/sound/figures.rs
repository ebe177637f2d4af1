//! How punctual the threads are. In: how late each frame was. Out: figures for metrics and benchmarks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bounds of the histogram, in microseconds.
const BOUNDS: [u64; 14] =
    [100, 200, 400, 600, 800, 1_000, 1_500, 2_000, 3_000, 5_000, 10_000, 20_000, 50_000, u64::MAX];

/// Counted by all threads.
#[derive(Debug, Default)]
pub struct Lateness {
    frames: [AtomicU64; BOUNDS.len()],
    most: AtomicU64,
    calls: AtomicU64,
}

/// As they are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    pub calls: u64,
    /// Frames of 20 ms that were given out.
    pub frames: u64,
    /// Half of them, 99 of 100, and all were no later than this. Of the first two the bound of a class.
    pub median: Duration,
    pub p99: Duration,
    pub most: Duration,
    /// Frames that were more than 5 ms late.
    pub late: u64,
    /// Pieces of recordings that the disk was too slow for.
    pub recordings_lost: u64,
}

impl Lateness {
    pub(super) fn frame(&self, late: Duration) {
        let micros = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        let class = BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len() - 1);
        self.frames[class].fetch_add(1, Ordering::Relaxed);
        self.most.fetch_max(micros, Ordering::Relaxed);
    }

    pub(super) fn call_begins(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn call_ends(&self) {
        self.calls.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn figures(&self, recordings_lost: u64) -> Figures {
        let counts = self.frames.each_ref().map(|count| count.load(Ordering::Relaxed));
        let frames: u64 = counts.iter().sum();
        let within = |share: f64| {
            let (wanted, mut sum) = ((frames as f64 * share).ceil() as u64, 0);
            for (count, bound) in counts.iter().zip(BOUNDS) {
                sum += count;
                if sum >= wanted {
                    return Duration::from_micros(bound.min(self.most.load(Ordering::Relaxed)));
                }
            }
            Duration::ZERO
        };
        let late = counts.iter().zip(BOUNDS).filter(|(_, bound)| *bound > 5_000).map(|(count, _)| count).sum();
        Figures {
            calls: self.calls.load(Ordering::Relaxed),
            frames,
            median: within(0.5),
            p99: within(0.99),
            most: Duration::from_micros(self.most.load(Ordering::Relaxed)),
            late,
            recordings_lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_hundred_frames_one_may_be_late() {
        let lateness = Lateness::default();
        (0..99).for_each(|_| lateness.frame(Duration::from_micros(150)));
        lateness.frame(Duration::from_millis(7));
        let figures = lateness.figures(0);
        assert_eq!((figures.frames, figures.late), (100, 1));
        assert_eq!((figures.p99, figures.most), (Duration::from_micros(200), Duration::from_millis(7)));
    }
}
