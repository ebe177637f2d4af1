//! The clocks of §17 (its table 4).

use std::time::{Duration, Instant};

/// T1, T2 and T4, from which the others follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// The round trip that is assumed.
    pub t1: Duration,
    /// The longest between two retransmissions.
    pub t2: Duration,
    /// How long a message may linger in the network.
    pub t4: Duration,
    /// How long an INVITE may go on with provisional responses only.
    pub c: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            c: Duration::from_secs(600),
        }
    }
}

impl Timers {
    /// B, F, H, J, L, M: after so long without an answer there is none.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.t1 * 64
    }

    /// D: how long an answer to an INVITE may come again.
    #[must_use]
    pub fn d(&self) -> Duration {
        self.patience().max(Duration::from_secs(32))
    }
}

/// Something that is sent again and again, more and more rarely.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retransmission {
    pub(crate) at: Instant,
    interval: Duration,
}

impl Retransmission {
    pub(crate) fn start(interval: Duration, now: Instant) -> Self {
        Self { at: now + interval, interval }
    }

    /// Whether it is time; then the next time is set.
    pub(crate) fn is_due(&mut self, longest: Duration, now: Instant) -> bool {
        if self.at > now {
            return false;
        }
        self.interval = (self.interval * 2).min(longest);
        self.at = now + self.interval;
        true
    }
}
