//! Speech a little faster or slower, by whole periods of the voice, so that its pitch stays. Also where a voice's period
//! is found, which concealment needs as well.

/// The periods of voices: 400 Hz to 66 Hz.
const fn shortest(rate: u32) -> usize {
    rate as usize / 400
}

const fn longest(rate: u32) -> usize {
    rate as usize * 15 / 1000
}

/// Sound that hardly differs from itself a period later.
const ALIKE: f32 = 0.85;
/// As quiet as a room: no one hears what is done to it.
const QUIET: f32 = 120.0;

/// Takes a period out after `head`, by fading from it into the next.
pub fn squeeze(samples: &mut Vec<i16>, head: usize, rate: u32) -> bool {
    let Some(period) = period_ahead(&samples[head..], rate) else { return false };
    for i in 0..period {
        samples[head + i] = fade(samples[head + i], samples[head + period + i], i, period);
    }
    samples.drain(head + period..head + 2 * period);
    true
}

/// Puts a period in after `head`, by fading from its end into its beginning.
pub fn spread(samples: &mut Vec<i16>, head: usize, rate: u32) -> bool {
    let Some(period) = period_ahead(&samples[head..], rate) else { return false };
    let old = samples.len();
    samples.resize(old + period, 0);
    samples.copy_within(head + period..old, head + 2 * period);
    for i in 0..period {
        // The second period, which fades back into the first, before the second itself follows.
        samples[head + period + i] = fade(samples[head + 2 * period + i], samples[head + i], i, period);
    }
    true
}

/// The period at the beginning of what is ahead, if two of it fit there and are alike.
fn period_ahead(ahead: &[i16], rate: u32) -> Option<usize> {
    let longest = longest(rate).min(ahead.len() / 2);
    if longest <= shortest(rate) {
        return None;
    }
    let window = longest;
    let (period, alike) = best_lag(shortest(rate)..=longest, rate, |lag, step| {
        correlate(&ahead[..window], &ahead[lag..(lag + window).min(ahead.len())], step)
    });
    let power = ahead[..2 * period].iter().map(|&s| f32::from(s) * f32::from(s)).sum::<f32>() / (2 * period) as f32;
    (alike > ALIKE || power < QUIET * QUIET).then_some(period)
}

/// The period at the end of what was heard, and how much it is one.
pub fn period_behind(heard: &[i16], rate: u32) -> Option<(usize, f32)> {
    let window = rate as usize / 100;
    let longest = longest(rate).min(heard.len().checked_sub(window)?);
    if longest <= shortest(rate) {
        return None;
    }
    let end = heard.len();
    let last = &heard[end - window..];
    let found = best_lag(shortest(rate)..=longest, rate, |lag, step| {
        correlate(last, &heard[end - window - lag..end - lag], step)
    });
    Some(found)
}

/// Looks coarsely first, then closely around what was found.
fn best_lag(lags: std::ops::RangeInclusive<usize>, rate: u32, alike: impl Fn(usize, usize) -> f32) -> (usize, f32) {
    let step = (rate as usize / 8000).max(1);
    let pick = |best: (usize, f32), this: (usize, f32)| if this.1 > best.1 { this } else { best };
    let (first, last) = (*lags.start(), *lags.end());
    let coarse = lags.step_by(step).map(|lag| (lag, alike(lag, step))).fold((first, f32::MIN), pick);
    if step == 1 {
        return coarse;
    }
    let around = coarse.0.saturating_sub(step - 1).max(first)..=(coarse.0 + step - 1).min(last);
    around.map(|lag| (lag, alike(lag, 1))).fold((coarse.0, f32::MIN), pick)
}

/// The normalised correlation of two stretches, looking at every `step`-th sample.
fn correlate(a: &[i16], b: &[i16], step: usize) -> f32 {
    let (mut cross, mut own, mut other) = (0.0_f32, 1.0_f32, 1.0_f32);
    for (&a, &b) in a.iter().zip(b).step_by(step) {
        let (a, b) = (f32::from(a), f32::from(b));
        cross += a * b;
        own += a * a;
        other += b * b;
    }
    cross / (own * other).sqrt()
}

/// From one sample to another, at place `i` of `count`.
pub fn fade(from: i16, to: i16, i: usize, count: usize) -> i16 {
    let (i, count) = (i as i32, count.max(1) as i32);
    ((i32::from(from) * (count - i) + i32::from(to) * i) / count) as i16
}
