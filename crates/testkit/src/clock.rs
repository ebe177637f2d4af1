//! A clock that a test moves.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use offhook_domain::{Clock, SystemClock, Timestamp};

/// The machine's clock, ahead by as much as the test lets pass; or one that stands but for that.
#[derive(Debug, Default)]
pub struct ManualClock {
    base: Base,
    ahead: AtomicI64,
}

#[derive(Debug)]
enum Base {
    Wall(SystemClock),
    /// The last microsecond told.
    Standing(AtomicI64),
}

impl Default for Base {
    fn default() -> Self {
        Self::Wall(SystemClock::default())
    }
}

impl ManualClock {
    /// Stands at this time: every look at it takes a microsecond, and nothing else does.
    #[must_use]
    pub fn standing_at(start: Timestamp) -> Self {
        Self { base: Base::Standing(AtomicI64::new(start.as_micros())), ahead: AtomicI64::new(0) }
    }

    /// Lets time pass.
    pub fn advance(&self, span: Duration) {
        self.ahead.fetch_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let base = match &self.base {
            Base::Wall(wall) => wall.now().as_micros(),
            Base::Standing(last) => last.fetch_add(1, Ordering::Relaxed) + 1,
        };
        Timestamp::from_micros(base + self.ahead.load(Ordering::Relaxed))
    }
}
