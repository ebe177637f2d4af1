//! Walk 1, after the commit: hands accepted messages to their carriers, in order within a conversation and in
//! parallel across.
//!
//! Claim (a transaction), then the network, then the outcome (a second transaction). A claim of a hold that is
//! over was cut off in between: its outcome is unknown, so it ends `unconfirmed` and is never sent again.

use std::collections::HashMap;
use std::collections::VecDeque;
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
use super::persist::until_kept;
use crate::app::App;
use crate::app::record_outcome::{self, Outcome};
use crate::telemetry::names;

/// The most messages of one line that are claimed and not yet finished.
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
        let mut worker = Line { sender: self, line, hold, queued: HashMap::new(), under_way: 0 };
        worker.run().await
    }
}

/// One conversation's messages that are claimed and wait for the one under way.
type Queues = HashMap<ConversationId, VecDeque<Waiting>>;

struct Line<'a> {
    sender: &'a SendMessages,
    line: &'a str,
    hold: &'a Hold,
    /// An entry for each conversation with a message under way.
    queued: Queues,
    under_way: usize,
}

/// A message that went, and what became of it.
struct Sent {
    job: Waiting,
    outcome: SendOutcome,
}

impl From<Sent> for Outcome {
    fn from(Sent { job, outcome }: Sent) -> Self {
        Self {
            message_id: job.message_id,
            conversation_id: job.conversation_id,
            carrier: job.carrier,
            attempts: job.attempts,
            accepted_at: job.at,
            outcome,
        }
    }
}

/// Messages whose outcome is kept, by their conversations.
struct Recorded {
    conversations: Vec<ConversationId>,
    /// Those whose message will be tried again.
    put_back: Vec<ConversationId>,
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
                recording.push(self.sender.record(std::mem::take(&mut done), self.hold.epoch()));
            }
            if sending.is_empty() && recording.is_empty() {
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
                Some(recorded) = recording.next() => {
                    for next in self.move_up(recorded).await {
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

    /// Claims what there is room for; the messages that can go at once.
    async fn claim_more(&mut self) -> Vec<Waiting> {
        let mut ready = Vec::new();
        while self.under_way <= WINDOW / 2 && !self.is_ending() {
            // An error must not drop what is under way: it is tried again after that, or by the sweep.
            let claimed = self.claim(WINDOW - self.under_way).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "claiming messages failed");
                Vec::new()
            });
            if claimed.is_empty() {
                break;
            }
            self.under_way += claimed.len();
            ready.extend(claimed.into_iter().filter_map(|job| self.enqueue(job)));
        }
        ready
    }

    /// The messages that can go now that those before them are recorded.
    async fn move_up(&mut self, recorded: Recorded) -> Vec<Waiting> {
        self.under_way -= recorded.conversations.len();
        let mut ready = Vec::new();
        for conversation in recorded.conversations {
            if recorded.put_back.contains(&conversation) {
                self.give_up_queue(&conversation).await;
            } else {
                ready.extend(self.next_of(&conversation));
            }
        }
        ready
    }

    async fn claim(&self, room: usize) -> Result<Vec<Waiting>, StoreError> {
        let (line, epoch, now) = (self.line.to_owned(), self.hold.epoch(), self.sender.app.now());
        let limit = room as i64;
        self.sender.app.store.write(async move |tx: &mut Tx| tx.claim_send_jobs(&line, epoch, now, limit).await).await
    }

    /// Gives the job back where its conversation has none under way.
    fn enqueue(&mut self, job: Waiting) -> Option<Waiting> {
        match self.queued.get_mut(&job.conversation_id) {
            Some(queue) => {
                queue.push_back(job);
                None
            }
            None => {
                self.queued.insert(job.conversation_id.clone(), VecDeque::new());
                Some(job)
            }
        }
    }

    fn next_of(&mut self, conversation: &ConversationId) -> Option<Waiting> {
        let next = self.queued.get_mut(conversation)?.pop_front();
        if next.is_none() {
            self.queued.remove(conversation);
        }
        next
    }

    /// The messages behind one that is put back go back too, in their order.
    async fn give_up_queue(&mut self, conversation: &ConversationId) {
        let queue = self.queued.remove(conversation).unwrap_or_default();
        self.under_way -= queue.len();
        let ids: Vec<MessageId> = queue.into_iter().map(|job| job.message_id).collect();
        if ids.is_empty() {
            return;
        }
        let (store, epoch) = (&self.sender.app.store, self.hold.epoch());
        until_kept("claims given up", || {
            let ids = ids.clone();
            store.write(async move |tx: &mut Tx| {
                for id in &ids {
                    tx.unclaim_send_job(id, epoch).await?;
                }
                Ok(())
            })
        })
        .await;
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
    /// Records outcomes in one transaction, however long the database is away.
    async fn record(&self, done: Vec<Sent>, epoch: i64) -> Recorded {
        let conversations = done.iter().map(|sent| sent.job.conversation_id.clone()).collect();
        let outcomes: Vec<_> = done.into_iter().map(Outcome::from).collect();
        let put_back = until_kept("outcomes of sends", || record_outcome::record(&self.app, &outcomes, epoch)).await;
        Recorded { conversations, put_back }
    }

    async fn submit(&self, job: Waiting, hold: &Hold) -> Sent {
        let outcome = match self.places.acquire().await {
            // A node that lost the line while it waited has not sent, but the next holder can't know.
            Ok(_place) if hold.is_held() => self.hand_over(&job).await,
            _ => SendOutcome::Unknown(failure("30001", "the sending was interrupted")),
        };
        metrics::counter!(
            names::CARRIER_OUTCOMES,
            "carrier" => job.carrier.clone(), "outcome" => outcome_name(&outcome)
        )
        .increment(1);
        Sent { job, outcome }
    }

    async fn hand_over(&self, job: &Waiting) -> SendOutcome {
        let Some(carrier) = self.app.carriers.named(&job.carrier) else {
            return SendOutcome::NotTaken(failure("30002", "the number's carrier is not configured here"));
        };
        let Ok(from) = E164::parse(&job.from) else {
            return SendOutcome::Refused(failure("21212", "the sending number is not a phone number"));
        };
        let submission = Submission {
            message_id: job.message_id.clone(),
            from,
            to: job.to.clone(),
            body: job.body.clone(),
            media_urls: job.media_urls.clone(),
            attempt: u32::try_from(job.attempts).unwrap_or(u32::MAX),
        };
        let asked = Instant::now();
        let answer = tokio::time::timeout(self.app.config.sending.submit_timeout, carrier.send(&submission)).await;
        metrics::histogram!(names::CARRIER_CALL_SECONDS, "carrier" => carrier.name(), "operation" => "send")
            .record(asked.elapsed().as_secs_f64());
        answer.unwrap_or_else(|_| SendOutcome::Unknown(failure("30001", "the carrier did not answer in time")))
    }
}

fn failure(code: &str, reason: &str) -> Failure {
    Failure { code: code.to_owned(), reason: reason.to_owned() }
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
