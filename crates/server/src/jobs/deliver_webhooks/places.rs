//! Who may send at the same time: places for all endpoints together, fewer for those not known to be well.
//!
//! An endpoint that was never called, that failed last or that took its time needs a place of its class beside one of
//! all. The classes together are smaller than the whole, so what hangs or is slow never takes the last place from an
//! endpoint that works.

use std::sync::Arc;
use std::time::Duration;

use offhook_store::delivery_work::LastSeen;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Webhooks;

/// An endpoint that takes longer than this is slow. One that answers at once, as it should, needs a tenth of it.
const SLOW: Duration = Duration::from_secs(1);

/// How an endpoint did at its last completed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It took what it was sent, at once.
    Proven,
    /// It took what it was sent, and its time.
    Slow,
    /// It was never called. Its order is kept as if it was well.
    Fresh,
    /// It failed.
    Failing,
}

impl Standing {
    pub fn of(seen: LastSeen) -> Self {
        match seen {
            LastSeen::Succeeding => Self::Proven,
            LastSeen::Failing => Self::Failing,
            LastSeen::Never => Self::Fresh,
        }
    }

    /// After a success.
    pub fn after(elapsed: Duration) -> Self {
        if elapsed > SLOW { Self::Slow } else { Self::Proven }
    }

    /// Whether it took what it was sent last.
    pub fn has_taken(self) -> bool {
        matches!(self, Self::Proven | Self::Slow)
    }

    /// Whether more is read for it than there are places for now.
    pub fn is_read_ahead(self) -> bool {
        self == Self::Proven
    }

    /// Whether a failure now is news: order is kept, and the rest of the lane waits.
    pub fn is_well(self) -> bool {
        self != Self::Failing
    }
}

/// The right to one request at a time.
pub struct Place {
    _class: Option<OwnedSemaphorePermit>,
    _all: OwnedSemaphorePermit,
}

/// The places of this node.
pub struct Places {
    all: Arc<Semaphore>,
    fresh: Arc<Semaphore>,
    fresh_places: usize,
    slow: Arc<Semaphore>,
    failing: Arc<Semaphore>,
    per_endpoint: usize,
    failing_per_endpoint: usize,
}

impl Places {
    /// `total` places in all, shared out as the configured ones would be.
    pub fn new(config: &Webhooks, total: usize) -> Self {
        let failing = (config.concurrency_unhealthy * total / config.concurrency_total).max(1);
        let fresh = (total.saturating_sub(failing) / 2).max(1);
        // Of what is left, most: a fast endpoint needs a place for a moment only.
        let slow = (total.saturating_sub(failing + fresh) * 3 / 4).max(1);
        Self {
            all: Arc::new(Semaphore::new(total)),
            fresh: Arc::new(Semaphore::new(fresh)),
            fresh_places: fresh,
            slow: Arc::new(Semaphore::new(slow)),
            failing: Arc::new(Semaphore::new(failing)),
            per_endpoint: config.concurrency_per_endpoint,
            // So that it takes several that hang to make the others of their kind wait.
            failing_per_endpoint: config.concurrency_per_endpoint.min((failing / 4).max(1)),
        }
    }

    /// How many requests one endpoint may have under way.
    pub fn limit(&self, standing: Standing) -> usize {
        match standing {
            Standing::Proven | Standing::Slow => self.per_endpoint,
            Standing::Fresh => 1,
            Standing::Failing => self.failing_per_endpoint,
        }
    }

    /// A place at once, where one is free and nobody waits for it.
    pub fn try_take(&self, standing: Standing) -> Option<Place> {
        let class = match self.class(standing) {
            Some(class) => Some(class.clone().try_acquire_owned().ok()?),
            None => None,
        };
        Some(Place { _class: class, _all: self.all.clone().try_acquire_owned().ok()? })
    }

    /// A place in turn: who comes first is served first.
    pub fn take(&self, standing: Standing) -> impl Future<Output = Option<Place>> + Send + 'static {
        let (class, all) = (self.class(standing).cloned(), self.all.clone());
        async move {
            // Nothing closes the semaphores, so there is always an answer.
            let class = match class {
                Some(class) => Some(class.acquire_owned().await.ok()?),
                None => None,
            };
            Some(Place { _class: class, _all: all.acquire_owned().await.ok()? })
        }
    }

    /// How many endpoints that were never called the sweep may bring now. Some places are left to those that are rung: an
    /// event that just came must not wait behind a backlog of dead ones.
    pub fn for_sweep(&self) -> usize {
        self.fresh.available_permits().saturating_sub(self.fresh_places / 4)
    }

    fn class(&self, standing: Standing) -> Option<&Arc<Semaphore>> {
        match standing {
            Standing::Proven => None,
            Standing::Slow => Some(&self.slow),
            Standing::Fresh => Some(&self.fresh),
            Standing::Failing => Some(&self.failing),
        }
    }
}
