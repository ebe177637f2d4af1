//! Walk 2, after the commit: brings events to customers' endpoints, in order within a conversation while the endpoint
//! is well, and without letting a slow or dead endpoint delay another.
//!
//! A line is one webhook. What is due is read page by page, sent side by side ([`line`]), judged, and recorded many at
//! a time ([`record`]); the rest of the backlog stays in the store. Nothing is written when an attempt begins: a crash
//! makes it again, with the same id.

mod line;
mod origins;
mod places;
mod queue;
mod record;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use offhook_domain::webhook::RetrySchedule;
use offhook_domain::{Id, Timestamp, WebhookId};
use offhook_store::{StoreError, Tx};

use self::line::Line;
use self::origins::{Admission, Origins};
use self::places::{Places, Standing};
use self::queue::{HeldLanes, Memory};
use super::lines::{Hold, LineWork};
use crate::app::App;
use crate::telemetry::names;

/// Endpoints that are not known to be well and are worked on at a time, waiting for a place included. The others stay
/// in the store, and the sweep brings them as these go.
const FRESH_ROOM: usize = 1024;
const FAILING_ROOM: usize = 128;
/// For how many endpoints it is remembered how they did, and for how long after they were last called. Of the others
/// the log tells.
const REMEMBERED: u64 = 100_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);

/// The delivering of events; a line is a webhook's id.
pub struct DeliverWebhooks {
    app: App,
    places: Places,
    retries: RetrySchedule,
    memory: Memory,
    standings: moka::sync::Cache<String, Standing>,
    origins: Origins,
    held: moka::sync::Cache<String, HeldLanes>,
    at_work: Mutex<AtWork>,
}

/// The lines worked on here, and how their endpoints do.
#[derive(Default)]
struct AtWork {
    lines: HashMap<String, Standing>,
    fresh: usize,
    failing: usize,
}

impl DeliverWebhooks {
    #[must_use]
    pub fn new(app: App) -> Self {
        let webhooks = &app.config.webhooks;
        Self {
            places: Places::new(webhooks),
            retries: RetrySchedule::new(webhooks.retries.clone()),
            memory: Memory::default(),
            standings: moka::sync::Cache::builder().max_capacity(REMEMBERED).time_to_idle(REMEMBERED_FOR).build(),
            origins: Origins::default(),
            held: moka::sync::Cache::builder().max_capacity(REMEMBERED).time_to_idle(REMEMBERED_FOR).build(),
            at_work: Mutex::default(),
            app,
        }
    }

    fn at_work(&self) -> MutexGuard<'_, AtWork> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How an endpoint did last; one that nobody here knows counts as never called until the log is read.
    fn remembered(&self, line: &str) -> Standing {
        self.standings.get(line).unwrap_or(Standing::Fresh)
    }

    fn remember(&self, line: &str, standing: Standing) {
        self.standings.insert(line.to_owned(), standing);
        let mut at_work = self.at_work();
        if at_work.leave(line) {
            at_work.enter(line, standing);
        }
    }

    /// Whether more failing endpoints are worked on than there is room for.
    fn has_too_many_failing(&self) -> bool {
        self.at_work().failing > FAILING_ROOM
    }

    /// The held lanes of a line.
    fn held_lanes(&self, line: &str) -> HeldLanes {
        self.held.get_with_by_ref(line, HeldLanes::default)
    }

    /// Enters a line into what is worked on, where there is room for its kind.
    fn enter<'a>(&'a self, line: &'a str) -> Option<Entry<'a>> {
        let standing = self.remembered(line);
        let mut at_work = self.at_work();
        if at_work.room(standing) == 0 {
            return None;
        }
        at_work.enter(line, standing);
        Some(Entry { shop: self, line })
    }
}

impl AtWork {
    fn enter(&mut self, line: &str, standing: Standing) {
        self.lines.insert(line.to_owned(), standing);
        self.count(standing, 1);
    }

    /// Whether it was there.
    fn leave(&mut self, line: &str) -> bool {
        let standing = self.lines.remove(line);
        if let Some(standing) = standing {
            self.count(standing, -1);
        }
        standing.is_some()
    }

    fn count(&mut self, standing: Standing, change: isize) {
        match standing {
            Standing::Proven => {}
            Standing::Fresh => self.fresh = self.fresh.saturating_add_signed(change),
            Standing::Failing => self.failing = self.failing.saturating_add_signed(change),
        }
    }

    /// For how many more of a kind there is room.
    fn room(&self, standing: Standing) -> usize {
        match standing {
            Standing::Proven => usize::MAX,
            Standing::Fresh => FRESH_ROOM.saturating_sub(self.fresh),
            Standing::Failing => FAILING_ROOM.saturating_sub(self.failing),
        }
    }
}

/// A line's entry in what is worked on; it leaves when dropped.
struct Entry<'a> {
    shop: &'a DeliverWebhooks,
    line: &'a str,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.shop.at_work().leave(self.line);
    }
}

impl LineWork for DeliverWebhooks {
    const KIND: &'static str = "deliver";

    /// All that is due to endpoints that are well, and of the others as many as there is room for, the longest overdue
    /// first.
    async fn due(&self, now: Timestamp) -> Result<Vec<String>, StoreError> {
        let mut due = self.app.store.read(async move |tx: &mut Tx| tx.delivery_lines_due(now).await).await?;
        let oldest = due.first().map_or(Duration::ZERO, |(_, since)| now.since(*since));
        metrics::gauge!(names::QUEUE_OLDEST_AGE_SECONDS, "queue" => "deliver").set(oldest.as_secs_f64());
        let at_work = self.at_work();
        let (mut fresh, mut failing) = (at_work.room(Standing::Fresh), at_work.room(Standing::Failing));
        due.retain(|(line, _)| {
            let room = match (self.remembered(line), self.origins.of(line).map(|origin| origin.admit())) {
                _ if at_work.lines.contains_key(line) => return true,
                (Standing::Proven, _) => return true,
                (Standing::Fresh, Some(Admission::Later)) => return false,
                (Standing::Failing, _) | (_, Some(Admission::Silent)) => &mut failing,
                (Standing::Fresh, _) => &mut fresh,
            };
            let fits = *room > 0;
            *room = room.saturating_sub(1);
            fits
        });
        Ok(due.into_iter().map(|(line, _)| line).collect())
    }

    async fn work(&self, line: &str, hold: &Hold) -> Result<(), StoreError> {
        let Ok(id) = WebhookId::parse(line) else {
            return Err(StoreError::Corrupt(format!("{line} is not a webhook's id")));
        };
        let Some(_entry) = self.enter(line) else { return Ok(()) };
        Line::new(self, id, hold).run().await
    }
}
