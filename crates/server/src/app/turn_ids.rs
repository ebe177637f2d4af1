//! The ids of a call's turns, by their place in it. What a webhook is told of a turn, and what is kept of it, come about
//! beside each other: whoever is first gives it its id.

use std::sync::{Mutex, PoisonError};

use offhook_domain::{Id, Timestamp, TurnId};

/// Of one call.
#[derive(Debug, Default)]
pub struct TurnIds {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    ids: Vec<(TurnId, Timestamp)>,
    kept: usize,
}

impl TurnIds {
    /// The id and the time of the turn in a place, from 0.
    #[must_use]
    pub fn nth(&self, place: usize, now: Timestamp) -> (TurnId, Timestamp) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).nth(place, now)
    }

    /// Those of the next turn that is kept.
    #[must_use]
    pub fn next_kept(&self, now: Timestamp) -> (TurnId, Timestamp) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.kept += 1;
        let place = known.kept - 1;
        known.nth(place, now)
    }
}

impl Known {
    fn nth(&mut self, place: usize, now: Timestamp) -> (TurnId, Timestamp) {
        while self.ids.len() <= place {
            // In the order of their places, also within one microsecond.
            let at = self.ids.last().map_or(now, |(_, last)| now.max(Timestamp::from_micros(last.as_micros() + 1)));
            self.ids.push((TurnId::generate(at), at));
        }
        self.ids[place].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_has_one_id_whoever_asks_first() {
        let ids = TurnIds::default();
        let now = Timestamp::from_micros(1_764_000_000_000_000);
        let asked = ids.nth(1, now);
        let first = ids.next_kept(now);
        assert!(first.0.to_string() < asked.0.to_string());
        assert_eq!(ids.next_kept(now), asked);
        assert_eq!(ids.nth(0, now), first);
    }
}
