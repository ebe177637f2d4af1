//! From one rate to another: speech engines work at 16, 22.05, 24 or 48 kHz, phones at 8 or 16. In: samples at one rate,
//! in pieces of any size. Out: the same sound at the other.
//!
//! A windowed sinc in phases, computed once for each pair of rates. What the lower rate can't carry is left out, so that
//! nothing is heard of it at a wrong pitch.

/// How many crossings of zero the sinc has on each side: more are steeper, and take longer.
const CROSSINGS: usize = 12;

/// Changes a stream's rate.
#[derive(Debug, Clone)]
pub struct Resampler {
    /// Between two samples that go out, so many steps; between two that come in, `phases` of them.
    step: usize,
    phases: usize,
    taps: usize,
    /// For each phase its taps, the oldest sample's first.
    filter: Vec<f32>,
    /// The last samples that came in, as many as there are taps.
    past: Vec<f32>,
    /// How far the next sample that goes out is behind the newest that came in, in steps.
    behind: usize,
}

impl Resampler {
    /// From a rate to a rate, in samples a second. None, where a rate is zero or their ratio is so odd that its filter
    /// would be huge.
    #[must_use]
    pub fn new(from: u32, to: u32) -> Option<Self> {
        let divisor = gcd(from, to);
        if from == 0 || to == 0 || to / divisor > 1000 || from / to > 20 {
            return None;
        }
        let (step, phases) = ((from / divisor) as usize, (to / divisor) as usize);
        // The filter passes what both rates can carry, with a little room for its slope.
        let cut = 0.94 * f64::from(to.min(from)) / f64::from(from);
        let half = (CROSSINGS as f64 / cut).ceil() as usize;
        let taps = if step == phases { 1 } else { 2 * half };
        let filter = if taps == 1 { vec![1.0] } else { sinc(phases, half, cut) };
        Some(Self { step, phases, taps, filter, past: vec![0.0; taps], behind: 0 })
    }

    /// Adds what becomes of these samples to `out`.
    pub fn push(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        self.past.extend(samples.iter().map(|sample| f32::from(*sample)));
        for nth in 1..=samples.len() {
            let window = &self.past[nth..nth + self.taps];
            while self.behind < self.phases {
                let filter = &self.filter[self.behind * self.taps..(self.behind + 1) * self.taps];
                let sum = dot(window, filter);
                // Rounded; what is too much saturates.
                out.push((sum + 0.5_f32.copysign(sum)) as i16);
                self.behind += self.step;
            }
            self.behind -= self.phases;
        }
        self.past.drain(..samples.len());
    }
}

/// In eight sums, which a processor adds to all at once.
fn dot(samples: &[f32], taps: &[f32]) -> f32 {
    let (eights, rest) = samples.as_chunks::<8>();
    let (eight_taps, rest_taps) = taps.as_chunks::<8>();
    let mut sums = [0.0_f32; 8];
    for (eight, taps) in eights.iter().zip(eight_taps) {
        for ((sum, sample), tap) in sums.iter_mut().zip(eight).zip(taps) {
            *sum += sample * tap;
        }
    }
    let last: f32 = rest.iter().zip(rest_taps).map(|(sample, tap)| sample * tap).sum();
    sums.iter().sum::<f32>() + last
}

fn sinc(phases: usize, half: usize, cut: f64) -> Vec<f32> {
    let taps = 2 * half;
    let mut filter = Vec::with_capacity(phases * taps);
    for phase in 0..phases {
        let start = filter.len();
        for tap in 0..taps {
            // How far the sample of this tap is from what goes out, in samples that come in.
            let x = tap as f64 - (half as f64 - 1.0) - phase as f64 / phases as f64;
            let window = (std::f64::consts::FRAC_PI_2 * x / half as f64).cos().powi(2);
            let angle = std::f64::consts::PI * x * cut;
            let value = if x == 0.0 { 1.0 } else { angle.sin() / angle };
            filter.push((value * window) as f32);
        }
        // Each phase passes a constant as it is.
        let sum: f32 = filter[start..].iter().sum();
        filter[start..].iter_mut().for_each(|tap| *tap /= sum);
    }
    filter
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { if a == 0 { 1 } else { a } } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(frequency: f64, rate: u32, seconds: f64) -> Vec<i16> {
        let step = std::f64::consts::TAU * frequency / f64::from(rate);
        (0..(f64::from(rate) * seconds) as usize).map(|i| (10_000.0 * (i as f64 * step).sin()) as i16).collect()
    }

    fn resampled(samples: &[i16], from: u32, to: u32) -> Vec<i16> {
        let (mut resampler, mut out) = (Resampler::new(from, to).unwrap(), Vec::new());
        for piece in samples.chunks(173) {
            resampler.push(piece, &mut out);
        }
        out
    }

    /// How much of a sound is a tone, and how loud all of it is.
    fn found(sound: &[i16], frequency: f64, rate: u32) -> (f64, f64) {
        let (mut real, mut imaginary, mut power) = (0.0, 0.0, 0.0);
        for (i, &sample) in sound.iter().enumerate() {
            let angle = std::f64::consts::TAU * frequency * i as f64 / f64::from(rate);
            real += f64::from(sample) * angle.cos();
            imaginary += f64::from(sample) * angle.sin();
            power += f64::from(sample).powi(2);
        }
        let count = sound.len() as f64;
        (2.0 * (real * real + imaginary * imaginary) / (count * count), power / count)
    }

    const PAIRS: [(u32, u32); 9] = [
        (8000, 16_000),
        (16_000, 8000),
        (24_000, 8000),
        (24_000, 16_000),
        (22_050, 8000),
        (22_050, 16_000),
        (48_000, 8000),
        (8000, 48_000),
        (44_100, 16_000),
    ];

    #[test]
    fn a_tone_stays_a_tone() {
        for (from, to) in PAIRS {
            for frequency in [300.0, 1000.0, 3000.0] {
                let out = resampled(&tone(frequency, from, 1.0), from, to);
                assert!(out.len().abs_diff(to as usize) <= 2, "{from} → {to} makes {}", out.len());
                let (kept, all) = found(&out[to as usize / 10..], frequency, to);
                let noise = 10.0 * (kept / (all - kept).max(1e-9)).log10();
                assert!((kept / 5e7 - 1.0).abs() < 0.06, "{from} → {to}: {frequency} Hz comes out at {kept:e}");
                assert!(noise > 50.0, "{from} → {to}: {frequency} Hz with noise at {noise:.0} dB");
            }
        }
    }

    #[test]
    fn what_the_lower_rate_can_not_carry_is_left_out() {
        for (from, to, frequency) in [(16_000, 8000, 5500.0), (24_000, 8000, 7000.0), (48_000, 16_000, 11_000.0)] {
            let out = resampled(&tone(frequency, from, 0.5), from, to);
            let power = out[2000..].iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / (out.len() - 2000) as f64;
            assert!(power < 5e7 / 1e5, "{from} → {to}: {frequency} Hz is left with {power}");
        }
    }

    #[test]
    fn the_same_rate_is_the_same_sound() {
        let sound = tone(440.0, 8000, 0.1);
        assert_eq!(resampled(&sound, 8000, 8000), sound);
        assert!(Resampler::new(0, 8000).is_none() && Resampler::new(8000, 0).is_none());
        assert!(Resampler::new(44_101, 8000).is_none());
    }
}
