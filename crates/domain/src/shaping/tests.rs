use proptest::prelude::*;

use super::*;

fn limited(thousandths: i64) -> (Limit, Pace) {
    (Limit::new(thousandths, None), Pace::default())
}

#[test]
fn a_rate_is_never_rounded_up() {
    assert_eq!(Limit::new(2_250, None).interval, 444_445);
    assert_eq!(Limit::new(225_000, None).interval, 4_445);
    assert_eq!(Limit::new(12_000, None).interval, 83_334);
    assert!(Limit::new(0, None).is_none());
}

#[test]
fn what_was_not_used_is_lost() {
    let mut paces = [limited(10_000)];
    assert_eq!(reserve(&mut paces, 1_000_000, 1).slots, [1_000_000]);
    // A minute later one goes at once, and the next one a tenth of a second behind it.
    assert_eq!(reserve(&mut paces, 61_000_000, 2).slots, [61_000_000, 61_100_000]);
}

#[test]
fn slots_go_to_whoever_comes_and_not_too_far_ahead() {
    let mut paces = [limited(2_000)];
    // Each gets one: nobody waits for another to have had enough.
    let taken: Vec<i64> = (0..70).flat_map(|_| reserve(&mut paces, 0, 50).slots).collect();
    assert_eq!(taken, (0..=60).map(|n| n * 500_000).collect::<Vec<_>>());
    assert_eq!(reserve(&mut paces, 0, 50).again_at, Some(500_000));
}

#[test]
fn a_fast_one_gets_what_goes_until_the_horizon() {
    let mut paces = [limited(225_000)];
    let reserved = reserve(&mut paces, 0, 1_000);
    assert_eq!(reserved.slots.len(), 45);
    assert_eq!(reserved.slots.last(), Some(&(44 * 4_445)));
    assert_eq!(reserved.again_at, Some(45 * 4_445 - HORIZON));
}

#[test]
fn a_slow_number_does_not_use_up_the_time_of_a_fast_campaign() {
    let mut paces = [limited(1_000), limited(100_000)];
    assert_eq!(reserve(&mut paces, 0, 9).slots, [0]);
    assert_eq!(paces[1].1.next_at, 10_000, "the campaign is ready long before the number is");
    assert_eq!(reserve(&mut paces, 500_000, 9), Reserved { slots: vec![], again_at: Some(1_000_000) });
}

#[test]
fn a_day_that_is_used_up_has_no_room_until_the_next() {
    let mut paces = [(Limit::new(0, Some(10)), Pace::default())];
    assert!(count(&mut paces, 5, 9));
    assert!(!count(&mut paces, 5, 2));
    assert!(count(&mut paces, 5, 1));
    assert!(!count(&mut paces, 4, 1), "a clock that is behind begins no old day");
    assert!(count(&mut paces, 6, 12), "what no day has room for goes first on one");
    assert!(!count(&mut paces, 6, 1));
}

#[test]
fn the_carriers_day_ends_at_their_midnight() {
    let pacific = CarrierDays::of("America/Los_Angeles").unwrap();
    let at = |text: &str| Timestamp::parse(text).unwrap();
    assert_eq!(pacific.midnight(at("2026-07-01T05:00:00Z")), at("2026-07-01T07:00:00Z"));
    assert_eq!(pacific.midnight(at("2026-12-01T09:00:00Z")), at("2026-12-02T08:00:00Z"));
    // The day on which the clocks change is an hour shorter.
    assert_eq!(pacific.midnight(at("2026-03-08T08:00:00Z")), at("2026-03-09T07:00:00Z"));
    assert_eq!(pacific.day(at("1970-01-02T07:59:59Z")), 0);
    assert_eq!(pacific.day(at("1970-01-02T08:00:00Z")), 1);
    assert!(CarrierDays::of("Middle/Earth").is_none());
}

#[test]
fn an_estimate_goes_over_midnights() {
    let utc = CarrierDays::of("UTC").unwrap();
    let noon = Timestamp::parse("2026-07-01T12:00:00Z").unwrap();
    let limit = Limit::new(1_000, Some(100));
    let used = Pace { next_at: 0, day: utc.day(noon), segments_used: 90 };
    let told = |before| estimate(limit, used, &utc, noon, before).to_string();
    assert_eq!(told(9), "2026-07-01T12:00:09.000000Z");
    assert_eq!(told(10), "2026-07-02T00:00:00.000000Z");
    assert_eq!(told(115), "2026-07-03T00:00:05.000000Z");
}

proptest! {
    /// Many takers, each with a clock of its own that goes on: no two slots of any limit are too near to each other.
    #[test]
    fn never_above_the_rate_in_any_window(
        rates in prop::collection::vec(prop::option::of(500_i64..300_000), 1..4),
        takers in prop::collection::vec((0_i64..400_000, -30_000_i64..30_000, 1_usize..80), 1..60),
    ) {
        let mut paces: Vec<_> = rates.iter().map(|rate| limited(rate.unwrap_or(0))).collect();
        let (mut now, mut slots) = (1_000_000_i64, Vec::new());
        for (passed, skew, want) in takers {
            now += passed;
            let reserved = reserve(&mut paces, now + skew, want);
            prop_assert!(reserved.slots.iter().all(|slot| *slot >= now + skew));
            slots.extend(reserved.slots);
        }
        for (limit, _) in paces.iter().filter(|(limit, _)| limit.interval > 0) {
            prop_assert!(slots.windows(2).all(|two| two[1] - two[0] >= limit.interval), "{slots:?}");
        }
    }

    /// Takers who always want more and come when they are told to: each gets some, and the rate is used up.
    #[test]
    fn nobody_starves_and_nothing_is_wasted(thousandths in 1_000_i64..300_000, takers in 1_usize..20) {
        let mut paces = [limited(thousandths)];
        let mut next: Vec<(i64, usize)> = (0..takers).map(|taker| (0, taker)).collect();
        let mut got = vec![0_i64; takers];
        let end = 60_000_000;
        while let Some((at, taker)) = next.iter().min().copied().filter(|(at, _)| *at < end) {
            let reserved = reserve(&mut paces, at, 64);
            got[taker] += reserved.slots.len() as i64;
            // It comes for more when the last one it has is near, as the worker does.
            let last = reserved.slots.last().map(|last| last - HORIZON);
            next[taker].0 = last.or(reserved.again_at).unwrap_or(at).max(at + 1);
        }
        let all: i64 = got.iter().sum();
        prop_assert!(all * paces[0].0.interval >= end, "{all} in a minute");
        let fair = all / takers as i64;
        prop_assert!(got.iter().all(|one| *one >= fair / 2), "{got:?}");
    }
}
