//! Which connections outlive their request. Kept ones save a busy endpoint a handshake for each event; but a thousand
//! servers that are called now and then would each keep a file open for nothing.
//!
//! Enters: whether another request to the same server is about to follow. Leaves: the client to make it with. Never
//! here: more kept connections than were asked for, however many servers there are.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Makes a client; it counts there the connections it opens, and keeps them where it is to.
pub(super) type Build = Box<dyn Fn(Arc<AtomicUsize>, Keeping) -> Result<reqwest::Client, reqwest::Error> + Send + Sync>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeping {
    Keeps,
    Closes,
}

pub(super) struct Connections {
    build: Build,
    closing: reqwest::Client,
    keeping: Mutex<Counted>,
    most: AtomicUsize,
}

struct Counted {
    http: reqwest::Client,
    opened: Arc<AtomicUsize>,
}

impl Connections {
    /// # Errors
    /// When a client can't be made.
    pub(super) fn new(build: Build, most: usize) -> Result<Self, reqwest::Error> {
        let closing = build(Arc::default(), Keeping::Closes)?;
        let keeping = Mutex::new(Counted::build(&build)?);
        Ok(Self { build, closing, keeping, most: AtomicUsize::new(most) })
    }

    pub(super) fn keep_at_most(&self, connections: usize) {
        self.most.store(connections, Ordering::Relaxed);
    }

    /// The client for a request, and for one that is about to follow it to the same server.
    pub(super) fn of(&self, keeping: Keeping) -> reqwest::Client {
        if keeping == Keeping::Closes {
            return self.closing.clone();
        }
        let mut kept = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.opened.load(Ordering::Relaxed) >= self.most.load(Ordering::Relaxed) {
            // So many may be open by now. They close with the old client, once what is under way on them is over.
            match Counted::build(&self.build) {
                Ok(fresh) => *kept = fresh,
                Err(error) => tracing::warn!(%error, "kept connections can't be let go"),
            }
        }
        kept.http.clone()
    }
}

impl Counted {
    fn build(build: &Build) -> Result<Self, reqwest::Error> {
        let opened = Arc::new(AtomicUsize::new(0));
        Ok(Self { http: build(opened.clone(), Keeping::Keeps)?, opened })
    }
}
