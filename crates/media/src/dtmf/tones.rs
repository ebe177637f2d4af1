//! Digits as two tones at once, for the networks that know no events. In: frames. Out: frames, and the digits in them.
//!
//! Hearing is Goertzel's filter at the eight frequencies, in blocks of 12.75 ms. Speech has such tones by chance
//! ("talk-off"), so a digit must be two tones and hardly anything else, neither much louder than the other, and last.

use super::Digit;

const ROWS: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
const LAYOUT: [[char; 4]; 4] = [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];

/// Samples of a block at 8 kHz.
const BLOCK: u32 = 102;
/// Columns may be 4 dB louder than rows, and rows 8 dB louder than columns: lines damp the higher more.
const COLUMN_OVER_ROW: f32 = 2.51;
const ROW_OVER_COLUMN: f32 = 6.31;
/// The tone stands out of the others of its group by 8 dB.
const PEAK: f32 = 6.31;
/// The two tones are 80 % of all there is.
const SHARE: f32 = 0.8;
/// Quieter than -42 dBm0 is no digit.
const QUIETEST: f32 = 130.0;
/// Blocks of a digit before it is one, and blocks without before it is over.
const BLOCKS: u32 = 2;

/// Listens for digits.
#[derive(Debug, Clone)]
pub struct ToneDetector {
    block: u32,
    filters: [Goertzel; 8],
    energy: f32,
    filled: u32,
    /// What the last blocks were, and how many of them.
    last: (Option<Digit>, u32),
    current: Option<Digit>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Goertzel {
    factor: f32,
    past: [f32; 2],
}

impl ToneDetector {
    /// For sound of so many samples a second.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        let factor = |frequency: f32| 2.0 * (std::f32::consts::TAU * frequency / rate as f32).cos();
        let mut filters = [Goertzel::default(); 8];
        for (filter, frequency) in filters.iter_mut().zip(ROWS.into_iter().chain(COLUMNS)) {
            filter.factor = factor(frequency);
        }
        Self { block: BLOCK * rate / 8000, filters, energy: 0.0, filled: 0, last: (None, 0), current: None }
    }

    /// Hears a frame; a digit is told once, when it is certain.
    pub fn hear(&mut self, samples: &[i16]) -> Option<Digit> {
        let mut found = None;
        let mut rest = samples;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min((self.block - self.filled) as usize));
            self.take(now);
            rest = later;
            if self.filled == self.block {
                let digit = self.judge();
                found = self.follow(digit).or(found);
            }
        }
        found
    }

    fn take(&mut self, samples: &[i16]) {
        for &sample in samples {
            let sample = f32::from(sample);
            self.energy += sample * sample;
            for filter in &mut self.filters {
                let next = sample + filter.factor * filter.past[0] - filter.past[1];
                filter.past = [next, filter.past[0]];
            }
        }
        self.filled += samples.len() as u32;
    }

    /// What the block was.
    fn judge(&mut self) -> Option<Digit> {
        let powers = self.filters.each_mut().map(|filter| {
            let [a, b] = std::mem::take(&mut filter.past);
            a * a + b * b - filter.factor * a * b
        });
        let energy = std::mem::take(&mut self.energy);
        self.filled = 0;
        let length = self.block as f32;
        if energy < length * QUIETEST * QUIETEST {
            return None;
        }
        let (row, row_power) = peak(&powers[..4])?;
        let (column, column_power) = peak(&powers[4..])?;
        let twisted = column_power > row_power * COLUMN_OVER_ROW || row_power > column_power * ROW_OVER_COLUMN;
        // A sine's Goertzel power is half the block's length times its energy.
        let pure = row_power + column_power > SHARE * energy * length / 2.0;
        if twisted || !pure { None } else { Digit::parse(LAYOUT[row][column]) }
    }

    fn follow(&mut self, digit: Option<Digit>) -> Option<Digit> {
        let count = if self.last.0 == digit { self.last.1 + 1 } else { 1 };
        self.last = (digit, count);
        if count != BLOCKS || self.current == digit {
            return None;
        }
        self.current = digit;
        digit
    }
}

/// The strongest of four, if the others are much weaker.
fn peak(powers: &[f32]) -> Option<(usize, f32)> {
    let (at, &power) = powers.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
    let alone = powers.iter().enumerate().all(|(i, &other)| i == at || other * PEAK < power);
    alone.then_some((at, power))
}

/// Makes a digit's two tones.
#[derive(Debug, Clone)]
pub struct Tone {
    steps: [f32; 2],
    phases: [f32; 2],
}

/// How loud each tone is: together about -7 dBm0.
const AMPLITUDE: f32 = 7000.0;

impl Tone {
    /// Those of a digit, at so many samples a second.
    #[must_use]
    pub fn new(digit: Digit, rate: u32) -> Self {
        let (row, column) = LAYOUT
            .iter()
            .enumerate()
            .find_map(|(row, signs)| Some((row, signs.iter().position(|&sign| sign == digit.sign())?)))
            .unwrap_or_default();
        let step = |frequency: f32| std::f32::consts::TAU * frequency / rate as f32;
        Self { steps: [step(ROWS[row]), step(COLUMNS[column])], phases: [0.0; 2] }
    }

    /// Replaces a frame by its sound.
    pub fn fill(&mut self, samples: &mut [i16]) {
        for sample in samples {
            let mut sum = 0.0;
            for (phase, step) in self.phases.iter_mut().zip(self.steps) {
                sum += phase.sin();
                *phase = (*phase + step) % std::f32::consts::TAU;
            }
            *sample = (sum * AMPLITUDE) as i16;
        }
    }
}
