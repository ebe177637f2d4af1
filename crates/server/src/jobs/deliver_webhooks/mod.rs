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
use crate::open_files::Shares;
use crate::telemetry::names;

/// Failing endpoints that are worked on at a time, waiting for a place included. The others stay in the store, and the
/// sweep brings them as these go.
const FAILING_ROOM: usize = 128;
/// Endpoints of which only the log knows that one sweep brings, to have them looked up.
const UNKNOWN_PER_SWEEP: usize = 1024;
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
    failing: usize,
}

impl DeliverWebhooks {
    #[must_use]
    pub fn new(app: App) -> Self {
        let webhooks = &app.config.webhooks;
        Self {
            places: Places::new(webhooks, Shares::of(&app.config).posts),
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

    /// How an endpoint did last, where this node knows.
    fn remembered(&self, line: &str) -> Option<Standing> {
        self.standings.get(line)
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
        let standing = self.remembered(line).unwrap_or(Standing::Fresh);
        let mut at_work = self.at_work();
        if standing == Standing::Failing && at_work.failing >= FAILING_ROOM {
            return None;
        }
        at_work.enter(line, standing);
        Some(Entry { shop: self, line })
    }

    /// Chooses from the lines with due work, the longest overdue first, those to bring now: all whose endpoints are
    /// well, and of the others as many as there is room for.
    fn choose(&self, due: Vec<String>) -> Vec<String> {
        let at_work = self.at_work();
        let mut failing = FAILING_ROOM.saturating_sub(at_work.failing);
        let mut unknown = UNKNOWN_PER_SWEEP;
        let (mut chosen, mut fresh) = (Vec::new(), Vec::new());
        for line in due {
            let fits = match self.turn_of(&at_work, &line) {
                Turn::Now => true,
                Turn::Later => false,
                Turn::AsFailing => take_one(&mut failing),
                Turn::AsUnknown => take_one(&mut unknown),
                Turn::AsFresh => {
                    fresh.push(line);
                    continue;
                }
            };
            if fits {
                chosen.push(line);
            }
        }
        // The latest and the oldest in equal parts: neither may wait for all of the other.
        let room = self.places.for_sweep().min(fresh.len());
        chosen.extend(fresh.split_off(fresh.len() - room.div_ceil(2)));
        chosen.extend(fresh.into_iter().take(room / 2));
        chosen
    }

    fn turn_of(&self, at_work: &AtWork, line: &str) -> Turn {
        if at_work.lines.contains_key(line) {
            return Turn::Now;
        }
        match self.remembered(line) {
            None => Turn::AsUnknown,
            Some(Standing::Proven | Standing::Slow) => Turn::Now,
            Some(Standing::Failing) => Turn::AsFailing,
            Some(Standing::Fresh) => match self.origins.of(line).map(|origin| origin.admit()) {
                Some(Admission::Silent) => Turn::AsFailing,
                Some(Admission::Later) => Turn::Later,
                Some(Admission::Free | Admission::Probe(_)) | None => Turn::AsFresh,
            },
        }
    }
}

/// When a line that the sweep found is to be worked on.
enum Turn {
    Now,
    /// At a later sweep.
    Later,
    /// Where there is room for one of its kind.
    AsFailing,
    AsFresh,
    AsUnknown,
}

fn take_one(room: &mut usize) -> bool {
    let fits = *room > 0;
    *room = room.saturating_sub(1);
    fits
}

impl AtWork {
    fn enter(&mut self, line: &str, standing: Standing) {
        self.lines.insert(line.to_owned(), standing);
        self.failing += usize::from(standing == Standing::Failing);
    }

    /// Whether it was there.
    fn leave(&mut self, line: &str) -> bool {
        let standing = self.lines.remove(line);
        self.failing -= usize::from(standing == Some(Standing::Failing));
        standing.is_some()
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

    async fn due(&self, now: Timestamp) -> Result<Vec<String>, StoreError> {
        let due = self.app.store.read(async move |tx: &mut Tx| tx.delivery_lines_due(now).await).await?;
        let oldest = due.first().map_or(Duration::ZERO, |(_, since)| now.since(*since));
        metrics::gauge!(names::QUEUE_OLDEST_AGE_SECONDS, "queue" => "deliver").set(oldest.as_secs_f64());
        Ok(self.choose(due.into_iter().map(|(line, _)| line).collect()))
    }

    async fn work(&self, line: &str, hold: &Hold) -> Result<(), StoreError> {
        let Ok(id) = WebhookId::parse(line) else {
            return Err(StoreError::Corrupt(format!("{line} is not a webhook's id")));
        };
        let Some(_entry) = self.enter(line) else { return Ok(()) };
        Line::new(self, id, hold).run().await
    }
}
