//! Whether something that a peer brings may be what it brought before.
//!
//! `deliver_sm` has no id. A peer brings the same again when it did not get our answer: over another connection, for the
//! first was cut, or after a long wait. So what says the same is the same, unless the peer has our answer for certain or
//! can still get it. In: what arrives, is answered, and is proven to be known. Out: whether it is certainly new.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A peer that waits for our answer so long may bring it again over the same connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was brought over connections that stand, and that the peer is not proven to have our answer to.
#[derive(Debug, Default)]
pub struct Sightings {
    seen: Mutex<HashMap<String, Vec<Sighting>>>,
}

#[derive(Debug)]
struct Sighting {
    link: u64,
    at: Instant,
    is_answered: bool,
}

impl Sightings {
    /// Something arrives; true where it is certainly new though it says the same as another.
    pub fn arrive(&self, digest: &str, link: u64, now: Instant) -> bool {
        let mut seen = self.locked();
        let same = seen.entry(digest.to_owned()).or_default();
        let is_new = same.iter().any(|one| one.is_answered || now.duration_since(one.at) < PATIENCE);
        same.push(Sighting { link, at: now, is_answered: false });
        is_new
    }

    /// It was answered.
    pub fn answer(&self, digest: &str, link: u64) {
        if let Some(same) = self.locked().get_mut(digest)
            && let Some(one) = same.iter_mut().find(|one| one.link == link && !one.is_answered)
        {
            one.is_answered = true;
        }
    }

    /// The peer has our answer, or we told it that we don't have this.
    pub fn settle(&self, digest: &str, link: u64) {
        let mut seen = self.locked();
        let Some(same) = seen.get_mut(digest) else { return };
        if let Some(at) = same.iter().position(|one| one.link == link) {
            same.remove(at);
        }
        if same.is_empty() {
            seen.remove(digest);
        }
    }

    /// The connection is gone: nobody knows what the peer got of our answers.
    pub fn lose(&self, link: u64) {
        let mut seen = self.locked();
        seen.retain(|_, same| {
            same.retain(|one| one.link != link);
            !same.is_empty()
        });
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<Sighting>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_a_connection_that_stands_the_same_words_are_another_text() {
        let (sightings, now) = (Sightings::default(), Instant::now());
        assert!(!sightings.arrive("yes", 1, now));
        assert!(sightings.arrive("yes", 1, now), "nobody repeats what is not answered yet");
        assert!(!Sightings::default().arrive("yes", 1, now));
        sightings.answer("yes", 1);
        assert!(sightings.arrive("yes", 2, now + 10 * PATIENCE), "the answer will come to the peer");
    }

    #[test]
    fn after_a_cut_or_a_long_wait_they_may_be_the_same() {
        let (sightings, now) = (Sightings::default(), Instant::now());
        sightings.arrive("yes", 1, now);
        assert!(!sightings.arrive("yes", 1, now + PATIENCE));
        sightings.lose(1);
        assert!(!sightings.arrive("yes", 2, now));
    }
}
