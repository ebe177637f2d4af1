//! Who may call us, and how much strangers may cost. A peer from an allow-list is never limited, however fast its calls come;
//! what costs is what nobody vouches for: garbage, and requests from addresses that we do not know.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::digest::Credentials;

/// What the host calls a peer: a trunk's id.
pub type PeerName = String;

/// Somebody whose calls we take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What the host calls it.
    pub name: PeerName,
    /// Where it calls from; empty means from anywhere, which wants credentials.
    pub networks: Vec<IpNet>,
    /// What it must know, if its address is not enough. Names must be unique.
    pub credentials: Option<Credentials>,
}

impl Peer {
    fn calls_from(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    fn may_prove_itself_from(&self, address: IpAddr) -> bool {
        self.credentials.is_some() && (self.networks.is_empty() || self.calls_from(address))
    }
}

/// What becomes of calls from nobody we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strangers {
    /// Nothing is said: scanners go away.
    Ignored,
    /// 403.
    Refused,
    /// They are let in, at the pace of [`Pace`].
    Welcome,
}

/// How much an address that nobody vouches for may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// At once.
    pub burst: u32,
    /// Every second.
    pub per_second: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { burst: 40, per_second: 10 }
    }
}

/// More sources are not told apart.
const MOST_SOURCES: usize = 10_000;

struct Bucket {
    tokens: f64,
    at: Instant,
}

/// The gate.
pub(super) struct Gate {
    peers: Vec<Peer>,
    pace: Pace,
    buckets: HashMap<IpAddr, Bucket>,
}

impl Gate {
    pub(super) fn new(peers: Vec<Peer>, pace: Pace) -> Self {
        Self { peers, pace, buckets: HashMap::new() }
    }

    pub(super) fn set_peers(&mut self, peers: Vec<Peer>) {
        self.peers = peers;
    }

    /// The peers that an address alone stands for.
    pub(super) fn peers_at(&self, address: IpAddr) -> Vec<PeerName> {
        let address = address.to_canonical();
        let by_address = |peer: &&Peer| peer.credentials.is_none() && peer.calls_from(address);
        self.peers.iter().filter(by_address).map(|peer| peer.name.clone()).collect()
    }

    /// Whether an address is on somebody's list, so that nothing from it is counted.
    pub(super) fn vouches_for(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.peers.iter().any(|peer| peer.calls_from(address))
    }

    /// Whether somebody could prove from there who he is.
    pub(super) fn may_challenge(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.peers.iter().any(|peer| peer.may_prove_itself_from(address))
    }

    /// The credentials that would do.
    pub(super) fn credentials(&self, address: IpAddr, username: &str) -> Option<&Credentials> {
        let address = address.to_canonical();
        self.peers
            .iter()
            .filter(|peer| peer.may_prove_itself_from(address))
            .filter_map(|peer| peer.credentials.as_ref())
            .find(|credentials| credentials.username == username)
    }

    /// Who somebody is that has proved his name.
    pub(super) fn peers_named(&self, address: IpAddr, username: &str) -> Vec<PeerName> {
        let address = address.to_canonical();
        let named = |peer: &&Peer| {
            peer.may_prove_itself_from(address)
                && peer.credentials.as_ref().is_some_and(|credentials| credentials.username == username)
        };
        self.peers.iter().filter(named).map(|peer| peer.name.clone()).collect()
    }

    /// Whether something that nobody vouches for is looked at.
    pub(super) fn admits(&mut self, address: IpAddr, now: Instant) -> bool {
        if self.vouches_for(address) {
            return true;
        }
        let mut source = source_of(address);
        let (burst, rate) = (f64::from(self.pace.burst), f64::from(self.pace.per_second));
        if self.buckets.len() >= MOST_SOURCES && !self.buckets.contains_key(&source) {
            let full = Duration::from_secs_f64(burst / rate.max(0.1));
            self.buckets.retain(|_, bucket| now.saturating_duration_since(bucket.at) < full);
            if self.buckets.len() >= MOST_SOURCES {
                // A flood from everywhere: the rest of the world shares one bucket.
                source = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            }
        }
        let bucket = self.buckets.entry(source).or_insert(Bucket { tokens: burst, at: now });
        bucket.tokens = (bucket.tokens + now.saturating_duration_since(bucket.at).as_secs_f64() * rate).min(burst);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }

    /// Somebody has proved who he is: what he spent on the way is given back.
    pub(super) fn forgive(&mut self, address: IpAddr) {
        self.buckets.remove(&source_of(address));
    }
}

/// Who has one IPv6 address has the whole /64.
fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from(u128::from(ip) & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        let trunk =
            Peer { name: "trunk".to_owned(), networks: vec!["198.51.100.0/24".parse().unwrap()], credentials: None };
        let roaming = Peer {
            name: "roaming".to_owned(),
            networks: Vec::new(),
            credentials: Some(Credentials { username: "u".to_owned(), password: "p".to_owned() }),
        };
        Gate::new(vec![trunk, roaming], Pace { burst: 5, per_second: 2 })
    }

    #[test]
    fn a_burst_from_a_peer_is_no_attack_and_one_from_a_stranger_is_slowed_down() {
        let mut gate = gate();
        let now = Instant::now();
        let (peer, stranger) = ("198.51.100.9".parse().unwrap(), "203.0.113.5".parse().unwrap());
        assert!((0..10_000).all(|_| gate.admits(peer, now)));
        assert_eq!((0..10_000).filter(|_| gate.admits(stranger, now)).count(), 5);
        assert_eq!((0..100).filter(|_| gate.admits(stranger, now + Duration::from_secs(1))).count(), 2);
        assert!(gate.admits("203.0.113.6".parse().unwrap(), now), "another address pays for itself");
        gate.forgive(stranger);
        assert!(gate.admits(stranger, now));
    }

    #[test]
    fn a_flood_of_addresses_fills_no_memory() {
        let mut gate = gate();
        let now = Instant::now();
        for n in 0..50_000_u32 {
            gate.admits(std::net::Ipv4Addr::from(0x0a00_0000 + n).into(), now);
        }
        assert!(gate.buckets.len() <= MOST_SOURCES + 1);
        let later = now + Duration::from_secs(60);
        assert!(gate.admits("203.0.113.5".parse().unwrap(), later));
        assert!(gate.buckets.len() < 10, "those that are full again are forgotten");
    }

    #[test]
    fn neighbours_in_a_64_are_one_source() {
        let mut gate = gate();
        let now = Instant::now();
        let addresses = (0..100_u128).map(|n| IpAddr::V6(Ipv6Addr::from((0x2001_0db8 << 96) + n)));
        assert_eq!(addresses.filter(|address| gate.admits(*address, now)).count(), 5);
    }

    #[test]
    fn peers_are_known_by_address_or_by_name() {
        let gate = gate();
        let (inside, outside) = ("198.51.100.9".parse().unwrap(), "203.0.113.5".parse().unwrap());
        assert_eq!(gate.peers_at(inside), ["trunk"]);
        assert_eq!(gate.peers_at("::ffff:198.51.100.9".parse().unwrap()), ["trunk"]);
        assert!(gate.peers_at(outside).is_empty() && gate.may_challenge(outside));
        assert_eq!(gate.peers_named(outside, "u"), ["roaming"]);
        assert_eq!(gate.credentials(outside, "x"), None);
    }
}
