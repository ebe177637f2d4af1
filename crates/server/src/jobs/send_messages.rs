//! Walk 1, after the commit: hands accepted messages to their carriers, in order within a conversation and in
//! parallel across.
//!
//! Claim (a transaction), then the network, then the outcome (a second transaction, which claims the message behind).
//! A claim of a hold that is over was cut off in between: its outcome is unknown, so it ends `unconfirmed` and is
//! never sent again. Only what is handed over next is claimed; what waits for its turn would be sent by whoever comes.

mod looks;
mod queue;
mod shaped;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use offhook_carriers::Submission;
use offhook_domain::message::{Failure, SendOutcome};
use offhook_domain::{ConversationId, E164, MessageId, Timestamp};
use offhook_store::send_jobs::Waiting;
use offhook_store::{StoreError, Tx};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::looks::{Looks, looks};
use self::queue::{Found, Look, OF_ONE, Page, Queue};
use self::shaped::{Gate, Shaped};
use super::lines::{Hold, LineWork};
use super::persist::{kept_or_impossible, until_kept};
use crate::app::App;
use crate::app::carrier_health;
use crate::app::media::{self, ForCarrier};
use crate::app::opt_outs;
use crate::app::record_outcome::{self, Outcome, Recorded, Recording, Recordings, is_ours};
use crate::telemetry::names;

/// How many sends that were cut off are ended in one transaction.
const STRANDED: i64 = 256;
/// How long a line with nothing to do is kept, in case more comes; and how often a busy one looks for what fell due.
const LINGER: Duration = Duration::from_secs(1);
/// The most looks into the store before what is under way is attended to.
const LOOKS: usize = 4;
/// After a look that failed: the first wait, and the longest.
const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(2);

/// The sending of messages; a line is a number's id.
pub struct SendMessages {
    app: App,
    /// Submissions under way on this node, by the carrier's name: one that hangs takes no other's places.
    places: Mutex<HashMap<String, Arc<Semaphore>>>,
    /// Of limited lines: their looks, what they have to record, and the door they all go through.
    looks: Arc<Looks>,
    recordings: Arc<Recordings>,
    gate: Gate,
}

impl SendMessages {
    #[must_use]
    pub fn new(app: App) -> Self {
        let (looks, recordings, gate) = (looks(), record_outcome::recordings(), Gate::new());
        Self { app, places: Mutex::default(), looks, recordings, gate }
    }

    fn places_at(&self, carrier: &str) -> Arc<Semaphore> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = places.get(carrier) {
            return known.clone();
        }
        let made = Arc::new(Semaphore::new(self.app.config.sending.concurrency));
        places.insert(carrier.to_owned(), made.clone());
        made
    }
}

impl LineWork for SendMessages {
    const KIND: &'static str = "send";

    async fn due(&self, now: Timestamp) -> Result<Vec<String>, StoreError> {
        self.app.store.read(async move |tx: &mut Tx| tx.send_lines_due(now).await).await
    }

    async fn work(&self, line: &str, hold: &Hold) -> Result<(), StoreError> {
        settle_stranded(&self.app, line, hold.epoch()).await?;
        // Where each number has a limit of its own there is no other way.
        let shaping = &self.app.config.shaping;
        let mut is_shaped = !(shaping.number.is_none() && shaping.carrier.is_none());
        loop {
            let ended = if is_shaped {
                Shaped::new(self, line, hold).run().await?
            } else {
                Line::new(self, line, hold).run().await?
            };
            match ended {
                Ended::Done => return Ok(()),
                Ended::OtherWay => is_shaped = !is_shaped,
            }
        }
    }
}

/// How the work on a line ended.
enum Ended {
    Done,
    /// A campaign limits its messages by now, or none does any more.
    OtherWay,
}

struct Line<'a> {
    sender: &'a SendMessages,
    line: &'a str,
    hold: &'a Hold,
    queue: Queue,
    looked: Instant,
    /// There is more to look for at once.
    unfinished: bool,
    /// The last look failed.
    rest: Option<Rest>,
    /// Whether a claim's commit was not answered.
    in_doubt: bool,
    /// A message was found that is limited: it is not for here to send it.
    is_limited: bool,
}

/// A store that failed is not asked again at once: it would be asked as fast as it can refuse.
struct Rest {
    until: Instant,
    length: Duration,
}

/// A message that went, and what became of it.
struct Sent {
    job: Waiting,
    /// The carrier that was asked last.
    asked: String,
    /// What that one said; `None` where it was not handed over after all.
    outcome: Option<SendOutcome>,
}

impl Sent {
    fn not_asked(job: Waiting) -> Self {
        Self { asked: job.carrier.clone(), job, outcome: None }
    }
}

/// A place among those that a carrier has for messages under way.
struct Place {
    carrier: String,
    permit: OwnedSemaphorePermit,
}

/// Whether one that is left alone for its ill health is asked all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// There are others.
    Other,
    None,
}

/// Outcomes that are kept, and what they led to.
struct Settled {
    conversations: Vec<ConversationId>,
    recorded: Recorded,
}

impl<'a> Line<'a> {
    fn new(sender: &'a SendMessages, line: &'a str, hold: &'a Hold) -> Self {
        let (queue, looked) = (Queue::default(), Instant::now());
        Self { sender, line, hold, queue, looked, unfinished: false, rest: None, in_doubt: false, is_limited: false }
    }

    async fn run(&mut self) -> Result<Ended, StoreError> {
        // A number whose receivers all hang leaves the others some places.
        let places = Semaphore::new(self.sender.app.config.sending.concurrency.div_ceil(2));
        let mut sending = FuturesUnordered::new();
        // Outcomes are recorded while further messages go: the next record takes all that came meanwhile.
        let mut done: Vec<Sent> = Vec::new();
        let mut recording = FuturesUnordered::new();
        loop {
            for first in self.claim_more().await {
                sending.push(self.sender.submit(first, self.hold, &places));
            }
            if recording.is_empty() && !done.is_empty() {
                let outcomes = std::mem::take(&mut done).into_iter().map(|sent| self.outcome(sent)).collect();
                recording.push(self.sender.record(outcomes, self.hold, false));
            }
            if sending.is_empty() && recording.is_empty() {
                self.clear_doubt().await;
                if self.is_limited {
                    return Ok(Ended::OtherWay);
                }
                if self.is_ending() || !self.wait_for_more().await? {
                    return Ok(Ended::Done);
                }
                continue;
            }
            tokio::select! {
                Some(sent) = sending.next() => {
                    done.push(sent);
                    while let Some(Some(sent)) = sending.next().now_or_never() {
                        done.push(sent);
                    }
                }
                Some(settled) = recording.next() => {
                    for next in self.move_up(settled) {
                        sending.push(self.sender.submit(next, self.hold, &places));
                    }
                }
                // A slow carrier holds back its own conversation only: look for others meanwhile.
                rung = self.hold.woken(self.next_look()), if !self.is_ending() => {
                    if rung || self.looked.elapsed() >= LINGER {
                        self.queue.look_again();
                    }
                }
            }
        }
    }

    fn is_ending(&self) -> bool {
        self.hold.stopping() || !self.hold.is_held()
    }

    /// When to look for more at the latest.
    fn next_look(&self) -> Instant {
        match &self.rest {
            // Until all that is under way has ended.
            _ if self.in_doubt => self.looked + LINGER,
            Some(rest) => rest.until,
            None if self.unfinished => Instant::now(),
            None => self.looked + LINGER,
        }
    }

    /// Takes in what there is room for; the messages that can go at once, claimed.
    async fn claim_more(&mut self) -> Vec<Waiting> {
        let mut ready = Vec::new();
        self.unfinished = false;
        // What fell due meanwhile is not rung for, and may not wait until there is a lot of room.
        let hurry = self.looked.elapsed() >= LINGER;
        if hurry {
            // Where there is no room at all it looks in vain, and not again at once.
            self.looked = Instant::now();
        }
        if self.rest.as_ref().is_some_and(|rest| Instant::now() < rest.until) {
            return ready;
        }
        for _ in 0..LOOKS {
            if self.is_ending() || self.in_doubt || self.is_limited {
                return ready;
            }
            let Some(look) = self.queue.next_look(hurry) else {
                self.rest = None;
                return ready;
            };
            match self.claim(look.clone()).await {
                Ok(found) => {
                    self.looked = Instant::now();
                    self.rest = None;
                    self.is_limited = found.is_limited;
                    ready.extend(found.heads.iter().cloned());
                    self.queue.admit(&look.page, found);
                }
                // An error must not drop what is under way: it is tried again after that, or by the sweep.
                Err(error) => {
                    let length = self.rest.take().map_or(FIRST_REST, |rest| (rest.length * 2).min(LONGEST_REST));
                    tracing::warn!(%error, "claiming messages failed; tried again in {length:?}");
                    self.in_doubt = matches!(error, StoreError::Unknown(_));
                    self.rest = Some(Rest { until: Instant::now() + length, length });
                    return ready;
                }
            }
        }
        self.unfinished = true;
        ready
    }

    /// A claim whose commit was not answered may have been kept. Nothing is claimed until all that is under way has
    /// ended; then whatever is still claimed here is in nobody's memory, and waits again.
    async fn clear_doubt(&mut self) {
        if std::mem::take(&mut self.in_doubt) {
            self.sender.unclaim(self.line, self.hold).await;
            self.queue.look_again();
        }
    }

    /// The messages that can go now that those before them are recorded.
    fn move_up(&mut self, settled: Settled) -> Vec<Waiting> {
        let claimed: HashSet<MessageId> = settled.recorded.claimed.into_iter().collect();
        let conversations = settled.conversations.into_iter();
        conversations.filter_map(|conversation| self.queue.move_up(conversation, |id| claimed.contains(id))).collect()
    }

    /// Looks for due messages, and claims the first of each idle conversation.
    async fn claim(&self, look: Look) -> Result<Found, StoreError> {
        let (line, epoch, now) = (self.line.to_owned(), self.hold.epoch(), self.sender.app.now());
        let (store, lease) = (&self.sender.app.store, self.hold.lease().cloned());
        store
            .write(async move |tx: &mut Tx| {
                if !is_ours(tx, lease.as_ref(), epoch).await? {
                    return Ok(Found::default());
                }
                let (mut found, waiting) = read(tx, &line, now, &look).await?;
                if waiting.iter().chain(&found.behind).any(|job| job.campaign.is_some()) {
                    return Ok(Found { is_limited: true, ..Found::default() });
                }
                let mut taken = look.busy.clone();
                let (mut firsts, behind): (Vec<_>, Vec<_>) =
                    waiting.into_iter().partition(|job| taken.insert(job.conversation_id.clone()));
                found.page_is_full |= firsts.len() > look.room;
                firsts.truncate(look.room);
                let ids: Vec<_> = firsts.iter().map(|job| &job.message_id).collect();
                let mut claims = tx.claim_send_jobs(&ids, epoch).await?.into_iter();
                found.heads = firsts.into_iter().filter(|_| claims.next() == Some(true)).collect();
                found.behind.extend(behind);
                Ok(found)
            })
            .await
    }

    fn outcome(&self, sent: Sent) -> Outcome {
        let next = self.queue.behind(&sent.job.conversation_id).filter(|_| !self.is_ending() && !self.is_limited);
        let (next, accepted_at) = (next.map(|next| next.message_id.clone()), sent.job.at);
        outcome_of(sent, accepted_at, next)
    }

    /// Waits until the line is rung or its next message falls due; false when the line can go.
    async fn wait_for_more(&mut self) -> Result<bool, StoreError> {
        if self.rest.is_some() || self.unfinished {
            self.hold.woken(self.next_look()).await;
            return Ok(true);
        }
        let app = &self.sender.app;
        let line = self.line.to_owned();
        let next = app.store.read::<_, StoreError>(async move |tx| tx.next_send_due(&line).await).await?;
        let soon = next.map(|due| due.since(app.now())).filter(|wait| *wait <= LINGER);
        let rung = self.hold.woken(Instant::now() + soon.unwrap_or(LINGER)).await;
        self.queue.look_again();
        Ok(rung || soon.is_some())
    }
}

/// What is to be recorded of a message that was to be tried since then.
fn outcome_of(Sent { job, asked, outcome }: Sent, tried_since: Timestamp, next: Option<MessageId>) -> Outcome {
    Outcome {
        next,
        message_id: job.message_id,
        conversation_id: job.conversation_id,
        from: job.from,
        to: job.to,
        is_rerouted: asked != job.carrier,
        carrier: asked,
        attempts: job.attempts,
        tried_since,
        outcome,
    }
}

/// Reads what a look asks for. What is behind messages that are known is in `Found` already.
async fn read(tx: &mut Tx, line: &str, now: Timestamp, look: &Look) -> Result<(Found, Vec<Waiting>), StoreError> {
    let mut found = Found::default();
    for again in &look.again {
        let more = tx.waiting_sends_of(line, &again.conversation, now, again.limit as i64).await?;
        found.read.push((again.conversation.clone(), more.len() >= again.limit));
        found.behind.extend(more);
    }
    let mut waiting = Vec::new();
    match &look.page {
        Page::Nothing => {}
        Page::Oldest { limit } => {
            waiting = tx.waiting_sends(line, now, *limit as i64).await?;
            found.page_is_full = waiting.len() >= *limit;
        }
        Page::InTurn { after, limit } => {
            let passed = tx.conversations_sending(line, after, *limit as i64).await?;
            found.page_is_full = passed.len() >= *limit;
            found.read.extend(passed.iter().filter(|id| look.busy.contains(id)).map(|id| (id.clone(), true)));
            for id in passed.iter().filter(|id| !look.busy.contains(id)) {
                let of_one = tx.waiting_sends_of(line, id, now, OF_ONE as i64).await?;
                found.read.push((id.clone(), of_one.len() >= OF_ONE));
                waiting.extend(of_one);
            }
            found.last = passed.into_iter().next_back();
        }
    }
    Ok((found, waiting))
}

impl SendMessages {
    /// Gives up whatever is claimed of a line, however long the database is away: it waits again.
    async fn unclaim(&self, line: &str, hold: &Hold) {
        until_kept("claims in doubt", || {
            let (line, epoch) = (line.to_owned(), hold.epoch());
            self.app.store.write(async move |tx: &mut Tx| tx.unclaim_line(&line, epoch).await)
        })
        .await;
    }

    /// Records outcomes in one transaction, however long the database is away. One that can't be kept ends
    /// unconfirmed, so that it does not stop the others. `together` with those of other lines, where they come at once.
    async fn record(&self, outcomes: Vec<Outcome>, hold: &Hold, together: bool) -> Settled {
        let conversations = outcomes.iter().map(|outcome| outcome.conversation_id.clone()).collect();
        let epoch = hold.epoch();
        let keep = async |some: &[Outcome]| {
            let record = || async {
                let (outcomes, lease) = (some.to_vec(), hold.lease().cloned());
                let recording = Recording { app: self.app.clone(), outcomes, epoch, lease };
                if together {
                    record_outcome::record_together(&self.recordings, recording).await
                } else {
                    record_outcome::record(recording).await
                }
            };
            kept_or_impossible("outcomes of sends", record).await
        };
        if let Ok(recorded) = keep(&outcomes).await {
            return Settled { conversations, recorded };
        }
        let mut recorded = Recorded::default();
        for outcome in &outcomes {
            match keep(std::slice::from_ref(outcome)).await {
                Ok(one) => {
                    recorded.held.extend(one.held);
                    recorded.claimed.extend(one.claimed);
                }
                Err(error) => {
                    tracing::error!(%error, message = %outcome.message_id, "an outcome can't be kept; it ends unconfirmed");
                    let lost = vec![(outcome.message_id.clone(), epoch)];
                    until_kept("a lost outcome", || record_outcome::settle_unknown(&self.app, lost.clone())).await;
                }
            }
        }
        Settled { conversations, recorded }
    }

    /// Hands a message over once its number has a place for it.
    async fn submit(&self, job: Waiting, hold: &Hold, of_number: &Semaphore) -> Sent {
        let Ok(_place) = of_number.acquire().await else { return Sent::not_asked(job) };
        self.submit_now(job, hold, None).await
    }

    /// Hands a message over by the first of its routes that takes it, unless the line is lost. `place`, where there has been
    /// waited for one at a carrier.
    async fn submit_now(&self, job: Waiting, hold: &Hold, mut place: Option<Place>) -> Sent {
        let media_urls = match self.files_of(&job).await {
            Ok(media_urls) => media_urls,
            Err(outcome) => return self.nobody_asked(job, outcome),
        };
        carrier_health::look_for_drains(&self.app).await;
        let routes = carrier_health::routes(&self.app, &job);
        let Some(best) = routes.first() else {
            let nobody = SendOutcome::NotTaken(Failure::new("30002", "the number's carrier is not configured here"));
            return self.nobody_asked(job, nobody);
        };
        let mut sent = Sent::not_asked(job);
        for carrier in &routes {
            // A place is held at one carrier only, or two that stand in for each other would wait for each other.
            let place = place.take().filter(|place| place.carrier == *carrier);
            if !self.ask(&mut sent, carrier, &media_urls, hold, place, Choice::Other).await {
                return sent;
            }
        }
        // All are left alone, and so they were not asked: it has no choice.
        if sent.outcome.is_none() {
            self.ask(&mut sent, best, &media_urls, hold, None, Choice::None).await;
        }
        sent
    }

    /// Where its files are for a carrier; what becomes of a message that no carrier is asked to take.
    async fn files_of(&self, job: &Waiting) -> Result<Vec<String>, SendOutcome> {
        if let Some(refused) = refused_here(job) {
            return Err(refused);
        }
        match media::for_carrier(&self.app, &job.message_id, &job.media_urls).await {
            Ok(ForCarrier::Urls(urls)) => Ok(urls),
            Ok(ForCarrier::Missing(failure)) => Err(SendOutcome::Refused(failure)),
            Ok(ForCarrier::Waits) | Err(_) => {
                Err(SendOutcome::NotTaken(Failure::new("11200", "its files could not be fetched in time")))
            }
        }
    }

    fn nobody_asked(&self, job: Waiting, outcome: SendOutcome) -> Sent {
        self.count(&job.carrier, &outcome);
        Sent { asked: job.carrier.clone(), job, outcome: Some(outcome) }
    }

    /// Asks a carrier to take a message, once it has a place for it; whether another may be asked.
    async fn ask(
        &self,
        sent: &mut Sent,
        carrier: &str,
        media_urls: &[String],
        hold: &Hold,
        place: Option<Place>,
        choice: Choice,
    ) -> bool {
        let at_carrier = self.places_at(carrier);
        let _place = match place {
            Some(place) => place.permit,
            None => match at_carrier.acquire_owned().await {
                Ok(permit) => permit,
                Err(_) => return false,
            },
        };
        if !hold.is_held() {
            return false;
        }
        if choice == Choice::Other && !self.app.health.admits(carrier, self.app.now()) {
            return true;
        }
        let asked_at = self.app.now();
        let outcome = self.hand_over(&sent.job, carrier, media_urls, hold.until()).await;
        self.count(carrier, &outcome);
        let is_well = matches!(outcome, SendOutcome::Accepted { .. } | SendOutcome::Refused(_));
        self.app.health.hear(carrier, asked_at, self.app.now(), is_well);
        if sent.job.carrier != carrier && matches!(outcome, SendOutcome::Accepted { .. }) {
            let (from, to) = (sent.job.carrier.clone(), carrier.to_owned());
            metrics::counter!(names::CARRIER_FAILOVERS, "from" => from, "to" => to).increment(1);
        }
        // Only a message that it certainly does not have may go by another.
        let may_go_on = matches!(outcome, SendOutcome::NotTaken(_));
        (sent.asked, sent.outcome) = (carrier.to_owned(), Some(outcome));
        may_go_on
    }

    fn count(&self, carrier: &str, outcome: &SendOutcome) {
        let (carrier, outcome) = (carrier.to_owned(), outcome_name(outcome));
        metrics::counter!(names::CARRIER_OUTCOMES, "carrier" => carrier, "outcome" => outcome).increment(1);
    }

    async fn hand_over(
        &self,
        job: &Waiting,
        carrier: &str,
        media_urls: &[String],
        until: Option<Instant>,
    ) -> SendOutcome {
        let Some(carrier) = self.app.carriers.named(carrier) else {
            return SendOutcome::NotTaken(Failure::new("30002", "the number's carrier is not configured here"));
        };
        let Ok(from) = E164::parse(&job.from) else {
            return SendOutcome::Refused(Failure::new("21212", "the sending number is not a phone number"));
        };
        let submission = Submission {
            message_id: job.message_id.clone(),
            from,
            to: job.to.clone(),
            body: job.body.clone(),
            media_urls: media_urls.to_vec(),
            attempt: u32::try_from(job.attempts).unwrap_or(u32::MAX),
            until,
        };
        let asked = Instant::now();
        let answer = tokio::time::timeout(self.app.config.sending.submit_timeout, carrier.send(&submission)).await;
        metrics::histogram!(names::CARRIER_CALL_SECONDS, "carrier" => carrier.name(), "operation" => "send")
            .record(asked.elapsed().as_secs_f64());
        answer.unwrap_or_else(|_| SendOutcome::Unknown(Failure::new("30001", "the carrier did not answer in time")))
    }
}

/// Why no carrier is asked to take a message, where none is.
fn refused_here(job: &Waiting) -> Option<SendOutcome> {
    if !job.number_active {
        // Somebody else may have it by now: their number must not say our customer's words.
        let why = "the number was released before the message could be sent";
        return Some(SendOutcome::Refused(Failure::new("30004", why)));
    }
    job.opted_out.then(|| SendOutcome::Refused(opt_outs::left_alone()))
}

fn outcome_name(outcome: &SendOutcome) -> &'static str {
    match outcome {
        SendOutcome::Accepted { .. } => "accepted",
        SendOutcome::Refused(_) => "refused",
        SendOutcome::NotTaken(_) => "not_taken",
        SendOutcome::Unknown(_) => "unknown",
    }
}

/// Ends what an earlier holder of the line left between its claim and its outcome.
async fn settle_stranded(app: &App, line: &str, epoch: i64) -> Result<(), StoreError> {
    loop {
        let name = line.to_owned();
        let stranded =
            app.store.read::<_, StoreError>(async move |tx| tx.stranded_sends(&name, epoch, STRANDED).await).await?;
        if stranded.is_empty() {
            return Ok(());
        }
        tracing::warn!(line, count = stranded.len(), "sends were cut off; they end unconfirmed");
        record_outcome::settle_unknown(app, stranded).await?;
    }
}
