//! Digits as tones: heard where they are, as they come over phone lines, and not in speech.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod speech;

use offhook_media::codec::g711::Law;
use offhook_media::dtmf::Digit;
use offhook_media::dtmf::tones::{Tone, ToneDetector};
use speech::{Chance, speech};

const ALL: &str = "123A456B789C*0#D";

/// Digits of so many ms with pauses of so many, seen by `line` on their way.
fn dial(rate: u32, digits: &str, on: usize, off: usize, mut line: impl FnMut(i16) -> i16) -> String {
    let mut sound = vec![0; 77];
    for sign in digits.chars() {
        let mut tone = vec![0; rate as usize * on / 1000];
        Tone::new(Digit::parse(sign).unwrap(), rate).fill(&mut tone);
        sound.extend(tone);
        sound.resize(sound.len() + rate as usize * off / 1000, 0);
    }
    let sound: Vec<i16> = sound.into_iter().map(&mut line).collect();
    heard(rate, &sound)
}

fn heard(rate: u32, sound: &[i16]) -> String {
    let mut detector = ToneDetector::new(rate);
    sound.chunks(rate as usize / 50).filter_map(|frame| detector.hear(frame)).map(Digit::sign).collect()
}

#[test]
fn every_digit_is_heard_at_each_rate() {
    for rate in [8000, 16_000, 48_000] {
        assert_eq!(dial(rate, ALL, 80, 80, |sample| sample), ALL, "at {rate}");
        assert_eq!(dial(rate, "1122##", 50, 50, |sample| sample), "1122##", "at {rate}");
    }
}

#[test]
fn the_shortest_digits_that_networks_send_are_heard() {
    assert_eq!(dial(8000, ALL, 45, 45, |sample| sample), ALL);
}

#[test]
fn digits_are_heard_quiet_and_over_noise_and_g711() {
    assert_eq!(dial(8000, ALL, 80, 80, |sample| sample / 20), ALL);
    let mut chance = Chance(99);
    let noisy = |sample: i16| {
        let noise = (chance.unit() - 0.5) * 2400.0;
        Law::Mu.expand(Law::Mu.compress((f64::from(sample) * 0.6 + noise) as i16))
    };
    assert_eq!(dial(8000, ALL, 80, 80, noisy), ALL);
}

#[test]
fn speech_has_no_digits_in_it() {
    for rate in [8000, 16_000] {
        assert_eq!(heard(rate, &speech(rate, 120.0)), "");
    }
}

#[test]
fn one_tone_or_noise_is_no_digit() {
    let tone = |frequency: f64| {
        (0..16_000).map(move |i| (9000.0 * (f64::from(i) * frequency / 8000.0 * std::f64::consts::TAU).sin()) as i16)
    };
    for frequency in [440.0, 697.0, 1209.0, 1000.0] {
        assert_eq!(heard(8000, &tone(frequency).collect::<Vec<_>>()), "", "{frequency}");
    }
    // A dial tone, and a ringback tone.
    for (low, high) in [(350.0, 440.0), (440.0, 480.0), (697.0, 770.0)] {
        let both: Vec<i16> = tone(low).zip(tone(high)).map(|(a, b)| a / 2 + b / 2).collect();
        assert_eq!(heard(8000, &both), "", "{low} {high}");
    }
    let mut chance = Chance(5);
    let noise: Vec<i16> = (0..80_000).map(|_| ((chance.unit() - 0.5) * 30_000.0) as i16).collect();
    assert_eq!(heard(8000, &noise), "");
}
