//! Sound that is decoded, with what was just heard kept before it: concealment looks back, stretching ahead.

use super::stretch;
use crate::frame_samples;

/// Decoded sound.
#[derive(Debug)]
pub struct Playout {
    samples: Vec<i16>,
    /// Where what is not yet heard begins.
    head: usize,
    rate: u32,
}

/// How much of what was heard is kept.
const KEPT_FRAMES: usize = 3;

impl Playout {
    pub fn new(rate: u32) -> Self {
        Self { samples: Vec::with_capacity(frame_samples(rate) * 8), head: 0, rate }
    }

    /// How many samples are not yet heard.
    pub fn ready(&self) -> usize {
        self.samples.len() - self.head
    }

    /// All, with those that were heard.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// All, to add to.
    pub const fn tail(&mut self) -> &mut Vec<i16> {
        &mut self.samples
    }

    /// The next samples, of which there must be enough.
    pub fn take(&mut self, frame: &mut [i16]) {
        let count = frame.len().min(self.ready());
        frame[..count].copy_from_slice(&self.samples[self.head..self.head + count]);
        self.head += count;
        let kept = frame_samples(self.rate) * KEPT_FRAMES;
        if self.head > 2 * kept {
            self.samples.drain(..self.head - kept);
            self.head = kept;
        }
    }

    /// Takes one period of the voice out of what comes next.
    pub fn squeeze(&mut self) -> bool {
        stretch::squeeze(&mut self.samples, self.head, self.rate)
    }

    /// Doubles one period of the voice in what comes next.
    pub fn spread(&mut self) -> bool {
        stretch::spread(&mut self.samples, self.head, self.rate)
    }
}
