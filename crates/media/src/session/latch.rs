//! Where a call's sound comes from, and so where ours has to go: behind a NAT that is not where SDP says (symmetric RTP).
//! In: where packets come from. Out: whether they are the call's.
//!
//! Who comes from the agreed host is believed at once, whatever the port. Anyone else must send several packets while
//! nothing comes from whom we believe: else a stranger who guesses the port could take the call over. A packet whose seal
//! is right is believed from anywhere.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// So many packets in a row from elsewhere are believed.
const INSISTENT: u32 = 4;
/// But not while the one we believe was heard so recently.
const RECENT: Duration = Duration::from_secs(2);

/// Where sound comes from.
#[derive(Debug, Clone)]
pub struct Latch {
    agreed: Option<SocketAddr>,
    agreed_reports: Option<SocketAddr>,
    learnt: Option<(SocketAddr, Instant)>,
    learnt_reports: Option<SocketAddr>,
    other: Option<(SocketAddr, u32)>,
}

impl Latch {
    pub const fn new(agreed: Option<SocketAddr>, agreed_reports: Option<SocketAddr>) -> Self {
        Self { agreed, agreed_reports, learnt: None, learnt_reports: None, other: None }
    }

    /// Whether a packet of sound is the call's.
    pub fn admits(&mut self, from: SocketAddr, sealed: bool, at: Instant) -> bool {
        if let Some((learnt, heard)) = &mut self.learnt
            && *learnt == from
        {
            *heard = at;
            self.other = None;
            return true;
        }
        let agreed = self.agreed.is_some_and(|agreed| agreed.ip() == from.ip());
        // Where a call was handed on, the former party on the same host may still be heard: the very address always counts.
        if sealed || self.agreed == Some(from) || (agreed && self.learnt.is_none()) {
            self.learn(from, at);
            return true;
        }
        if self.learnt.is_some_and(|(_, heard)| at.saturating_duration_since(heard) < RECENT) {
            return false;
        }
        let seen = match self.other {
            Some((other, seen)) if other == from => seen + 1,
            _ => 1,
        };
        self.other = Some((from, seen));
        // From the agreed host, only its port has changed.
        if seen < INSISTENT && !agreed {
            return false;
        }
        self.learn(from, at);
        true
    }

    fn learn(&mut self, from: SocketAddr, at: Instant) {
        self.learnt = Some((from, at));
        self.other = None;
        self.learnt_reports = self.learnt_reports.filter(|reports| reports.ip() == from.ip());
    }

    /// Whether a report is the call's: it comes from a host that its sound comes from.
    pub fn admits_report(&mut self, from: SocketAddr, sealed: bool) -> bool {
        let known = [self.learnt.map(|(learnt, _)| learnt), self.agreed, self.agreed_reports];
        let admitted = sealed || known.into_iter().flatten().any(|known| known.ip() == from.ip());
        if admitted {
            self.learnt_reports = Some(from);
        }
        admitted
    }

    /// Where our sound goes.
    pub fn sound(&self) -> Option<SocketAddr> {
        self.learnt.map(|(learnt, _)| learnt).or(self.agreed)
    }

    /// Where our reports go: where theirs come from; else where they want them; else, behind a NAT, the next port.
    pub fn reports(&self) -> Option<SocketAddr> {
        let moved = self.learnt.map(|(learnt, _)| learnt).filter(|learnt| Some(*learnt) != self.agreed);
        let next = moved.map(|moved| SocketAddr::new(moved.ip(), moved.port().saturating_add(1)));
        self.learnt_reports.or(next).or(self.agreed_reports)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16, host: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, host], port))
    }

    fn fresh() -> Latch {
        Latch::new(Some(at(4000, 1)), Some(at(4001, 1)))
    }

    #[test]
    fn the_agreed_host_is_believed_whatever_its_port() {
        let mut latch = fresh();
        let now = Instant::now();
        assert_eq!(latch.sound(), Some(at(4000, 1)));
        assert!(latch.admits(at(61_000, 1), false, now));
        assert_eq!((latch.sound(), latch.reports()), (Some(at(61_000, 1)), Some(at(61_001, 1))));
        assert!(latch.admits_report(at(61_700, 1), false));
        assert_eq!(latch.reports(), Some(at(61_700, 1)));
    }

    #[test]
    fn the_agreed_address_is_believed_also_behind_another_port_of_its_host() {
        let mut latch = fresh();
        let now = Instant::now();
        assert!(latch.admits(at(3000, 1), false, now), "who spoke before, from the same host");
        assert!(latch.admits(at(4000, 1), false, now));
        assert!(!latch.admits(at(3000, 1), false, now));
        assert_eq!(latch.sound(), Some(at(4000, 1)));
    }

    #[test]
    fn another_host_must_insist() {
        let mut latch = fresh();
        let now = Instant::now();
        for _ in 1..INSISTENT {
            assert!(!latch.admits(at(5000, 9), false, now));
        }
        assert!(latch.admits(at(5000, 9), false, now));
        assert_eq!(latch.sound(), Some(at(5000, 9)));
    }

    #[test]
    fn a_stranger_can_not_take_a_call_over() {
        let mut latch = fresh();
        let mut now = Instant::now();
        for _ in 0..1000 {
            assert!(latch.admits(at(4000, 1), false, now));
            assert!(!latch.admits(at(5000, 9), false, now));
            assert!(!latch.admits(at(4002, 1), false, now));
            assert!(!latch.admits_report(at(5001, 9), false));
            now += Duration::from_millis(20);
        }
        assert_eq!((latch.sound(), latch.reports()), (Some(at(4000, 1)), Some(at(4001, 1))));
        // Whose NAT gives it another port later is followed, once the old one is quiet.
        now += RECENT;
        assert!(latch.admits(at(4002, 1), false, now));
    }

    #[test]
    fn a_sealed_packet_is_believed_from_anywhere() {
        let mut latch = fresh();
        let now = Instant::now();
        assert!(latch.admits(at(4000, 1), true, now));
        assert!(latch.admits(at(5000, 9), true, now));
        assert_eq!(latch.sound(), Some(at(5000, 9)));
    }
}
