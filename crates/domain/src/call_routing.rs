//! Over which trunks a call of ours may go, the best first.
//!
//! In: the number it is made from, and the trunks there are. Out: their names in order, or why there is none. Never here:
//! placing anything, or whom may be called.

use crate::ids::AccountId;

/// Whose a trunk is, and so which calls may go over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrunkOwner {
    /// A carrier of the operator's: for the numbers that are at home with it, and for those of the carriers that it carries
    /// for.
    Carrier { name: String, priority: u32, carries_for: Vec<String>, is_drained: bool },
    /// A customer: for calls of their own account.
    Account(AccountId),
}

/// A trunk as a call looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    pub name: &'a str,
    pub owner: &'a TrunkOwner,
    /// Whether it has any address that calls could go to.
    pub takes_calls: bool,
}

/// Where a call of ours goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallRoute<'a> {
    /// It never leaves this installation.
    Sandbox,
    /// Over these, the best first: at least one.
    Trunks(Vec<&'a str>),
    /// The number's carrier takes no calls, and nobody carries for it.
    None,
}

/// The way of a call from a number of `account` that is at home with the carrier `home`: its own carrier comes first, for there
/// the number is known as ours; then the operator's others that carry for it, by priority and name; then the customer's own
/// trunks, the oldest first. Of the sandbox's numbers no call ever goes out.
#[must_use]
pub fn route<'a>(home: &str, sandbox: &str, account: &AccountId, all: &[Candidate<'a>]) -> CallRoute<'a> {
    if home == sandbox {
        return CallRoute::Sandbox;
    }
    let rank = |one: &Candidate<'a>| match one.owner {
        TrunkOwner::Carrier { name, .. } if name == home => Some((0, 0)),
        TrunkOwner::Carrier { priority, carries_for, is_drained, .. } => {
            (!is_drained && carries_for.iter().any(|name| name == home)).then_some((1, *priority))
        }
        TrunkOwner::Account(owner) => (owner == account).then_some((2, 0)),
    };
    let fits = all.iter().filter(|one| one.takes_calls);
    let mut fit: Vec<_> = fits.filter_map(|one| Some((rank(one)?, one.name))).collect();
    // Ids of trunks sort as they were made.
    fit.sort_unstable();
    let names: Vec<&str> = fit.into_iter().map(|(_, name)| name).collect();
    if names.is_empty() { CallRoute::None } else { CallRoute::Trunks(names) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Id;
    use crate::time::Timestamp;

    fn carrier(name: &str, priority: u32, carries_for: &[&str]) -> TrunkOwner {
        let carries_for = carries_for.iter().map(|name| (*name).to_owned()).collect();
        TrunkOwner::Carrier { name: name.to_owned(), priority, carries_for, is_drained: false }
    }

    fn account(n: i64) -> AccountId {
        AccountId::generate(Timestamp::from_micros(n))
    }

    fn way<'a>(name: &'a str, owner: &'a TrunkOwner) -> Candidate<'a> {
        Candidate { name, owner, takes_calls: true }
    }

    #[test]
    fn its_own_carrier_comes_first_then_who_carries_for_it_then_the_customers_own() {
        let us = account(1);
        let (home, near, far) = (carrier("home", 9, &[]), carrier("near", 1, &["home"]), carrier("far", 2, &["home"]));
        let (other, own, theirs) =
            (carrier("other", 0, &["x"]), TrunkOwner::Account(us.clone()), TrunkOwner::Account(account(2)));
        let all = [
            way("trunk_2", &own),
            way("far", &far),
            way("trunk_1", &own),
            way("trunk_0", &theirs),
            way("other", &other),
            way("near", &near),
            way("home", &home),
        ];
        let found = route("home", "sandbox", &us, &all);
        assert_eq!(found, CallRoute::Trunks(vec!["home", "near", "far", "trunk_1", "trunk_2"]));
        assert_eq!(route("twilio", "sandbox", &us, &all), CallRoute::Trunks(vec!["trunk_1", "trunk_2"]));
        assert_eq!(route("twilio", "sandbox", &account(3), &all), CallRoute::None);
    }

    #[test]
    fn a_call_of_the_sandbox_never_leaves_it() {
        let us = account(1);
        let (own, eager) = (TrunkOwner::Account(us.clone()), carrier("eager", 1, &["sandbox"]));
        assert_eq!(route("sandbox", "sandbox", &us, &[way("trunk_1", &own), way("eager", &eager)]), CallRoute::Sandbox);
    }

    #[test]
    fn who_is_drained_carries_for_nobody_else_and_who_has_no_address_for_none() {
        let us = account(1);
        let drained = TrunkOwner::Carrier {
            name: "drained".to_owned(),
            priority: 1,
            carries_for: vec!["home".to_owned()],
            is_drained: true,
        };
        let own = TrunkOwner::Account(us.clone());
        let all = [way("drained", &drained), Candidate { takes_calls: false, ..way("trunk_1", &own) }];
        assert_eq!(route("home", "sandbox", &us, &all), CallRoute::None);
        assert_eq!(route("drained", "sandbox", &us, &all), CallRoute::Trunks(vec!["drained"]), "but for its own");
    }
}
