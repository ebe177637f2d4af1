//! When somebody has finished. In: what was said so far, and the pauses this caller makes. Out: how long to wait.
//!
//! Who waits too short cuts people off, who waits too long seems dull. So the wait is by the words (a question is over, an
//! "and" is not), and by the caller: whose pauses were longer than the wait is given longer ones.

use std::time::Duration;

/// For a caller of whom nothing is known.
const USUAL: Duration = Duration::from_millis(550);
const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_millis(2_000);
/// Of a caller's pause, so much more is waited the next time.
const MARGIN: f64 = 1.25;
/// How much of what was learnt is kept at each turn that was ended well.
const KEPT: f64 = 0.85;

/// What the words say of whether more is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A whole sentence.
    Complete,
    /// It could be the end.
    Open,
    /// They are looking for a word, or dictate.
    Unfinished,
}

/// Learns one caller's pauses.
#[derive(Debug, Clone)]
pub struct Endpointing {
    /// Waited where the words say nothing.
    base: Duration,
}

impl Default for Endpointing {
    fn default() -> Self {
        Self { base: USUAL }
    }
}

impl Endpointing {
    /// How long it must be quiet after `words`.
    #[must_use]
    pub fn wait(&self, words: &str) -> Duration {
        let factor = match ending(words) {
            Ending::Complete => 0.6,
            Ending::Open => 1.0,
            Ending::Unfinished => 2.2,
        };
        self.base.mul_f64(factor).clamp(SHORTEST, LONGEST)
    }

    /// The caller went on after a pause, in the middle of what they had to say.
    pub fn went_on_after(&mut self, pause: Duration) {
        if pause > self.base.div_f64(MARGIN) {
            self.base = pause.mul_f64(MARGIN).clamp(SHORTEST, LONGEST);
        }
    }

    /// A turn was over where it was taken to be.
    pub fn was_right(&mut self) {
        let more = self.base.saturating_sub(USUAL).mul_f64(KEPT);
        let less = USUAL.saturating_sub(self.base).mul_f64(KEPT);
        self.base = (USUAL + more).saturating_sub(less);
    }
}

/// Words after which more comes, in the languages that have such. Small letters.
const LEADING: [&str; 44] = [
    "and", "or", "but", "so", "because", "if", "when", "that", "the", "a", "an", "to", "of", "in", "on", "at", "for",
    "with", "my", "your", "is", "it's", "i", "um", "uh", "er", "erm", "hmm", "like", "und", "oder", "aber", "weil",
    "der", "die", "das", "ähm", "y", "o", "pero", "el", "la", "et", "mais",
];

fn ending(words: &str) -> Ending {
    let words = words.trim_end();
    if words.ends_with("...") || words.ends_with(['…', ',', '-', '–', ':']) {
        return Ending::Unfinished;
    }
    let last = words.split_whitespace().next_back().unwrap_or("");
    let bare = last.trim_end_matches(['.', '!', '?', '"', '”', '\'', ')']).to_lowercase();
    if bare.is_empty() {
        return Ending::Open;
    }
    let is_stop = words.trim_end_matches(['"', '”', '\'', ')']).ends_with(['.', '!', '?', '。', '！', '？']);
    // A number may have more digits, whatever mark the transcriber put behind it.
    if LEADING.contains(&bare.as_str()) || bare.chars().all(|c| c.is_ascii_digit()) {
        return Ending::Unfinished;
    }
    if is_stop { Ending::Complete } else { Ending::Open }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_tell_whether_more_is_to_come() {
        for (words, expected) in [
            ("Is my order ready?", Ending::Complete),
            ("He said \"no.\"", Ending::Complete),
            ("I want two pizzas", Ending::Open),
            ("", Ending::Open),
            ("I want two pizzas and", Ending::Unfinished),
            ("I want, um.", Ending::Unfinished),
            ("Well...", Ending::Unfinished),
            ("My number is 415 555", Ending::Unfinished),
            ("準備できました。", Ending::Complete),
        ] {
            assert_eq!(ending(words), expected, "{words}");
        }
    }

    #[test]
    fn whose_pauses_are_long_is_given_time_and_later_less_again() {
        let mut endpointing = Endpointing::default();
        let words = "I was wondering";
        let pause = Duration::from_millis(900);
        assert!(endpointing.wait(words) < pause, "the first time they are cut off");
        endpointing.went_on_after(pause);
        let patient = endpointing.wait(words);
        assert!(patient > pause);
        for _ in 0..50 {
            endpointing.was_right();
        }
        assert!(endpointing.wait(words) < patient);
        assert!(endpointing.wait(words) >= USUAL);
    }

    #[test]
    fn no_pause_makes_the_wait_endless() {
        let mut endpointing = Endpointing::default();
        endpointing.went_on_after(Duration::from_secs(60));
        assert_eq!(endpointing.wait("and"), LONGEST);
    }
}
