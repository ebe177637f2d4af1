//! Walk 1, after the commit: hands accepted messages to their carriers, in order within a conversation and in
//! parallel across.
//!
//! Claim (a transaction), then the network, then the outcome (a second transaction, which claims the message behind).
//! A claim of a hold that is over was cut off in between: its outcome is unknown, so it ends `unconfirmed` and is
//! never sent again. Only what is handed over next is claimed; what waits for its turn would be sent by whoever comes.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use offhook_carriers::Submission;
use offhook_domain::message::{Failure, SendOutcome};
use offhook_domain::{ConversationId, E164, MessageId, Timestamp};
use offhook_store::send_jobs::Waiting;
use offhook_store::{StoreError, Tx};
use tokio::sync::Semaphore;

use super::lines::{Hold, LineWork};
use super::persist::{kept_or_impossible, until_kept};
use crate::app::App;
use crate::app::record_outcome::{self, Outcome, Recorded, is_ours};
use crate::telemetry::names;

/// The most messages of one line that are in memory and not yet finished.
const WINDOW: usize = 256;
/// How long a line with nothing to do is kept, in case more comes.
const LINGER: Duration = Duration::from_secs(1);

/// The sending of messages; a line is a number's id.
pub struct SendMessages {
    app: App,
    /// Submissions under way on this node.
    places: Arc<Semaphore>,
}

impl SendMessages {
    #[must_use]
    pub fn new(app: App) -> Self {
        let places = Arc::new(Semaphore::new(app.config.sending.concurrency));
        Self { app, places }
    }
}

impl LineWork for SendMessages {
    const KIND: &'static str = "send";

    async fn due(&self, now: Timestamp) -> Result<Vec<String>, StoreError> {
        self.app.store.read(async move |tx: &mut Tx| tx.send_lines_due(now).await).await
    }

    async fn work(&self, line: &str, hold: &Hold) -> Result<(), StoreError> {
        settle_stranded(&self.app, line, hold.epoch()).await?;
        let mut worker = Line { sender: self, line, hold, queued: HashMap::new(), under_way: 0, in_doubt: false };
        worker.run().await
    }
}

/// One conversation's messages that wait for the one under way, unclaimed.
type Queues = HashMap<ConversationId, VecDeque<Waiting>>;

struct Line<'a> {
    sender: &'a SendMessages,
    line: &'a str,
    hold: &'a Hold,
    /// An entry for each conversation with a message under way.
    queued: Queues,
    under_way: usize,
    /// Whether a claim's commit was not answered.
    in_doubt: bool,
}

/// A message that went, and what became of it.
struct Sent {
    job: Waiting,
    /// `None` where it was not handed over after all.
    outcome: Option<SendOutcome>,
}

/// Outcomes that are kept, and what they led to.
struct Settled {
    conversations: Vec<ConversationId>,
    recorded: Recorded,
}

impl Line<'_> {
    async fn run(&mut self) -> Result<(), StoreError> {
        let mut sending = FuturesUnordered::new();
        // Outcomes are recorded while further messages go: the next record takes all that came meanwhile.
        let mut done: Vec<Sent> = Vec::new();
        let mut recording = FuturesUnordered::new();
        loop {
            for first in self.claim_more().await {
                sending.push(self.sender.submit(first, self.hold));
            }
            if recording.is_empty() && !done.is_empty() {
                let outcomes = std::mem::take(&mut done).into_iter().map(|sent| self.outcome(sent)).collect();
                recording.push(self.sender.record(outcomes, self.hold));
            }
            if sending.is_empty() && recording.is_empty() {
                self.clear_doubt().await;
                if self.is_ending() || !self.wait_for_more().await? {
                    return Ok(());
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
                        sending.push(self.sender.submit(next, self.hold));
                    }
                }
                // A slow carrier holds back its own conversation only: look for others meanwhile.
                _ = self.hold.woken(Instant::now() + LINGER), if !self.is_ending() => {}
            }
        }
    }

    fn is_ending(&self) -> bool {
        self.hold.stopping() || !self.hold.is_held()
    }

    /// Takes in what there is room for; the messages that can go at once, claimed.
    async fn claim_more(&mut self) -> Vec<Waiting> {
        let mut ready = Vec::new();
        while self.under_way <= WINDOW / 2 && !self.is_ending() && !self.in_doubt {
            // An error must not drop what is under way: it is tried again after that, or by the sweep.
            let (heads, behind) = self.claim(WINDOW - self.under_way).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "claiming messages failed");
                self.in_doubt = matches!(error, StoreError::Unknown(_));
                Default::default()
            });
            if heads.is_empty() && behind.is_empty() {
                break;
            }
            self.under_way += heads.len() + behind.len();
            for head in &heads {
                self.queued.insert(head.conversation_id.clone(), VecDeque::new());
            }
            for job in behind {
                self.queued.entry(job.conversation_id.clone()).or_default().push_back(job);
            }
            ready.extend(heads);
        }
        ready
    }

    /// A claim whose commit was not answered may have been kept. Nothing is claimed until all that is under way has
    /// ended; then whatever is still claimed here is in nobody's memory, and waits again.
    async fn clear_doubt(&mut self) {
        if std::mem::take(&mut self.in_doubt) {
            let store = &self.sender.app.store;
            until_kept("claims in doubt", || {
                let (line, epoch) = (self.line.to_owned(), self.hold.epoch());
                store.write(async move |tx: &mut Tx| tx.unclaim_line(&line, epoch).await)
            })
            .await;
        }
    }

    /// The messages that can go now that those before them are recorded.
    fn move_up(&mut self, settled: Settled) -> Vec<Waiting> {
        self.under_way -= settled.conversations.len();
        let mut ready = Vec::new();
        for conversation in settled.conversations {
            let Some(mut queue) = self.queued.remove(&conversation) else { continue };
            if queue.front().is_some_and(|next| settled.recorded.claimed.contains(&next.message_id)) {
                ready.extend(queue.pop_front());
                self.queued.insert(conversation, queue);
            } else {
                // They wait with the one that was put back, or came meanwhile: they will be looked for again.
                self.under_way -= queue.len();
            }
        }
        ready
    }

    /// Due messages that are not in memory yet: the first of each idle conversation, claimed, and those behind
    /// others.
    async fn claim(&self, room: usize) -> Result<(Vec<Waiting>, Vec<Waiting>), StoreError> {
        let (line, epoch, now) = (self.line.to_owned(), self.hold.epoch(), self.sender.app.now());
        let busy: HashSet<ConversationId> = self.queued.keys().cloned().collect();
        let known: HashSet<MessageId> = self.queued.values().flatten().map(|job| job.message_id.clone()).collect();
        let limit = (room + known.len()) as i64;
        let (store, lease) = (&self.sender.app.store, self.hold.lease().cloned());
        store
            .write(async move |tx: &mut Tx| {
                if !is_ours(tx, lease.as_ref(), epoch).await? {
                    return Ok(Default::default());
                }
                let mut waiting = tx.waiting_sends(&line, now, limit).await?;
                waiting.retain(|job| !known.contains(&job.message_id));
                let mut taken = busy.clone();
                let (heads, behind): (Vec<_>, Vec<_>) =
                    waiting.into_iter().partition(|job| taken.insert(job.conversation_id.clone()));
                let ids: Vec<_> = heads.iter().map(|job| &job.message_id).collect();
                let mut claims = tx.claim_send_jobs(&ids, epoch).await?.into_iter();
                let heads: Vec<_> = heads.into_iter().filter(|_| claims.next() == Some(true)).collect();
                let led: HashSet<_> = heads.iter().map(|job| &job.conversation_id).chain(&busy).collect();
                let behind = behind.into_iter().filter(|job| led.contains(&job.conversation_id)).collect();
                Ok((heads, behind))
            })
            .await
    }

    fn outcome(&self, Sent { job, outcome }: Sent) -> Outcome {
        let next = self.queued.get(&job.conversation_id).and_then(VecDeque::front).filter(|_| !self.is_ending());
        Outcome {
            next: next.map(|next| next.message_id.clone()),
            message_id: job.message_id,
            conversation_id: job.conversation_id,
            from: job.from,
            to: job.to,
            carrier: job.carrier,
            attempts: job.attempts,
            accepted_at: job.at,
            outcome,
        }
    }

    /// Waits until the line is rung or its next message falls due; false when the line can go.
    async fn wait_for_more(&self) -> Result<bool, StoreError> {
        let app = &self.sender.app;
        let line = self.line.to_owned();
        let next = app.store.read::<_, StoreError>(async move |tx| tx.next_send_due(&line).await).await?;
        let soon = next.map(|due| due.since(app.now())).filter(|wait| *wait <= LINGER);
        let rung = self.hold.woken(Instant::now() + soon.unwrap_or(LINGER)).await;
        Ok(rung || soon.is_some())
    }
}

impl SendMessages {
    /// Records outcomes in one transaction, however long the database is away. One that can't be kept ends
    /// unconfirmed, so that it does not stop the others.
    async fn record(&self, outcomes: Vec<Outcome>, hold: &Hold) -> Settled {
        let conversations = outcomes.iter().map(|outcome| outcome.conversation_id.clone()).collect();
        let (epoch, lease) = (hold.epoch(), hold.lease());
        let keep = async |some: &[Outcome]| {
            kept_or_impossible("outcomes of sends", || record_outcome::record(&self.app, some, epoch, lease)).await
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

    async fn submit(&self, job: Waiting, hold: &Hold) -> Sent {
        let outcome = match self.places.acquire().await {
            Ok(_place) if hold.is_held() => self.hand_over(&job, hold.until()).await,
            _ => return Sent { job, outcome: None },
        };
        metrics::counter!(
            names::CARRIER_OUTCOMES,
            "carrier" => job.carrier.clone(), "outcome" => outcome_name(&outcome)
        )
        .increment(1);
        Sent { job, outcome: Some(outcome) }
    }

    async fn hand_over(&self, job: &Waiting, until: Option<Instant>) -> SendOutcome {
        if !job.number_active {
            // Somebody else may have it by now: their number must not say our customer's words.
            return SendOutcome::Refused(Failure::new(
                "30004",
                "the number was released before the message could be sent",
            ));
        }
        let Some(carrier) = self.app.carriers.named(&job.carrier) else {
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
            media_urls: job.media_urls.clone(),
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
        let stranded = app
            .store
            .read::<_, StoreError>(async move |tx| tx.stranded_sends(&name, epoch, WINDOW as i64).await)
            .await?;
        if stranded.is_empty() {
            return Ok(());
        }
        tracing::warn!(line, count = stranded.len(), "sends were cut off; they end unconfirmed");
        record_outcome::settle_unknown(app, stranded).await?;
    }
}
