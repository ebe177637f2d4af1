//! How long things took.

use std::time::Duration;

/// A collection of times, asked for its quantiles.
#[derive(Debug, Default)]
pub struct Latencies {
    all: Vec<Duration>,
    sorted: bool,
}

impl Latencies {
    pub fn add(&mut self, one: Duration) {
        self.all.push(one);
        self.sorted = false;
    }

    pub fn append(&mut self, mut others: Self) {
        self.all.append(&mut others.all);
        self.sorted = false;
    }

    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// In milliseconds; `share` is such as 0.99.
    pub fn millis(&mut self, share: f64) -> f64 {
        if !self.sorted {
            self.all.sort_unstable();
            self.sorted = true;
        }
        let last = self.all.len().saturating_sub(1);
        let place = ((self.all.len() as f64 * share) as usize).min(last);
        self.all.get(place).map_or(f64::NAN, |one| one.as_secs_f64() * 1000.0)
    }
}

/// The one in the middle: a machine shared with others has moments that are not ours.
pub fn median(mut turns: Vec<f64>) -> f64 {
    turns.sort_by(f64::total_cmp);
    turns.get(turns.len() / 2).copied().unwrap_or(f64::NAN)
}
