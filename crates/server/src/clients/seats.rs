//! Who is connected, who of them is idle and since when.
//!
//! In: connections that come, and requests that begin and end on them. Out: the one that is to go when there is no room.
//! Never here: sockets.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// All seats that are taken. Clones share them.
#[derive(Clone, Default)]
pub struct Seats {
    taken: Arc<Mutex<HashMap<u64, Arc<Taken>>>>,
    count: Arc<AtomicU64>,
}

struct Taken {
    /// Requests under way: one at most, but for one that is being written while the next comes in.
    requests: AtomicUsize,
    idle_since: Mutex<Instant>,
    freed: Notify,
    wanted: CancellationToken,
}

/// One connection's seat, until it is dropped.
pub struct Seat {
    seats: Seats,
    number: u64,
    taken: Arc<Taken>,
}

/// Tells when requests begin on a connection.
#[derive(Clone)]
pub struct Handle(Arc<Taken>);

/// A request is under way until this is dropped.
pub struct Busy(Arc<Taken>);

impl Seats {
    pub fn take(&self) -> Seat {
        let taken = Arc::new(Taken {
            requests: AtomicUsize::new(0),
            idle_since: Mutex::new(Instant::now()),
            freed: Notify::new(),
            wanted: CancellationToken::new(),
        });
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        self.all().insert(number, taken.clone());
        Seat { seats: self.clone(), number, taken }
    }

    /// Asks for the seat of whoever has been idle the longest. Nobody's, where all have a request under way.
    pub fn make_room(&self) {
        let all = self.all();
        let idle = all.values().filter(|taken| taken.is_idle() && !taken.wanted.is_cancelled());
        if let Some(longest) = idle.min_by_key(|taken| taken.idle_since()) {
            longest.wanted.cancel();
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<u64, Arc<Taken>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn is_idle(&self) -> bool {
        self.requests.load(Ordering::Acquire) == 0
    }

    fn idle_since(&self) -> Instant {
        *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    pub fn handle(&self) -> Handle {
        Handle(self.taken.clone())
    }

    pub fn is_idle(&self) -> bool {
        self.taken.is_idle()
    }

    /// Comes when a newcomer needs the seat.
    pub async fn is_wanted(&self) {
        self.taken.wanted.cancelled().await;
    }

    /// Comes when a request has ended.
    pub async fn is_freed(&self) {
        self.taken.freed.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.all().remove(&self.number);
    }
}

impl Handle {
    pub fn begin(&self) -> Busy {
        self.0.requests.fetch_add(1, Ordering::AcqRel);
        Busy(self.0.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *self.0.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_idle_has_to_go() {
        let seats = Seats::default();
        let (first, second, third) = (seats.take(), seats.take(), seats.take());
        let request = first.handle().begin();
        seats.make_room();
        let wanted = |seat: &Seat| seat.taken.wanted.is_cancelled();
        assert_eq!([wanted(&first), wanted(&second), wanted(&third)], [false, true, false], "the first is in use");
        drop(request);
        seats.make_room();
        assert_eq!([wanted(&first), wanted(&third)], [false, true], "the first was in use a moment ago");
        drop((second, third));
        let request = first.handle().begin();
        seats.make_room();
        assert!(!wanted(&first), "nobody who is in use has to go");
        drop((request, first));
        assert!(seats.all().is_empty());
    }
}
