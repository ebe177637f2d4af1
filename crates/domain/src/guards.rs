//! The guard rails' arithmetic: how much in a minute and an hour, and when two machines talk in circles.
//!
//! In: counts as they are kept, limits and the time. Out: whether one more is allowed. Never here: where counts are kept.

use std::time::Duration;

use crate::time::Timestamp;

const SECOND: i64 = 1_000_000;

/// The minute since 1970 that a time is in.
#[must_use]
pub const fn minute_of(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(60 * SECOND)
}

/// The hour since 1970 that a time is in.
#[must_use]
pub const fn hour_of(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(3600 * SECOND)
}

/// The day since 1970 UTC that a time is in.
#[must_use]
pub const fn day_of(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(24 * 3600 * SECOND)
}

/// How much may go to one destination; 0 for as much as one likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FloodLimit {
    pub per_minute: i64,
    pub per_hour: i64,
}

impl FloodLimit {
    #[must_use]
    pub const fn is_set(self) -> bool {
        self.per_minute > 0 || self.per_hour > 0
    }
}

/// Messages to one destination, by the minute and the hour they were counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    pub minute: i64,
    pub in_minute: i64,
    pub hour: i64,
    pub in_hour: i64,
}

impl Counted {
    /// With one more at this time; `None` where that is above the limit.
    #[must_use]
    pub fn one_more(self, at: Timestamp, limit: FloodLimit) -> Option<Self> {
        let (minute, hour) = (minute_of(at), hour_of(at));
        // A node's clock that is behind counts into the minute that another one has begun.
        let (minute, hour) = (minute.max(self.minute), hour.max(self.hour));
        let in_minute = if minute == self.minute { self.in_minute + 1 } else { 1 };
        let in_hour = if hour == self.hour { self.in_hour + 1 } else { 1 };
        let fits = |count: i64, limit: i64| limit == 0 || count <= limit;
        (fits(in_minute, limit.per_minute) && fits(in_hour, limit.per_hour)).then_some(Self {
            minute,
            in_minute,
            hour,
            in_hour,
        })
    }
}

/// When a conversation goes in circles: so many answers of ours within that time. It is quiet again when nobody has
/// said anything for as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopRule {
    /// 0: never.
    pub answers: i64,
    pub within: Duration,
}

impl LoopRule {
    #[must_use]
    pub const fn is_set(self) -> bool {
        self.answers > 0
    }

    /// Whether a conversation with this many answers, spoken in last then, goes in circles now.
    #[must_use]
    pub fn is_met(self, answers: i64, last_at: Timestamp, now: Timestamp) -> bool {
        self.is_set() && answers >= self.answers && now.since(last_at) < self.within
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: FloodLimit = FloodLimit { per_minute: 3, per_hour: 5 };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * SECOND)
    }

    #[test]
    fn a_minute_and_an_hour_have_their_limits() {
        let mut counted = Counted::default();
        for _ in 0..3 {
            counted = counted.one_more(at(7200), LIMIT).unwrap();
        }
        assert_eq!(counted.one_more(at(7259), LIMIT), None);
        counted = counted.one_more(at(7260), LIMIT).unwrap();
        counted = counted.one_more(at(7300), LIMIT).unwrap();
        assert_eq!(counted.one_more(at(7400), LIMIT), None, "the hour has its five");
        assert!(counted.one_more(at(10_800), LIMIT).is_some());
    }

    #[test]
    fn a_conversation_goes_in_circles_until_it_is_quiet() {
        let rule = LoopRule { answers: 20, within: Duration::from_secs(60) };
        assert!(!rule.is_met(19, at(100), at(100)));
        assert!(rule.is_met(20, at(100), at(159)));
        assert!(!rule.is_met(20, at(100), at(160)));
    }

    proptest! {
        #[test]
        fn no_minute_and_no_hour_has_more_than_its_limit(waits in prop::collection::vec(0_i64..200, 1..200)) {
            let (mut counted, mut now) = (Counted::default(), 1_000_000);
            let mut sent: Vec<i64> = Vec::new();
            for wait in waits {
                now += wait;
                if let Some(next) = counted.one_more(at(now), LIMIT) {
                    counted = next;
                    sent.push(now);
                }
            }
            for one in &sent {
                prop_assert!(sent.iter().filter(|other| *other / 60 == one / 60).count() <= 3);
                prop_assert!(sent.iter().filter(|other| *other / 3600 == one / 3600).count() <= 5);
            }
        }
    }
}
