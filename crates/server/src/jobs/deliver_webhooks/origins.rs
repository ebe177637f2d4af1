//! What is known of the servers behind endpoints. A thousand endpoints may be one dead server's, and one that was never
//! called must not wait until each of them has timed out.
//!
//! Of a server that nobody has had an answer from, few endpoints are tried at a time. Once it answers, whatever it
//! answers, it has no limit of its own; while it is silent, its untried endpoints count as failing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many endpoints of an unknown server are tried at a time.
const PROBES: usize = 8;
const REMEMBERED: u64 = 100_000;
/// For how long after it was last asked about a server is known.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);

const UNKNOWN: u8 = 0;
const ANSWERING: u8 = 1;
const SILENT: u8 = 2;

/// The servers this node has to do with.
pub struct Origins {
    servers: Cache<String, Origin>,
    /// Of which server a line's endpoint is, and under which URL.
    lines: Cache<String, (Arc<str>, Origin)>,
}

/// One server: a scheme, a host and a port.
#[derive(Clone)]
pub struct Origin(Arc<Server>);

struct Server {
    seen: AtomicU8,
    probes: Arc<Semaphore>,
}

/// Whether an endpoint that was never called may be called now.
pub enum Admission {
    /// Its server answers.
    Free,
    /// As one of the few, for as long as this is kept.
    Probe(OwnedSemaphorePermit),
    /// Others try the same server already.
    Later,
    /// Its server is silent.
    Silent,
}

impl Default for Origins {
    fn default() -> Self {
        Self {
            servers: Cache::builder().max_capacity(REMEMBERED).time_to_idle(REMEMBERED_FOR).build(),
            lines: Cache::builder().max_capacity(REMEMBERED).time_to_idle(REMEMBERED_FOR).build(),
        }
    }
}

impl Origins {
    /// The server of a line whose endpoint is at `url`, and whether the line was at another URL before.
    pub fn moved_to(&self, line: &str, url: &str) -> (Origin, bool) {
        let before = self.lines.get(line);
        if let Some((known, origin)) = &before
            && **known == *url
        {
            return (origin.clone(), false);
        }
        let name = url::Url::parse(url).map_or_else(|_| url.to_owned(), |url| url.origin().ascii_serialization());
        let origin = self.servers.get_with(name, Origin::unknown);
        self.lines.insert(line.to_owned(), (url.into(), origin.clone()));
        (origin, before.is_some())
    }

    /// The server of a line, where the line is known.
    pub fn of(&self, line: &str) -> Option<Origin> {
        self.lines.get(line).map(|(_, origin)| origin)
    }
}

impl Origin {
    fn unknown() -> Self {
        Self(Arc::new(Server { seen: AtomicU8::new(UNKNOWN), probes: Arc::new(Semaphore::new(PROBES)) }))
    }

    /// Keeps whether a post got an answer, be it a refusal.
    pub fn was_asked(&self, answered: bool) {
        self.0.seen.store(if answered { ANSWERING } else { SILENT }, Ordering::Relaxed);
    }

    pub fn admit(&self) -> Admission {
        match self.0.seen.load(Ordering::Relaxed) {
            ANSWERING => Admission::Free,
            SILENT => Admission::Silent,
            _ => self.0.probes.clone().try_acquire_owned().map_or(Admission::Later, Admission::Probe),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_of_one_server_share_what_is_known_of_it() {
        let origins = Origins::default();
        let (first, _) = origins.moved_to("wh_1", "https://example.com/a");
        let (second, _) = origins.moved_to("wh_2", "https://example.com/b?c");
        let (other, _) = origins.moved_to("wh_3", "https://example.com:8443/a");
        first.was_asked(false);
        assert!(matches!(second.admit(), Admission::Silent));
        assert!(matches!(other.admit(), Admission::Probe(_)));
        second.was_asked(true);
        assert!(matches!(first.admit(), Admission::Free));
    }

    #[test]
    fn few_endpoints_of_an_unknown_server_are_tried_at_a_time() {
        let (origin, _) = Origins::default().moved_to("wh_1", "https://example.com/");
        let mut probes: Vec<_> = (0..PROBES).map(|_| origin.admit()).collect();
        assert!(probes.iter().all(|admission| matches!(admission, Admission::Probe(_))));
        assert!(matches!(origin.admit(), Admission::Later));
        probes.pop();
        assert!(matches!(origin.admit(), Admission::Probe(_)));
    }

    #[test]
    fn a_line_that_moves_is_noticed() {
        let origins = Origins::default();
        assert!(!origins.moved_to("wh_1", "https://example.com/a").1);
        assert!(!origins.moved_to("wh_1", "https://example.com/a").1);
        assert!(origins.moved_to("wh_1", "https://example.com/b").1);
    }
}
