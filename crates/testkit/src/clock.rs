//! A clock that a test moves.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use offhook_domain::{Clock, SystemClock, Timestamp};

/// The machine's clock, ahead by as much as the test lets pass.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall: SystemClock,
    ahead: AtomicI64,
}

impl ManualClock {
    /// Lets time pass.
    pub fn advance(&self, span: Duration) {
        self.ahead.fetch_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.wall.now().as_micros() + self.ahead.load(Ordering::Relaxed))
    }
}
