//! When somebody interrupts. In: how long they have been speaking while the agent spoke, and their words. Out: yes or no.
//!
//! `interruptionSensitivity` of the agent (contract `api.md`, Agents): at 0 nobody interrupts, at 1 the first sound does.

use std::time::Duration;

/// At the least sensitivity above zero, and at the greatest.
const SLOWEST: Duration = Duration::from_millis(1_000);
const FASTEST: Duration = Duration::from_millis(100);
/// From here on also "yes" and "mhm" interrupt.
const AT_ANYTHING: f64 = 0.95;

/// Says that one is listening, and not that one wants to speak. Small letters.
const LISTENING: [&str; 28] = [
    "mhm", "mm", "mmhm", "mm-hmm", "mm-hm", "uh-huh", "uhhuh", "huh", "hm", "hmm", "yeah", "yep", "yes", "yup", "ok",
    "okay", "right", "sure", "aha", "ah", "oh", "i", "see", "ja", "genau", "sí", "oui", "si",
];

/// One agent's patience.
#[derive(Debug, Clone, Copy)]
pub struct BargeIn {
    sensitivity: f64,
}

impl BargeIn {
    /// `sensitivity` from 0 to 1; what is outside counts as the nearer end.
    #[must_use]
    pub fn new(sensitivity: f64) -> Self {
        Self { sensitivity: if sensitivity.is_nan() { 0.0 } else { sensitivity.clamp(0.0, 1.0) } }
    }

    /// For how long somebody must speak to interrupt; `None` where nobody can.
    #[must_use]
    pub fn takes(self) -> Option<Duration> {
        let most = SLOWEST.saturating_sub(FASTEST);
        (self.sensitivity > 0.0).then(|| FASTEST + most.mul_f64(1.0 - self.sensitivity))
    }

    /// Whether who has been speaking `for_so_long` interrupts. `words`, as far as they are known.
    #[must_use]
    pub fn interrupts(self, for_so_long: Duration, words: &str) -> bool {
        let Some(takes) = self.takes() else { return false };
        if words.trim().is_empty() {
            return for_so_long >= takes;
        }
        let meant = self.sensitivity >= AT_ANYTHING || !is_listening(words);
        // What has words is no cough, and needs half as long.
        meant && for_so_long >= takes / 2
    }
}

fn is_listening(words: &str) -> bool {
    let bare = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    words.split_whitespace().map(bare).filter(|word| !word.is_empty()).all(|word| LISTENING.contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_zero_nobody_interrupts_and_at_one_a_sound_does() {
        assert!(!BargeIn::new(0.0).interrupts(Duration::from_secs(60), "stop it, please"));
        assert!(BargeIn::new(1.0).interrupts(FASTEST, ""));
        assert!(BargeIn::new(1.0).interrupts(FASTEST, "yeah"));
        assert!(!BargeIn::new(f64::NAN).interrupts(Duration::from_secs(1), ""));
    }

    #[test]
    fn who_only_listens_does_not_interrupt() {
        let usual = BargeIn::new(0.8);
        assert!(!usual.interrupts(Duration::from_secs(2), "Yeah. Okay, mhm"));
        assert!(usual.interrupts(Duration::from_millis(200), "yeah but wait"));
    }

    #[test]
    fn the_more_sensitive_the_sooner() {
        let takes: Vec<_> = [0.1, 0.5, 0.8, 1.0].map(|s| BargeIn::new(s).takes().unwrap()).to_vec();
        assert!(takes.is_sorted_by(|a, b| a > b), "{takes:?}");
    }
}
