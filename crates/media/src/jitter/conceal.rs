//! What takes a lost packet's place: the last periods of the voice again, ever quieter, as G.711's appendix I does it.
//! When sound is there again, the one fades into the other.

use super::stretch::{fade, period_behind};

/// Made-up sound that goes on from what was heard.
#[derive(Debug)]
pub struct Concealment {
    rate: u32,
    /// Whole periods of the voice, which are repeated. Empty: nothing is concealed.
    periods: Vec<i16>,
    made: usize,
}

impl Concealment {
    pub fn new(rate: u32) -> Self {
        Self { rate, periods: Vec::new(), made: 0 }
    }

    /// Adds so many made-up samples.
    pub fn extend(&mut self, count: usize, samples: &mut Vec<i16>) {
        self.prepare(samples);
        for _ in 0..count {
            samples.push(self.next());
        }
    }

    /// What is added next has no connection with what was heard: it will be faded into.
    pub fn prepare(&mut self, heard: &[i16]) {
        if self.periods.is_empty() {
            self.begin(heard);
        }
    }

    /// Sound is there again, from `start` on: its beginning is faded into.
    pub fn merge(&mut self, samples: &mut [i16], start: usize) {
        if self.periods.is_empty() {
            return;
        }
        let count = (self.rate as usize / 200).min(samples.len() - start);
        for i in 0..count {
            let made = self.next();
            samples[start + i] = fade(made, samples[start + i], i, count);
        }
        if count > 0 {
            self.stop();
        }
    }

    /// It is over.
    pub fn stop(&mut self) {
        self.periods.clear();
        self.made = 0;
    }

    fn begin(&mut self, heard: &[i16]) {
        let kept = self.rate as usize * 40 / 1000;
        let heard = &heard[heard.len().saturating_sub(kept)..];
        self.made = 0;
        let Some((period, alike)) = period_behind(heard, self.rate) else {
            self.periods.push(0);
            return;
        };
        // Several periods are less of a buzz than one again and again; where there is no voice, the longer the better.
        let least = self.rate as usize * if alike > 0.6 { 8 } else { 16 } / 1000;
        let length = (period * least.div_ceil(period)).min(heard.len());
        self.periods.extend_from_slice(&heard[heard.len() - length..]);
        // Where the end meets the beginning again, it fades into what came before the beginning.
        let seam = (period / 4).min(heard.len() - length);
        for i in 0..seam {
            let before = heard[heard.len() - length - seam + i];
            let at = length - seam + i;
            self.periods[at] = fade(self.periods[at], before, i, seam);
        }
    }

    fn next(&mut self) -> i16 {
        let sample = self.periods[self.made % self.periods.len()];
        // Full for 10 ms, then down to nothing at 120 ms.
        let ms = (self.made * 1000 / self.rate as usize) as i32;
        self.made += 1;
        let gain = (120 - ms).clamp(0, 110);
        (i32::from(sample) * gain / 110) as i16
    }
}
