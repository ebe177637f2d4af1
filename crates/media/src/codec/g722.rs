//! G.722 at 64 kbit/s (its mode 1), as ITU-T G.722 has it: a quadrature mirror filter splits wideband sound in two, and
//! each half is sent as an adaptive differential code, six bits for the low one and two for the high one. The block
//! names in the comments are the recommendation's.

use super::{Broken, Decoder, Encoder};

/// Wideband samples into bytes, one for every two.
#[derive(Debug, Clone)]
pub struct G722Encoder {
    low: Band,
    high: Band,
    past: Mirror,
}

/// Bytes into wideband samples, two for every one.
#[derive(Debug, Clone)]
pub struct G722Decoder {
    low: Band,
    high: Band,
    past: Mirror,
}

impl Default for G722Encoder {
    fn default() -> Self {
        Self { low: Band::starting(32), high: Band::starting(8), past: Mirror::default() }
    }
}

impl Default for G722Decoder {
    fn default() -> Self {
        Self { low: Band::starting(32), high: Band::starting(8), past: Mirror::default() }
    }
}

impl Encoder for G722Encoder {
    fn encode(&mut self, samples: &[i16], payload: &mut Vec<u8>) {
        for pair in samples.chunks_exact(2) {
            let (even, odd) = self.past.next(i32::from(pair[0]), i32::from(pair[1]));
            let low = self.encode_low((odd + even) >> 14);
            let high = self.encode_high((odd - even) >> 14);
            payload.push((high << 6) | low);
        }
    }
}

impl G722Encoder {
    fn encode_low(&mut self, sample: i32) -> u8 {
        let band = &mut self.low;
        let difference = saturate(sample - band.predicted);
        let size = if difference >= 0 { difference } else { !difference };
        // QUANTL
        let level = 1 + DECISIONS.partition_point(|&decision| (decision * band.step) >> 12 <= size);
        let code = if difference < 0 { LOW_NEGATIVE[level] } else { LOW_POSITIVE[level] };
        band.adapt_low(code);
        code
    }

    fn encode_high(&mut self, sample: i32) -> u8 {
        let band = &mut self.high;
        let difference = saturate(sample - band.predicted);
        let size = if difference >= 0 { difference } else { !difference };
        // QUANTH
        let far = size >= (564 * band.step) >> 12;
        let code = match (difference < 0, far) {
            (true, false) => 1,
            (true, true) => 0,
            (false, false) => 3,
            (false, true) => 2,
        };
        band.adapt_high(code);
        code
    }
}

impl Decoder for G722Decoder {
    fn decode(&mut self, payload: &[u8], samples: &mut Vec<i16>) -> Result<(), Broken> {
        for &byte in payload {
            let (code, high_code) = (byte & 0x3F, byte >> 6);
            let low = (self.low.predicted + ((self.low.step * INVERSE_6[code as usize]) >> 15)).clamp(-16384, 16383);
            self.low.adapt_low(code);
            let high = self.high.predicted + ((self.high.step * INVERSE_2[high_code as usize]) >> 15);
            let high = high.clamp(-16384, 16383);
            self.high.adapt_high(high_code);

            let (even, odd) = self.past.next(low + high, low - high);
            samples.push(saturate(odd >> 11) as i16);
            samples.push(saturate(even >> 11) as i16);
        }
        Ok(())
    }

    fn duration(&self, payload: &[u8]) -> usize {
        payload.len() * 2
    }
}

/// The quadrature mirror filter, over the last samples at even places, and those at odd ones. Each is written twice, so
/// that the last twelve are always in a row.
#[derive(Debug, Clone, Default)]
struct Mirror {
    even: [i32; 24],
    odd: [i32; 24],
    newest: usize,
}

impl Mirror {
    /// Takes two samples, and gives the sums over the even places and over the odd ones.
    fn next(&mut self, even: i32, odd: i32) -> (i32, i32) {
        let newest = (self.newest + 1) % 12;
        self.newest = newest;
        (self.even[newest], self.even[newest + 12]) = (even, even);
        (self.odd[newest], self.odd[newest + 12]) = (odd, odd);
        let last = newest + 1..newest + 13;
        let sum = |past: &[i32], filter: &[i32; 12]| past.iter().zip(filter).map(|(p, f)| p * f).sum();
        (sum(&self.even[last.clone()], &MIRROR), sum(&self.odd[last], &MIRROR_BACK))
    }
}

/// One half's predictor and step, which encoder and decoder keep alike.
#[derive(Debug, Clone)]
struct Band {
    /// s: what the next sample should be.
    predicted: i32,
    /// sz: the part of it that comes from the zeros.
    from_zeros: i32,
    /// r1, r2: the last reconstructed samples.
    rebuilt: [i32; 2],
    /// a1, a2: the poles' coefficients.
    poles: [i32; 2],
    /// p1, p2: the last partially reconstructed samples.
    partial: [i32; 2],
    /// d1 … d6: the last differences.
    differences: [i32; 6],
    /// b1 … b6: the zeros' coefficients.
    zeros: [i32; 6],
    /// nb: the step's logarithm.
    log_step: i32,
    /// det: the quantizer's step.
    step: i32,
}

impl Band {
    fn starting(step: i32) -> Self {
        Self {
            predicted: 0,
            from_zeros: 0,
            rebuilt: [0; 2],
            poles: [0; 2],
            partial: [0; 2],
            differences: [0; 6],
            zeros: [0; 6],
            log_step: 0,
            step,
        }
    }

    fn adapt_low(&mut self, code: u8) {
        let coarse = usize::from(code >> 2);
        // INVQAL: the predictor follows only the four bits that every mode sends.
        let difference = (self.step * INVERSE_4[coarse]) >> 15;
        self.rescale(LOW_LOG[LOW_CLASS[coarse]], 18432, 8);
        self.follow(difference);
    }

    fn adapt_high(&mut self, code: u8) {
        let difference = (self.step * INVERSE_2[usize::from(code)]) >> 15;
        self.rescale(HIGH_LOG[usize::from(code)], 22528, 10);
        self.follow(difference);
    }

    /// LOGSCL and SCALEL, or LOGSCH and SCALEH.
    fn rescale(&mut self, by: i32, most: i32, scale: i32) {
        self.log_step = (((self.log_step * 127) >> 7) + by).clamp(0, most);
        let mantissa = EXPONENTIAL[((self.log_step >> 6) & 31) as usize];
        let shift = scale - (self.log_step >> 11);
        self.step = if shift < 0 { mantissa << -shift } else { mantissa >> shift } << 2;
    }

    /// Block 4: the predictor learns what the difference was, and predicts again.
    fn follow(&mut self, difference: i32) {
        // RECONS, PARREC
        let rebuilt = saturate(self.predicted + difference);
        let partial = saturate(self.from_zeros + difference);
        self.move_poles(partial);
        self.move_zeros(difference);
        // DELAYA
        let [first, second, third, fourth, fifth, _] = self.differences;
        self.differences = [difference, first, second, third, fourth, fifth];
        self.rebuilt = [rebuilt, self.rebuilt[0]];
        self.partial = [partial, self.partial[0]];
        // FILTEP, FILTEZ, PREDIC
        let from_poles: i32 = self.rebuilt.iter().zip(&self.poles).map(|(&r, &a)| (a * saturate(r + r)) >> 15).sum();
        let from_zeros = self.differences.iter().zip(&self.zeros).map(|(&d, &b)| (b * saturate(d + d)) >> 15).sum();
        self.from_zeros = saturate(from_zeros);
        self.predicted = saturate(saturate(from_poles) + self.from_zeros);
    }

    /// UPPOL2, UPPOL1
    fn move_poles(&mut self, partial: i32) {
        let alike = |a: i32, b: i32| (a < 0) == (b < 0);
        let first = saturate(self.poles[0] << 2);
        let first = if alike(partial, self.partial[0]) { saturate(-first) } else { first };
        let nudge = if alike(partial, self.partial[1]) { 128 } else { -128 };
        let second = ((first >> 7) + nudge + ((self.poles[1] * 32512) >> 15)).clamp(-12288, 12288);
        let nudge = if alike(partial, self.partial[0]) { 192 } else { -192 };
        let most = saturate(15360 - second);
        let first = saturate(nudge + ((self.poles[0] * 32640) >> 15)).clamp(-most, most);
        self.poles = [first, second];
    }

    /// UPZERO
    fn move_zeros(&mut self, difference: i32) {
        let size = if difference == 0 { 0 } else { 128 };
        for (zero, &past) in self.zeros.iter_mut().zip(&self.differences) {
            let nudge = if (past < 0) == (difference < 0) { size } else { -size };
            *zero = saturate(nudge + ((*zero * 32640) >> 15));
        }
    }
}

const fn saturate(value: i32) -> i32 {
    if value > 32767 {
        32767
    } else if value < -32768 {
        -32768
    } else {
        value
    }
}

/// The first half of the mirror filter, which is symmetrical.
const MIRROR: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];
/// The second half.
const MIRROR_BACK: [i32; 12] = [-11, 53, -156, 362, -805, 3876, 951, -210, 32, 12, -11, 3];
/// q6
const DECISIONS: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121, 1219, 1339,
    1458, 1612, 1765, 1980, 2195, 2557, 2919,
];
/// iln
const LOW_NEGATIVE: [u8; 31] = [
    0, 63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4,
];
/// ilp
const LOW_POSITIVE: [u8; 31] = [
    0, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34,
    33, 32,
];
/// wl
const LOW_LOG: [i32; 8] = [-60, -30, 58, 172, 334, 538, 1198, 3042];
/// rl42
const LOW_CLASS: [usize; 16] = [0, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0];
/// wh, by code
const HIGH_LOG: [i32; 4] = [798, -214, 798, -214];
/// ilb
const EXPONENTIAL: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896, 2960, 3025,
    3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];
/// qm2
const INVERSE_2: [i32; 4] = [-7408, -1616, 7408, 1616];
/// qm4
const INVERSE_4: [i32; 16] =
    [0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0];
/// qm6
const INVERSE_6: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360, -8576,
    -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688, -1360, -1040,
    -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456,
    4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];
