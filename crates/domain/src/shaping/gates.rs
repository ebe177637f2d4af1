//! The last door before the carrier: what was held up does not go in a burst.
//!
//! Slots are kept exactly, but a message may come late to its own: its node was paused, or the database slow. In: what
//! limits a message, when it comes, and when it would be too late. Out: when it may pass.

use std::collections::HashMap;

/// One that comes late lets the next be on time all the same, by so much; and by no more than its interval. So there is never
/// more than one above the rate in any second.
const CREDIT: i64 = 5_000;
/// What is forgotten is looked for when there are so many more.
const ROOM: usize = 1_024;

/// Who has passed on this node, of each limit.
#[derive(Debug, Default)]
pub struct Gates {
    /// When the next one would pass, had each been on time.
    next: HashMap<String, i64>,
    forget_at: usize,
}

impl Gates {
    /// When one may pass that has come now and whose limits have these intervals; `None` where that is after `latest`: it
    /// gives up, and is in nobody's way.
    pub fn pass(&mut self, limits: &[(String, i64)], now: i64, latest: i64) -> Option<i64> {
        let ready = |(name, interval): &(String, i64)| Some(self.next.get(name)? - CREDIT.min(*interval));
        let at = limits.iter().filter_map(ready).fold(now, i64::max);
        if at > latest {
            return None;
        }
        for (name, interval) in limits {
            let next = self.next.entry(name.clone()).or_insert(at);
            *next = at.max(*next) + interval;
        }
        if self.next.len() > self.forget_at {
            self.next.retain(|_, next| *next > now);
            self.forget_at = self.next.len() * 2 + ROOM;
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000;

    fn busiest(passed: &[i64]) -> usize {
        let within = |(n, at): (usize, &i64)| passed[n..].iter().take_while(|other| **other < at + SECOND).count();
        passed.iter().enumerate().map(within).max().unwrap_or(0)
    }

    proptest! {
        /// Whatever holds messages up, alone or many at once, no second has more than one above the rate; and what was held
        /// up costs no more than the time of it.
        #[test]
        fn no_second_after_any_hold_up_has_more_than_the_rate(
            interval in 4_445_i64..500_000,
            late in proptest::collection::vec((0_i64..3_000, 0_u8..40, 0_i64..400_000), 1..400),
            patience in 1_i64..1_000_000,
        ) {
            let (mut gates, mut now) = (Gates::default(), 0);
            let limits = [("campaign".to_owned(), interval)];
            let (mut passed, mut longest) = (Vec::new(), 0);
            for (n, (jitter, chance, pause)) in late.iter().enumerate() {
                let slot = i64::try_from(n).unwrap() * interval;
                // One in forty times nobody goes on for a while; then all that were due come at once.
                now = now.max(slot) + jitter + if *chance == 0 { *pause } else { 0 };
                let lateness = now - slot;
                longest = longest.max(lateness);
                match gates.pass(&limits, now, slot + patience) {
                    Some(at) => {
                        prop_assert!(at >= now && at <= now.max(slot + longest));
                        passed.push(at);
                    }
                    None => prop_assert!(longest > patience),
                }
            }
            let most = SECOND / interval + i64::from(SECOND % interval > 0) + 1;
            prop_assert!(i64::try_from(busiest(&passed)).unwrap() <= most);
        }
    }

    #[test]
    fn one_that_is_a_little_late_costs_no_one_his_slot() {
        let mut gates = Gates::default();
        let limits = [("campaign".to_owned(), 4_445)];
        for n in 0..1_000 {
            let slot = n * 4_445;
            let late = if n % 3 == 0 { 4_000 } else { 0 };
            assert_eq!(gates.pass(&limits, slot + late, slot + 100_000), Some(slot + late));
        }
    }

    #[test]
    fn numbers_of_a_campaign_share_its_door() {
        let mut gates = Gates::default();
        let (campaign, number) = (("campaign".to_owned(), 10_000), |n: i64| (format!("number:{n}"), 100_000));
        let at: Vec<_> = (0..4).map(|n| gates.pass(&[number(n), campaign.clone()], 0, SECOND)).collect();
        assert_eq!(at, [Some(0), Some(5_000), Some(15_000), Some(25_000)]);
        assert_eq!(gates.pass(&[number(0), campaign.clone()], 0, SECOND), Some(95_000));
        assert_eq!(gates.pass(&[number(0), campaign], 0, 150_000), None, "and nothing was taken");
    }
}
