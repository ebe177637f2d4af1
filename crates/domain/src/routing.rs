//! Which carriers a message may go by, the best first.
//!
//! In: the carrier that its number is at home with, where it goes, and the carriers there are. Out: their names in order. A
//! number's own carrier comes first: replies come there. Never here: handing anything over, or how health is told.

use crate::circuit::Health;
use crate::phone::Country;

/// What an operator says of a carrier.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// The lowest comes first.
    pub priority: u32,
    /// Where messages may go by it; none: everywhere.
    pub destinations: Vec<Country>,
    /// What a segment costs there, in micro-dollars.
    pub segment_cost: i64,
    /// The carriers whose numbers it takes as senders.
    pub carries_for: Vec<String>,
    /// It carries no messages at all.
    pub calls_only: bool,
}

impl Terms {
    /// Whether messages to somebody there may go by it. A destination of no known country may only be reached by one that is
    /// for all.
    #[must_use]
    pub fn reaches(&self, destination: Option<Country>) -> bool {
        self.destinations.is_empty() || destination.is_some_and(|country| self.destinations.contains(&country))
    }
}

/// A carrier, as it stands now.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    pub name: &'a str,
    pub terms: &'a Terms,
    /// Its operator wants it to get less: it sends for the numbers at home with it, and for no others.
    pub is_drained: bool,
    pub health: Health,
}

/// The carriers for a message, the best first: its number's own, then those that carry for that by priority, cost and name.
/// Those that are ill are left out. Where nothing is left it waits for the one that would be the best were all well, and
/// where none reaches the destination for its own, which knows best what it refuses. Empty only where its own is not among
/// them, and nobody carries for it. One that carries calls only is for no message, but for those that would have nobody else,
/// which it refuses.
#[must_use]
pub fn routes<'a>(home: &str, destination: Option<Country>, all: &[Candidate<'a>]) -> Vec<&'a str> {
    let carries = |one: &&Candidate<'_>| {
        one.name == home || (!one.is_drained && one.terms.carries_for.iter().any(|name| name == home))
    };
    let takes = |one: &&Candidate<'_>| !one.terms.calls_only && one.terms.reaches(destination);
    let mut fit: Vec<_> = all.iter().filter(carries).filter(takes).collect();
    fit.sort_by_key(|one| (one.name != home, one.terms.priority, one.terms.segment_cost, one.name));
    let well: Vec<_> = fit.iter().filter(|one| one.health != Health::Ill).map(|one| one.name).collect();
    if !well.is_empty() {
        return well;
    }
    let own = all.iter().find(|one| one.name == home);
    fit.first().copied().or(own).map(|one| one.name).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn country(code: &str) -> Country {
        Country::parse(code).unwrap()
    }

    fn terms(priority: u32, segment_cost: i64, carries_for: &[&str]) -> Terms {
        let carries_for = carries_for.iter().map(|name| (*name).to_owned()).collect();
        Terms { priority, segment_cost, carries_for, ..Terms::default() }
    }

    fn well<'a>(name: &'a str, terms: &'a Terms) -> Candidate<'a> {
        Candidate { name, terms, is_drained: false, health: Health::Well }
    }

    #[test]
    fn its_own_comes_first_then_the_cheapest_of_those_that_carry_for_it() {
        let (own, dear, cheap) = (terms(9, 9, &[]), terms(1, 8, &["own"]), terms(1, 2, &["own"]));
        let (late, other) = (terms(2, 0, &["own"]), terms(0, 0, &["dear"]));
        let all = [well("late", &late), well("dear", &dear), well("other", &other), well("cheap", &cheap)];
        let all: Vec<_> = all.into_iter().chain([well("own", &own)]).collect();
        assert_eq!(routes("own", None, &all), ["own", "cheap", "dear", "late"]);
        assert_eq!(routes("cheap", None, &all), ["cheap"]);
        assert_eq!(routes("gone", None, &all), [""; 0]);
    }

    #[test]
    fn who_is_ill_or_drained_is_left_out_but_a_message_never_has_nobody() {
        let (own, second) = (terms(1, 1, &[]), terms(1, 1, &["own"]));
        let mut all = [well("own", &own), well("second", &second)];
        all[0].health = Health::Ill;
        assert_eq!(routes("own", None, &all), ["second"]);
        all[1].health = Health::Ill;
        assert_eq!(routes("own", None, &all), ["own"]);
        all[1].health = Health::Trial;
        assert_eq!(routes("own", None, &all), ["second"]);
        all[1].is_drained = true;
        assert_eq!(routes("own", None, &all), ["own"], "drained: not for the numbers of others");
        assert_eq!(routes("second", None, &all), ["second"], "but for its own");
    }

    #[test]
    fn a_country_that_its_own_is_not_for_is_reached_by_another() {
        let own = Terms { destinations: vec![country("US")], ..terms(1, 1, &[]) };
        let world = terms(1, 1, &["own"]);
        let mut all = [well("own", &own), well("world", &world)];
        assert_eq!(routes("own", Some(country("DE")), &all), ["world"]);
        assert_eq!(routes("own", Some(country("US")), &all), ["own", "world"]);
        all[1].health = Health::Ill;
        assert_eq!(routes("own", Some(country("DE")), &all), ["world"], "it waits for the one that reaches it");
        assert_eq!(routes("own", Some(country("DE")), &all[..1]), ["own"], "where none does, its own says so");
    }

    #[test]
    fn what_carries_calls_only_is_passed_over() {
        let calls = |own: Terms| Terms { calls_only: true, ..own };
        let (home, second, third) = (calls(terms(1, 1, &[])), calls(terms(1, 1, &["home"])), terms(9, 9, &["home"]));
        let all = [well("home", &home), well("second", &second), well("third", &third)];
        assert_eq!(routes("home", None, &all), ["third"]);
        assert_eq!(routes("home", None, &all[..2]), ["home"], "which says so");
    }

    const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

    fn one() -> impl Strategy<Value = (Terms, bool, Health)> {
        let some = |all: &'static [&'static str]| proptest::sample::subsequence(all, 0..=all.len());
        let health = proptest::sample::select(vec![Health::Well, Health::Trial, Health::Ill]);
        (0u32..3, 0i64..3, some(&NAMES), some(&["US", "DE"]), any::<bool>(), health).prop_map(
            |(priority, cost, carries_for, destinations, is_drained, health)| {
                let destinations = destinations.into_iter().map(country).collect();
                (Terms { destinations, ..terms(priority, cost, &carries_for) }, is_drained, health)
            },
        )
    }

    proptest! {
        #[test]
        fn whatever_there_is_each_route_is_allowed_and_one_is_left(
            all in proptest::collection::vec(one(), 1..=5), home in 0usize..5, to in 0usize..3
        ) {
            let to = [None, Some(country("US")), Some(country("DE"))][to];
            let candidates: Vec<_> = all.iter().zip(NAMES).map(|((terms, is_drained, health), name)| Candidate {
                name, terms, is_drained: *is_drained, health: *health,
            }).collect();
            let home = NAMES[home];
            let routes = routes(home, to, &candidates);
            let of = |name: &str| *candidates.iter().find(|one| one.name == name).unwrap();
            let carries = |one: &Candidate<'_>| {
                one.name == home || !one.is_drained && one.terms.carries_for.iter().any(|name| name == home)
            };
            prop_assert!(routes.iter().all(|name| carries(&of(name))));
            let mut once = routes.clone();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), routes.len());
            let fit = |one: &Candidate<'_>| carries(one) && one.terms.reaches(to);
            let healthy = candidates.iter().filter(|one| fit(one) && one.health != Health::Ill).count();
            let is_known = candidates.iter().any(|one| one.name == home);
            if healthy > 0 {
                prop_assert_eq!(routes.len(), healthy);
                prop_assert!(routes.iter().all(|name| fit(&of(name)) && of(name).health != Health::Ill));
            } else {
                prop_assert_eq!(routes.len(), usize::from(is_known || candidates.iter().any(fit)));
            }
            prop_assert!(routes.iter().skip(1).all(|name| *name != home), "its own first, or not at all");
            let mut turned = candidates.clone();
            turned.reverse();
            prop_assert_eq!(super::routes(home, to, &turned), routes, "in whatever order they are told");
        }
    }
}
