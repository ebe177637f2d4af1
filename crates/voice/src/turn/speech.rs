//! Where in the sound somebody speaks. In: frames of a call's audio. Out: when speech begins and ends.

use std::fmt;
use std::time::Duration;

use earshot::Detector;

/// What the detector wants: 16 ms at 16 kHz.
const CHUNK: usize = 256;
const CHUNK_TIME: Duration = Duration::from_millis(16);
/// A chunk is voiced from here on...
const VOICED: f32 = 0.5;
/// ... and not voiced any more below, so that it does not flicker between.
const UNVOICED: f32 = 0.35;
/// So many voiced chunks of the last [`WINDOW`] begin speech: a click is no word.
const BEGINS: u32 = 4;
const WINDOW: u32 = 6;
/// So many chunks in a row that are not voiced end it. Short: how long a pause may be is not decided here.
const ENDS: u32 = 6;

/// The mean square of what is fainter than any speech on a telephone: 60 dB below the loudest.
const FAINT: i64 = 33 * 33;
/// The detector hears so many chunks of it, so that it knows that it is quiet.
const SETTLES: u32 = 8;

/// How many samples a second there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// G.711
    Khz8,
    /// G.722
    Khz16,
    /// Opus
    Khz48,
}

/// A change in who can be heard. Times are since the first sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Since then; it takes a moment to be sure.
    Began(Duration),
    /// The last that was voiced.
    Ended(Duration),
}

/// Listens to one side of a call. About 10 kB.
pub struct SpeechDetector {
    detector: Box<Detector>,
    rate: Rate,
    /// At 16 kHz, less than a chunk.
    rest: Vec<i16>,
    /// The last sample, for what is between two.
    last: i16,
    /// Which of three samples comes next, of 48 kHz.
    phase: usize,
    sum: i32,
    chunks: u32,
    /// The last chunks, a bit each, 1 where voiced.
    history: u32,
    speaking: bool,
    silent_for: u32,
    /// Chunks in a row that are too faint to be speech.
    faint_for: u32,
}

impl fmt::Debug for SpeechDetector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpeechDetector")
            .field("rate", &self.rate)
            .field("speaking", &self.speaking)
            .finish_non_exhaustive()
    }
}

impl SpeechDetector {
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self {
            detector: Detector::default_boxed(),
            rate,
            rest: Vec::with_capacity(2 * CHUNK),
            last: 0,
            phase: 0,
            sum: 0,
            chunks: 0,
            history: 0,
            speaking: false,
            silent_for: 0,
            faint_for: 0,
        }
    }

    /// The sound comes at another rate from now on; who spoke still does.
    pub fn set_rate(&mut self, rate: Rate) {
        self.rate = rate;
        (self.last, self.phase, self.sum) = (0, 0, 0);
    }

    /// Whether somebody speaks, as far as was heard.
    #[must_use]
    pub fn is_speech(&self) -> bool {
        self.speaking
    }

    /// Listens to what comes next, however long it is. Calls `changed` for each change in it.
    pub fn listen(&mut self, samples: &[i16], mut changed: impl FnMut(Change)) {
        self.resample(samples);
        let mut taken = 0;
        while let Some(chunk) = self.rest[taken..].first_chunk::<CHUNK>().copied() {
            let score = self.score(&chunk);
            if let Some(change) = self.weigh(score) {
                changed(change);
            }
            taken += CHUNK;
        }
        self.rest.drain(..taken);
    }

    /// The detector is not asked about what is silence beyond doubt, which is half of a call.
    fn score(&mut self, chunk: &[i16; CHUNK]) -> f32 {
        let energy: i64 = chunk.iter().map(|sample| i64::from(*sample) * i64::from(*sample)).sum();
        self.faint_for = if energy < FAINT * CHUNK as i64 { self.faint_for + 1 } else { 0 };
        if self.faint_for > SETTLES { 0.0 } else { self.detector.predict_i16(chunk) }
    }

    fn resample(&mut self, samples: &[i16]) {
        match self.rate {
            Rate::Khz16 => self.rest.extend_from_slice(samples),
            Rate::Khz8 => {
                let mut last = self.last;
                self.rest.extend(samples.iter().flat_map(|sample| {
                    let between = last.midpoint(*sample);
                    last = *sample;
                    [between, *sample]
                }));
                self.last = last;
            }
            Rate::Khz48 => {
                for sample in samples {
                    // The mean of three keeps out most of what 16 kHz has no room for.
                    self.sum += i32::from(*sample);
                    self.phase += 1;
                    if self.phase == 3 {
                        self.rest.push(clamp(self.sum / 3));
                        (self.phase, self.sum) = (0, 0);
                    }
                }
            }
        }
    }

    fn weigh(&mut self, score: f32) -> Option<Change> {
        let before = self.history & 1 == 1;
        let voiced = score >= VOICED || (before && score >= UNVOICED);
        self.history = ((self.history << 1) | u32::from(voiced)) & ((1 << WINDOW) - 1);
        self.chunks += 1;
        if !self.speaking && self.history.count_ones() >= BEGINS {
            (self.speaking, self.silent_for) = (true, 0);
            let first = u32::BITS - self.history.leading_zeros();
            return Some(Change::Began(CHUNK_TIME * self.chunks.saturating_sub(first)));
        }
        if self.speaking {
            self.silent_for = if voiced { 0 } else { self.silent_for + 1 };
            if self.silent_for == ENDS {
                (self.speaking, self.history) = (false, 0);
                return Some(Change::Ended(CHUNK_TIME * (self.chunks - ENDS)));
            }
        }
        None
    }
}

fn clamp(value: i32) -> i16 {
    i16::try_from(value).unwrap_or(if value < 0 { i16::MIN } else { i16::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(detector: &mut SpeechDetector, scores: &[f32]) -> Vec<Change> {
        scores.iter().filter_map(|score| detector.weigh(*score)).collect()
    }

    #[test]
    fn a_click_is_no_speech() {
        let mut detector = SpeechDetector::new(Rate::Khz8);
        let mut scores = vec![0.0; 20];
        scores[5] = 0.9;
        scores[6] = 0.9;
        assert_eq!(changes(&mut detector, &scores), []);
    }

    #[test]
    fn speech_begins_with_its_first_voiced_chunk_and_ends_with_its_last() {
        let mut detector = SpeechDetector::new(Rate::Khz8);
        let scores = [vec![0.1; 10], vec![0.8; 30], vec![0.1; 10]].concat();
        let began = Change::Began(CHUNK_TIME * 10);
        assert_eq!(changes(&mut detector, &scores), [began, Change::Ended(CHUNK_TIME * 40)]);
    }

    #[test]
    fn a_weak_moment_within_a_word_does_not_end_it() {
        let mut detector = SpeechDetector::new(Rate::Khz8);
        let scores = [vec![0.9; 10], vec![0.4; 8], vec![0.1; 4], vec![0.9; 4]].concat();
        assert_eq!(changes(&mut detector, &scores), [Change::Began(Duration::ZERO)]);
    }

    #[test]
    fn silence_and_a_hum_are_no_speech_at_any_rate() {
        for (rate, hertz) in [(Rate::Khz8, 8_000), (Rate::Khz16, 16_000), (Rate::Khz48, 48_000)] {
            let mut detector = SpeechDetector::new(rate);
            let mut heard = Vec::new();
            let hum = (0..hertz * 2)
                .map(|n| ((f64::from(n) * 50.0 * std::f64::consts::TAU / f64::from(hertz)).sin() * 300.0) as i16);
            for frame in hum.collect::<Vec<i16>>().chunks(hertz as usize / 50) {
                detector.listen(frame, |change| heard.push(change));
            }
            assert_eq!(heard, [], "{rate:?}");
            assert_eq!(detector.chunks, 125, "{rate:?}");
        }
    }
}
