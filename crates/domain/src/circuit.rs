//! Whether a carrier takes messages at all just now, told from what became of the last ones.
//!
//! In: answers, and the time. Out: whether another message should be tried there. A carrier that takes nothing is left alone
//! for a while, then tried with one message; the rests get longer. What was asked of it before that changed says nothing of
//! how it is now. Never here: a clock, chance, or which other carrier there is.

use std::time::Duration;

use crate::time::Timestamp;

/// The answers that are looked back on: where half of so many were ill, the carrier is, though some got through.
const WINDOW: u32 = 32;

/// When a carrier is left alone, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// So many ill answers in a row are enough.
    pub in_a_row: u32,
    /// The first rest; each further one is twice as long.
    pub first_rest: Duration,
    pub longest_rest: Duration,
}

/// How a carrier is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Well,
    /// It was ill; one message may try whether it still is.
    Trial,
    Ill,
}

/// What became of one message there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    pub asked_at: Timestamp,
    pub at: Timestamp,
    /// Taken, or refused for what it is: both are work done. Ill is what was not taken for the moment, or not answered.
    pub is_well: bool,
    /// 0..1, by which a rest is stretched by up to a half, so that the nodes do not come back at once.
    pub jitter: f64,
}

/// The health of one carrier, as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circuit {
    state: State,
    since: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed {
        in_a_row: u32,
        /// The last answers, one bit each: 1 is ill.
        last: u32,
        heard: u32,
    },
    Open {
        until: Timestamp,
        rest: Duration,
        /// When a message went to try it.
        trial: Option<Timestamp>,
    },
}

const FRESH: State = State::Closed { in_a_row: 0, last: 0, heard: 0 };

impl Default for Circuit {
    fn default() -> Self {
        Self { state: FRESH, since: Timestamp::from_micros(i64::MIN) }
    }
}

impl Circuit {
    #[must_use]
    pub fn health(&self, now: Timestamp) -> Health {
        match self.state {
            State::Closed { .. } => Health::Well,
            State::Open { until, .. } if now < until => Health::Ill,
            // One that went to try and was never heard of is not waited for for ever.
            State::Open { rest, trial: Some(trial), .. } if now < trial.plus(rest) => Health::Ill,
            State::Open { .. } => Health::Trial,
        }
    }

    /// Whether a message may go there now. Of those that come while it is on trial one may.
    pub fn admits(&mut self, now: Timestamp) -> bool {
        let health = self.health(now);
        if let (Health::Trial, State::Open { trial, .. }) = (health, &mut self.state) {
            *trial = Some(now);
        }
        health != Health::Ill
    }

    /// Takes an answer in; whether the carrier's health has changed by it.
    pub fn hear(&mut self, answer: Answer, patience: &Patience) -> bool {
        if answer.asked_at < self.since {
            return false;
        }
        match &mut self.state {
            State::Closed { in_a_row, last, heard } => {
                *in_a_row = if answer.is_well { 0 } else { *in_a_row + 1 };
                *last = (*last << 1) | u32::from(!answer.is_well);
                *heard = (*heard + 1).min(WINDOW);
                let half_is_ill = *heard == WINDOW && last.count_ones() >= WINDOW / 2;
                let is_ill = !answer.is_well && (*in_a_row >= patience.in_a_row.max(1) || half_is_ill);
                if is_ill {
                    self.rest(patience.first_rest, answer);
                }
                is_ill
            }
            State::Open { .. } if answer.is_well => {
                (self.state, self.since) = (FRESH, answer.at);
                true
            }
            // Somebody who had no choice asked it meanwhile.
            State::Open { until, .. } if answer.at < *until => false,
            State::Open { rest, .. } => {
                let longer = rest.saturating_mul(2).min(patience.longest_rest.max(patience.first_rest));
                self.rest(longer, answer);
                false
            }
        }
    }

    fn rest(&mut self, rest: Duration, answer: Answer) {
        let until = answer.at.plus(rest.mul_f64(1.0 + 0.5 * answer.jitter.clamp(0.0, 1.0)));
        (self.state, self.since) = (State::Open { until, rest, trial: None }, answer.at);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATIENCE: Patience =
        Patience { in_a_row: 5, first_rest: Duration::from_secs(4), longest_rest: Duration::from_secs(60) };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn answer(seconds: i64, is_well: bool) -> Answer {
        Answer { asked_at: at(seconds), at: at(seconds), is_well, jitter: 0.0 }
    }

    fn ill_at(seconds: i64) -> Circuit {
        let mut circuit = Circuit::default();
        for _ in 0..5 {
            circuit.hear(answer(seconds, false), &PATIENCE);
        }
        assert_eq!(circuit.health(at(seconds)), Health::Ill);
        circuit
    }

    #[test]
    fn some_that_are_not_taken_in_a_row_are_an_illness_and_one_that_is_taken_ends_the_row() {
        let mut circuit = Circuit::default();
        for is_well in [false, false, false, false, true, false, false, false, false] {
            assert!(!circuit.hear(answer(1, is_well), &PATIENCE));
        }
        assert!(circuit.hear(answer(1, false), &PATIENCE));
        assert_eq!(circuit.health(at(1)), Health::Ill);
    }

    #[test]
    fn where_half_are_not_taken_it_is_ill_too() {
        let mut circuit = Circuit::default();
        let opened = (0..40).position(|n| circuit.hear(answer(1, n % 2 == 0), &PATIENCE));
        assert_eq!(opened, Some(31), "every second is ill, and the window is full");
    }

    #[test]
    fn one_message_tries_and_heals_it() {
        let mut circuit = ill_at(0);
        assert!(!circuit.admits(at(3)));
        assert!(circuit.admits(at(4)), "the trial");
        assert!(!circuit.admits(at(4)), "one is enough");
        assert!(circuit.hear(answer(5, true), &PATIENCE));
        assert_eq!(circuit.health(at(5)), Health::Well);
    }

    #[test]
    fn a_trial_in_vain_makes_the_rest_longer_up_to_the_longest() {
        let mut circuit = ill_at(0);
        let (mut now, mut rests) = (0, Vec::new());
        for _ in 0..7 {
            let rest = (1..).find(|wait| circuit.health(at(now + wait)) == Health::Trial).unwrap();
            now += rest;
            rests.push(rest);
            assert!(circuit.admits(at(now)));
            circuit.hear(answer(now, false), &PATIENCE);
        }
        assert_eq!(rests, [4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn a_trial_that_is_never_heard_of_is_followed_by_another() {
        let mut circuit = ill_at(0);
        assert!(circuit.admits(at(4)));
        assert!(!circuit.admits(at(7)));
        assert!(circuit.admits(at(8)));
    }

    #[test]
    fn what_was_asked_before_it_fell_ill_heals_nothing_and_what_was_asked_before_it_was_well_ails_nothing() {
        let mut circuit = ill_at(10);
        let late = Answer { asked_at: at(9), ..answer(11, true) };
        assert!(!circuit.hear(late, &PATIENCE));
        assert_eq!(circuit.health(at(11)), Health::Ill);
        circuit.hear(answer(12, true), &PATIENCE);
        for _ in 0..9 {
            circuit.hear(Answer { asked_at: at(11), ..answer(13, false) }, &PATIENCE);
        }
        assert_eq!(circuit.health(at(13)), Health::Well);
    }

    proptest! {
        /// Whatever happens: while it is left alone at most one message goes in each rest, and it is tried again some time.
        #[test]
        fn an_ill_carrier_is_tried_seldom_and_never_given_up(
            asks in proptest::collection::vec((0i64..3_000_000, 0.0..=1.0f64), 1..200)
        ) {
            let mut circuit = ill_at(0);
            let (mut now, mut tried) = (0, Vec::new());
            for (wait, jitter) in asks {
                now += wait;
                let moment = Timestamp::from_micros(now);
                if circuit.admits(moment) {
                    tried.push(now);
                    let asked = Answer { asked_at: moment, at: moment, is_well: false, jitter };
                    prop_assert!(!circuit.hear(asked, &PATIENCE), "it was ill before");
                }
            }
            prop_assert!(tried.windows(2).all(|two| two[1] - two[0] >= 8_000_000));
            prop_assert!(tried.first().is_none_or(|first| *first >= 4_000_000));
            prop_assert_eq!(circuit.health(Timestamp::from_micros(now + 90_000_001)), Health::Trial);
        }

        /// As long as a quarter at most is ill, and never five in a row, all may go.
        #[test]
        fn a_carrier_that_is_mostly_well_is_never_left_alone(
            ill in proptest::collection::vec(0usize..8, 1..100)
        ) {
            let mut circuit = Circuit::default();
            for place in ill {
                for n in 0..8 {
                    prop_assert!(circuit.admits(at(1)));
                    circuit.hear(answer(1, n != place && n != (place + 4) % 8), &PATIENCE);
                }
            }
            prop_assert_eq!(circuit.health(at(1)), Health::Well);
        }
    }
}
