//! Something like speech, always the same: vowels of a gliding voice, hissing consonants, and pauses between syllables.
//! And how to measure what came of it.

#![allow(dead_code, reason = "each test file takes what it needs")]

/// So many seconds of speech.
pub fn speech(rate: u32, seconds: f64) -> Vec<i16> {
    let mut chance = Chance(0x2545_F491_4F6C_DD1D);
    let mut samples: Vec<f64> = Vec::new();
    let wanted = (f64::from(rate) * seconds) as usize;
    const VOWELS: [[f64; 3]; 5] = [
        [730.0, 1090.0, 2440.0],
        [270.0, 2290.0, 3010.0],
        [300.0, 870.0, 2240.0],
        [530.0, 1840.0, 2480.0],
        [570.0, 840.0, 2410.0],
    ];
    while samples.len() < wanted {
        let vowel = VOWELS[(chance.unit() * 5.0) as usize % 5];
        let voice = 100.0 + 60.0 * chance.unit();
        syllable(rate, vowel, voice, 0.12 + 0.1 * chance.unit(), &mut samples);
        hiss(rate, 0.05 + 0.04 * chance.unit(), &mut chance, &mut samples);
        let pause = 0.03 + 0.12 * chance.unit();
        samples.resize(samples.len() + (pause * f64::from(rate)) as usize, 0.0);
    }
    samples.truncate(wanted);
    let peak = samples.iter().fold(1e-9, |peak: f64, s| peak.max(s.abs()));
    samples.iter().map(|s| (s / peak * 14_000.0) as i16).collect()
}

fn syllable(rate: u32, formants: [f64; 3], voice: f64, seconds: f64, out: &mut Vec<f64>) {
    let count = (seconds * f64::from(rate)) as usize;
    let mut phase = 0.0;
    let mut filters = formants.map(|f| Resonator::new(f, 90.0, f64::from(rate)));
    for i in 0..count {
        let along = i as f64 / count as f64;
        phase += voice * (1.1 - 0.2 * along) / f64::from(rate);
        let pulse = if phase >= 1.0 {
            phase -= 1.0;
            1.0
        } else {
            0.0
        };
        let loudness = (along * std::f64::consts::PI).sin().powf(0.5);
        let sound: f64 = filters.iter_mut().zip([1.0, 0.6, 0.3]).map(|(f, gain)| gain * f.next(pulse)).sum();
        out.push(sound * loudness);
    }
}

fn hiss(rate: u32, seconds: f64, chance: &mut Chance, out: &mut Vec<f64>) {
    let mut filter = Resonator::new(f64::from(rate) * 0.35, 900.0, f64::from(rate));
    for _ in 0..(seconds * f64::from(rate)) as usize {
        out.push(0.02 * filter.next(chance.unit() - 0.5));
    }
}

struct Resonator {
    a: [f64; 2],
    past: [f64; 2],
}

impl Resonator {
    fn new(frequency: f64, width: f64, rate: f64) -> Self {
        let radius = (-std::f64::consts::PI * width / rate).exp();
        let a = [2.0 * radius * (std::f64::consts::TAU * frequency / rate).cos(), -radius * radius];
        Self { a, past: [0.0; 2] }
    }

    fn next(&mut self, input: f64) -> f64 {
        let out = input + self.a[0] * self.past[0] + self.a[1] * self.past[1];
        self.past = [out, self.past[0]];
        out
    }
}

/// Chance that is the same each time.
pub struct Chance(pub u64);

impl Chance {
    pub fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Signal to noise in dB, where `heard` is shifted by whatever fits best within `shifts`.
pub fn signal_to_noise(said: &[i16], heard: &[i16], shifts: usize) -> f64 {
    (0..=shifts)
        .map(|shift| {
            let pairs = said.iter().zip(&heard[shift.min(heard.len())..]);
            let (mut signal, mut noise) = (0.0, 1.0);
            for (&s, &h) in pairs {
                signal += f64::from(s).powi(2);
                noise += (f64::from(s) - f64::from(h)).powi(2);
            }
            10.0 * (signal / noise).log10()
        })
        .fold(f64::MIN, f64::max)
}

/// The best normalised correlation of a piece with anything in a stretch.
pub fn best_correlation(piece: &[i16], stretch: &[i16]) -> f64 {
    if stretch.len() < piece.len() {
        return 0.0;
    }
    let own: f64 = piece.iter().map(|&s| f64::from(s).powi(2)).sum();
    (0..=stretch.len() - piece.len())
        .map(|at| {
            let other = &stretch[at..at + piece.len()];
            let (mut cross, mut power) = (0.0, 1.0);
            for (&a, &b) in piece.iter().zip(other) {
                cross += f64::from(a) * f64::from(b);
                power += f64::from(b).powi(2);
            }
            cross / (own * power).sqrt().max(1.0)
        })
        .fold(-1.0, f64::max)
}
