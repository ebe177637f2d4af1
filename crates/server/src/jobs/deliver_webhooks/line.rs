//! One endpoint's line: reads what is due, keeps a bounded number of posts under way, records what they came to.
//!
//! Reading, recording and posting overlap, but the line reads and records one after the other: a page read while
//! outcomes were being written could bring back what is done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use offhook_domain::webhook::{DeliveryStatus, Webhook, WebhookStatus};
use offhook_domain::{AgentId, Id, Timestamp, WebhookId};
use offhook_store::delivery_work::{Attempt, DueDelivery};
use offhook_store::{StoreError, Tx};
use tokio::sync::OwnedSemaphorePermit;

use super::DeliverWebhooks;
use super::origins::{Admission, Origin};
use super::places::{Place, Standing};
use super::queue::Queue;
use super::record::{self, Abandoning, Ended};
use crate::app::post_event::{self, Endpoint, Posted};
use crate::jobs::lines::Hold;
use crate::telemetry::names;

/// What the deliveries of one line in memory may weigh, and those read at once.
const WINDOW: usize = 512;
const PAGE: usize = 256;
/// What those of all lines of a node may weigh before pages get small.
const NODE_WINDOW: usize = 8192;
const SMALLEST_PAGE: usize = 4;
/// The most outcomes in one transaction.
const BATCH: usize = 256;
/// How long a line with nothing to do is kept, in case more comes.
const LINGER: Duration = Duration::from_secs(2);

pub struct Line<'a> {
    shop: &'a DeliverWebhooks,
    hold: &'a Hold,
    id: WebhookId,
    /// Known from the first page on.
    endpoint: Option<Arc<Endpoint>>,
    origin: Option<Origin>,
    /// Where its server is unknown: the right to be one of the few that find out.
    probe: Option<OwnedSemaphorePermit>,
    standing: Standing,
    queue: Queue,
    posts: FuturesUnordered<BoxFuture<'a, Done>>,
    /// Something was sent to it a moment ago, since the line lives no longer.
    has_posted: bool,
    ended: Vec<Ended>,
    /// Deleted or disabled: what waits is given up once nothing is under way.
    closed: bool,
    /// What waited was given up, and the webhook is still not there.
    emptied: bool,
    /// Why the line has to stop, once nothing is under way.
    failed: Option<StoreError>,
    storing: Option<BoxFuture<'static, Result<Stored, StoreError>>>,
    /// Outcomes were recorded last, so that a page may be read now.
    recorded_last: bool,
    taking: Option<BoxFuture<'static, Option<Place>>>,
    /// There was no place for it. One that was never called doesn't wait: the sweep brings it again.
    turned_away: bool,
    /// Places taken and not used yet.
    spare: Vec<Place>,
}

/// A post that is over, and to whom it went: the line may have another endpoint by now.
struct Done {
    due: Sent,
    endpoint: Arc<Endpoint>,
    posted: Posted,
}

/// What is kept of a delivery while its body is under way.
struct Sent {
    delivery: offhook_domain::DeliveryId,
    lane: String,
    attempts: u32,
}

/// What the store did for the line.
enum Stored {
    Page(Box<Page>),
    Kept(Arc<Vec<Ended>>),
    Held,
    Abandoned(Abandoning),
}

/// What is due, and the webhook as it was at that time.
struct Page {
    webhook: Option<Webhook>,
    due: Vec<DueDelivery>,
    limit: usize,
}

impl<'a> Line<'a> {
    pub fn new(shop: &'a DeliverWebhooks, id: WebhookId, hold: &'a Hold) -> Self {
        Self {
            standing: shop.remembered(id.as_str()).unwrap_or(Standing::Fresh),
            queue: Queue::new(shop.memory.clone(), shop.held_lanes(id.as_str())),
            posts: FuturesUnordered::new(),
            has_posted: false,
            ended: Vec::new(),
            endpoint: None,
            origin: None,
            probe: None,
            closed: false,
            emptied: false,
            failed: None,
            storing: None,
            recorded_last: true,
            taking: None,
            turned_away: false,
            spare: Vec::new(),
            shop,
            hold,
            id,
        }
    }

    pub async fn run(mut self) -> Result<(), StoreError> {
        self.ask_the_log().await?;
        if !self.is_admitted() {
            return Ok(());
        }
        loop {
            self.start_posts();
            self.start_storing();
            if self.posts.is_empty() && self.storing.is_none() && self.taking.is_none() {
                if self.is_ending() || self.turned_away || !self.wait_for_more().await? {
                    return self.failed.map_or(Ok(()), Err);
                }
                self.queue.look_again();
                continue;
            }
            self.step().await;
        }
    }

    /// Waits for the next thing to happen, and takes it in.
    async fn step(&mut self) {
        let ending = self.is_ending();
        tokio::select! {
            Some(done) = self.posts.next(), if !self.posts.is_empty() => {
                self.take_in(done);
                while let Some(Some(done)) = self.posts.next().now_or_never() {
                    self.take_in(done);
                }
            }
            stored = optional(&mut self.storing) => {
                self.storing = None;
                // What is under way is finished first: an error of the store must not make posts be sent twice.
                self.failed = stored.and_then(|stored| self.stored(stored)).err().or(self.failed.take());
            }
            place = optional(&mut self.taking) => {
                self.taking = None;
                self.spare.extend(place);
            }
            rung = self.hold.woken(Instant::now() + LINGER), if !ending => if rung {
                self.queue.look_again();
            }
        }
    }

    fn is_ending(&self) -> bool {
        self.hold.stopping() || !self.hold.is_held() || self.failed.is_some()
    }

    /// What is not remembered, such as after a start, the log tells.
    async fn ask_the_log(&mut self) -> Result<(), StoreError> {
        self.origin = self.shop.origins.of(self.id.as_str());
        if self.shop.standings.contains_key(self.id.as_str()) && self.origin.is_some() {
            return Ok(());
        }
        let id = self.id.clone();
        let read = async move |tx: &mut Tx| {
            let Some(webhook) = tx.webhook_by_id(&id).await? else { return Ok(None) };
            let agent_key = webhook.agent_id.as_ref().map_or("", AgentId::as_str);
            let seen = tx.last_seen(&id, &webhook.account_id, agent_key).await?;
            Ok(Some((webhook.url, seen)))
        };
        if let Some((url, seen)) = self.shop.app.store.read::<_, StoreError>(read).await? {
            self.origin = Some(self.shop.origins.moved_to(self.id.as_str(), &url).0);
            self.now_stands(Standing::of(seen));
        }
        Ok(())
    }

    /// Whether it is this line's turn, as far as that depends on its server. If not, the sweep brings it again.
    fn is_admitted(&mut self) -> bool {
        if self.standing != Standing::Fresh {
            return true;
        }
        match self.origin.as_ref().map_or(Admission::Free, Origin::admit) {
            Admission::Free => true,
            Admission::Probe(probe) => {
                self.probe = Some(probe);
                true
            }
            Admission::Later => false,
            Admission::Silent => {
                self.now_stands(Standing::Failing);
                !self.shop.has_too_many_failing()
            }
        }
    }

    fn now_stands(&mut self, standing: Standing) {
        if standing != self.standing || !self.shop.standings.contains_key(self.id.as_str()) {
            self.shop.remember(self.id.as_str(), standing);
            self.standing = standing;
            // Places are of a class.
            self.spare.clear();
            self.taking = None;
            self.probe = None;
        }
    }

    /// Starts what may go and has a place. An endpoint that is not known to be well gets its place before anything
    /// is read for it, so that ten thousand dead ones hold nothing in memory while they wait.
    fn start_posts(&mut self) {
        if self.is_ending() || self.closed {
            self.spare.clear();
            self.taking = None;
            return;
        }
        let limit = self.shop.places.limit(self.standing);
        while self.posts.len() < limit && self.queue.has_ready() {
            let Some(place) = self.place() else { return };
            match (self.queue.next(), self.endpoint.clone()) {
                (Some(due), Some(endpoint)) => {
                    let more_follows = self.is_busy();
                    self.posts.push(post(self.shop, endpoint, due, place, more_follows).boxed());
                    self.has_posted = true;
                }
                _ => return,
            }
        }
        let reads_with_place = !self.standing.is_read_ahead() && self.queue.is_unread();
        if reads_with_place && self.queue.waiting() == 0 && self.posts.len() < limit && self.storing.is_none() {
            if let Some(place) = self.place() {
                self.spare.push(place);
            }
        } else if !self.queue.has_ready() && self.storing.is_none() {
            self.spare.clear();
        }
    }

    /// Whether a connection to its endpoint is worth keeping.
    fn is_busy(&self) -> bool {
        self.standing.has_taken() && (self.has_posted || self.queue.waiting() > 0)
    }

    /// A place at hand, or the wait for one begun.
    fn place(&mut self) -> Option<Place> {
        let place = self.spare.pop().or_else(|| self.shop.places.try_take(self.standing));
        if place.is_none() && self.standing == Standing::Fresh {
            self.turned_away = true;
        } else if place.is_none() && self.taking.is_none() {
            self.taking = Some(self.shop.places.take(self.standing).boxed());
        }
        place
    }

    /// Begins what the store is to do next, where it is not at something: outcomes and pages in turn.
    fn start_storing(&mut self) {
        if self.storing.is_some() {
            return;
        }
        let (app, id) = (self.shop.app.clone(), self.id.clone());
        let overtaking = self.queue.take_overtaking();
        if !overtaking.is_empty() {
            self.storing = Some(record::hold(app, id, Arc::new(overtaking)).map(|()| Ok(Stored::Held)).boxed());
            return;
        }
        let page = self.next_page();
        self.storing = if !self.ended.is_empty() && (page.is_none() || !self.recorded_last) {
            let batch = Arc::new(self.ended.drain(..self.ended.len().min(BATCH)).collect::<Vec<_>>());
            // There is an endpoint, or nothing would have been sent.
            self.endpoint.clone().map(|endpoint| {
                record::keep(app, endpoint.webhook.clone(), batch.clone()).map(|()| Ok(Stored::Kept(batch))).boxed()
            })
        } else if let Some(limit) = page {
            Some(self.read_page(limit))
        } else if self.closed && self.posts.is_empty() {
            Some(record::abandon(app, id).map(|done| Ok(Stored::Abandoned(done))).boxed())
        } else {
            None
        };
    }

    /// How many deliveries to read now, if any.
    fn next_page(&mut self) -> Option<usize> {
        if !self.queue.is_unread() || self.is_ending() || self.closed {
            return None;
        }
        if self.standing.is_read_ahead() {
            let room = NODE_WINDOW.saturating_sub(self.shop.memory.used()) / 16;
            let weight = PAGE.min(room.max(SMALLEST_PAGE));
            return (self.queue.weight() + weight <= WINDOW).then(|| self.queue.count_of(weight));
        }
        if self.spare.is_empty() || self.queue.waiting() > 0 {
            return None;
        }
        let limit = self.shop.places.limit(self.standing);
        while self.posts.len() + self.spare.len() < limit {
            match self.shop.places.try_take(self.standing) {
                Some(place) => self.spare.push(place),
                None => break,
            }
        }
        // Those under way are read again on the way to the next.
        Some(self.queue.len() + self.spare.len())
    }

    fn read_page(&mut self, limit: usize) -> BoxFuture<'static, Result<Stored, StoreError>> {
        let (app, id, after) = (self.shop.app.clone(), self.id.clone(), self.queue.begin_page());
        self.recorded_last = false;
        async move {
            let now = app.now();
            let read = async move |tx: &mut Tx| {
                let webhook = tx.webhook_by_id(&id).await?;
                let due = tx.due_deliveries(&id, after, now, limit as i64).await?;
                Ok(Stored::Page(Box::new(Page { webhook, due, limit })))
            };
            app.store.read::<_, StoreError>(read).await
        }
        .boxed()
    }

    fn stored(&mut self, stored: Stored) -> Result<(), StoreError> {
        match stored {
            Stored::Page(page) => {
                self.open(page.webhook, !page.due.is_empty())?;
                if !self.closed {
                    self.queue.admit(page.due, page.limit);
                }
            }
            Stored::Kept(batch) => {
                self.recorded_last = true;
                for one in batch.iter() {
                    self.queue.forget(&one.attempt.delivery);
                    if one.holds_lane {
                        self.queue.free(&one.lane);
                    }
                }
            }
            Stored::Held => {}
            Stored::Abandoned(Abandoning::Revived) => {
                self.closed = false;
                self.queue.look_again();
            }
            Stored::Abandoned(Abandoning::MoreWaits) => {}
            Stored::Abandoned(Abandoning::Done) => {
                self.closed = false;
                self.emptied = true;
            }
        }
        Ok(())
    }

    /// Takes the webhook as it is now: it may have been replaced, disabled or deleted since.
    fn open(&mut self, webhook: Option<Webhook>, more_waits: bool) -> Result<(), StoreError> {
        match webhook.filter(|webhook| webhook.status == WebhookStatus::Active) {
            Some(webhook) => {
                let (origin, moved) = self.shop.origins.moved_to(self.id.as_str(), &webhook.url);
                self.origin = Some(origin);
                if moved {
                    self.now_stands(Standing::Fresh);
                }
                let endpoint = Endpoint::open(&self.shop.app, webhook);
                self.endpoint = Some(Arc::new(endpoint.map_err(|error| StoreError::Corrupt(error.to_string()))?));
                self.emptied = false;
            }
            None if more_waits || !self.emptied => self.close(),
            None => {}
        }
        Ok(())
    }

    fn close(&mut self) {
        self.closed = true;
        self.queue.drop_waiting();
    }

    /// Judges a post that is over.
    fn take_in(&mut self, done: Done) {
        let Done { due, endpoint, posted } = done;
        let attempts = due.attempts + 1;
        let now = self.shop.app.now();
        if let Some(origin) = &self.origin {
            origin.was_asked(posted.http_status.is_some());
        }
        let wait = self.shop.retries.wait_after(attempts, rand::random()).filter(|_| !posted.is_gone());
        let status = match wait {
            _ if posted.is_delivered() => DeliveryStatus::Success,
            Some(_) => DeliveryStatus::Pending,
            None => DeliveryStatus::Failed,
        };
        count_attempt(status, posted.elapsed);
        // Only the first attempt holds its lane: an event that never succeeds must not stop a conversation for hours.
        let holds_lane = status == DeliveryStatus::Pending && due.attempts == 0 && self.standing.is_well();
        if holds_lane {
            self.queue.hold(&due.lane);
        } else {
            self.queue.free(&due.lane);
        }
        if posted.is_gone() {
            self.close();
        } else if posted.is_delivered() {
            self.now_stands(Standing::after(posted.elapsed));
        } else if self.standing.is_well() {
            self.now_stands(Standing::Failing);
            self.queue.drop_waiting();
        }
        let due_at = wait.map_or(now, |wait| now.plus(wait));
        if holds_lane {
            self.shop.held_lanes(self.id.as_str()).hold(&due.lane, due_at, now);
        }
        let attempt = Attempt {
            delivery: due.delivery,
            before: due.attempts,
            status,
            due_at,
            http_status: posted.http_status.map(i64::from),
            error: posted.error.clone(),
            response_body: posted.response_body.clone(),
            response_ms: posted.millis(),
            at: now,
        };
        self.ended.push(Ended { lane: due.lane, attempt, holds_lane, gone: posted.is_gone().then_some(endpoint) });
    }

    /// Waits until the line is rung or its next delivery falls due; false when the line can go.
    async fn wait_for_more(&mut self) -> Result<bool, StoreError> {
        let (app, id) = (&self.shop.app, self.id.clone());
        let next = app.store.read::<_, StoreError>(async move |tx| tx.next_delivery_due(&id).await).await?;
        let soon = next.map(|due: Timestamp| due.since(app.now())).filter(|wait| *wait <= LINGER);
        // One that is not known to be well is left to the sweep, which has the others of its kind in view.
        if soon.is_none() && !self.standing.has_taken() {
            return Ok(false);
        }
        let rung = self.hold.woken(Instant::now() + soon.unwrap_or(LINGER)).await;
        Ok(rung || soon.is_some())
    }
}

async fn post(
    shop: &DeliverWebhooks,
    endpoint: Arc<Endpoint>,
    due: DueDelivery,
    place: Place,
    more_follows: bool,
) -> Done {
    let DueDelivery { id, lane, event_type, attempts, body, .. } = due;
    let attempt = post_event::Attempt {
        delivery: &id,
        event: event_type,
        body: Bytes::from(body),
        timeout: endpoint.timeout(),
        more_follows,
    };
    let posted = endpoint.post(&shop.app, attempt).await;
    drop(place);
    Done { due: Sent { delivery: id, lane, attempts }, endpoint, posted }
}

/// The result of a future that may not be there; without one it never comes.
async fn optional<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

fn count_attempt(status: DeliveryStatus, elapsed: Duration) {
    let outcome = match status {
        DeliveryStatus::Success => "success",
        DeliveryStatus::Pending => "retry",
        DeliveryStatus::Failed => "failed",
    };
    metrics::counter!(names::WEBHOOK_DELIVERIES, "outcome" => outcome).increment(1);
    metrics::histogram!(names::WEBHOOK_ATTEMPT_SECONDS, "outcome" => outcome).record(elapsed.as_secs_f64());
}
