//! A line whose messages may go only so fast, or only so many a day: each goes in a slot of its own.
//!
//! Slots are taken in the transaction in which messages are claimed, and a message is claimed shortly before its slot and not
//! without one. Slots that are further ahead are kept here like a ticket in a queue: so all numbers of a campaign have
//! their turn. What a crash, a stop or a lost lease leaves unused is lost, and never used by anybody.
//!
//! Conversations have their turn too, one message each, in the order of their ids.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use offhook_domain::shaping;
use offhook_store::StoreError;
use offhook_store::send_jobs::Waiting;

use super::looks::{Look, Next, Over, Taken};
use super::{Ended, FIRST_REST, Hold, LINGER, Place, SendMessages, Sent, outcome_of};
use crate::app::carrier_health;
use crate::app::record_outcome::Outcome;

/// The most messages that are claimed in one look.
const CLAIMED: usize = 64;
/// A claimed message that is this late gives its slot up and waits for another. Not sooner: on a machine that has more to do
/// than it can, each would be claimed, come late and be given back, and none would go. The gate keeps the rate meanwhile.
const LATE: Duration = Duration::from_secs(10);
/// Where so much has come to its slot and not yet through the gate, in microseconds of the rate, no more is claimed: there
/// is never much that was held up.
const BEHIND: i64 = 50_000;
/// The most that messages are claimed earlier because the store is slow.
const LONGEST_LEAD: Duration = Duration::from_secs(2);
/// A commit that takes no longer than this is no reason to wait for a later slot.
const SHORT: Duration = Duration::from_millis(10);

pub(super) struct Shaped<'a> {
    sender: &'a SendMessages,
    line: &'a str,
    hold: &'a Hold,
    /// Slots that are ahead, in order.
    tickets: VecDeque<Instant>,
    /// The conversation that had its turn last.
    turn: String,
    next: Next,
    /// How long a claim's commit takes: a slot that is nearer would be over by then.
    lead: Duration,
    /// How many may have come to their slots and not yet have passed before no more are claimed.
    behind: usize,
    /// After a look that failed.
    rest: Option<Duration>,
    /// Whether a claim's commit was not answered.
    in_doubt: bool,
}

/// What limits a line, each with its interval.
type Limits = Arc<[(String, i64)]>;

impl<'a> Shaped<'a> {
    pub fn new(sender: &'a SendMessages, line: &'a str, hold: &'a Hold) -> Self {
        let (tickets, turn, lead) = (VecDeque::new(), String::new(), Duration::ZERO);
        Self { sender, line, hold, tickets, turn, next: Next::Now, lead, behind: 1, rest: None, in_doubt: false }
    }

    pub async fn run(&mut self) -> Result<Ended, StoreError> {
        let (sender, hold) = (self.sender, self.hold);
        let most = sender.app.config.sending.concurrency.div_ceil(2);
        let behind = AtomicUsize::new(0);
        let mut sending = FuturesUnordered::new();
        let mut done: Vec<Sent> = Vec::new();
        let mut recording = FuturesUnordered::new();
        loop {
            let keeps_up = behind.load(Ordering::Relaxed) < self.behind;
            if self.is_time() && sending.len() < most && keeps_up {
                let (going, limits) = self.claim_more(most - sending.len()).await;
                for (message, slot) in going {
                    sending.push(go(sender, message, slot, hold, limits.clone(), &behind));
                }
            }
            if recording.is_empty() && !done.is_empty() {
                let outcomes = std::mem::take(&mut done).into_iter().map(|sent| self.outcome(sent)).collect();
                recording.push(sender.record(outcomes, hold, true));
            }
            if sending.is_empty() && recording.is_empty() {
                self.clear_doubt().await;
                if let Some(ended) = self.is_over() {
                    return Ok(ended);
                }
            }
            let keeps_up = behind.load(Ordering::Relaxed) < self.behind;
            let has_room = sending.len() < most && !self.in_doubt && keeps_up;
            let deadline = if has_room { self.next_look() } else { Instant::now() + LINGER };
            tokio::select! {
                Some(sent) = sending.next() => {
                    done.push(sent);
                    while let Some(Some(sent)) = sending.next().now_or_never() {
                        done.push(sent);
                    }
                }
                Some(_) = recording.next() => self.something_happened(),
                rung = hold.woken(deadline), if !self.is_ending() => {
                    // Where a carrier is slow, what fell due meanwhile is looked for all the same.
                    if rung || !sending.is_empty() {
                        self.something_happened();
                    }
                }
            }
        }
    }

    fn is_ending(&self) -> bool {
        self.hold.stopping() || !self.hold.is_held()
    }

    fn is_time(&self) -> bool {
        let due = match self.next {
            Next::Now => true,
            Next::At(at) => Instant::now() >= at,
            Next::WhenRung(_) | Next::Never(_) => false,
        };
        due && !self.in_doubt && !self.is_ending()
    }

    fn next_look(&self) -> Instant {
        match self.next {
            // Where it is time and yet not looked: there is no room, or doubt.
            Next::Now | Next::Never(_) => Instant::now() + LINGER,
            Next::At(at) | Next::WhenRung(at) => at.max(Instant::now() + Duration::from_millis(1)),
        }
    }

    /// Whether there is nothing left to do for the line, now that nothing is under way.
    fn is_over(&self) -> Option<Ended> {
        match self.next {
            _ if self.is_ending() => Some(Ended::Done),
            Next::Never(Over::NotLimited) => Some(Ended::OtherWay),
            Next::Never(Over::Day) => Some(Ended::Done),
            Next::WhenRung(at) if Instant::now() >= at => Some(Ended::Done),
            _ => None,
        }
    }

    /// A message may be free to go that was not: of use where it needn't wait for a slot anyway.
    fn something_happened(&mut self) {
        if matches!(self.next, Next::WhenRung(_)) {
            self.next = Next::Now;
        }
    }

    async fn claim_more(&mut self, room: usize) -> (Vec<(Waiting, Instant)>, Limits) {
        let look = Look {
            app: self.sender.app.clone(),
            line: self.line.to_owned(),
            epoch: self.hold.epoch(),
            lease: self.hold.lease().cloned(),
            tickets: std::mem::take(&mut self.tickets),
            turn: self.turn.clone(),
            room: room.min(CLAIMED),
            lead: self.lead,
        };
        let gone = |_| Err(StoreError::Unavailable("the store takes nothing more".to_owned()));
        match self.sender.looks.join(look).await.unwrap_or_else(gone) {
            Ok(taken) => self.admit(taken),
            Err(error) => {
                let rest = self.rest.map_or(FIRST_REST, |rest| (rest * 2).min(super::LONGEST_REST));
                tracing::warn!(%error, "claiming messages failed; tried again in {rest:?}");
                self.in_doubt = matches!(error, StoreError::Unknown(_));
                self.rest = Some(rest);
                self.next = Next::At(Instant::now() + rest);
                (Vec::new(), Limits::default())
            }
        }
    }

    fn admit(&mut self, taken: Taken) -> (Vec<(Waiting, Instant)>, Limits) {
        self.rest = None;
        (self.tickets, self.turn, self.next) = (taken.tickets, taken.turn, taken.next);
        // One slow commit is soon forgotten.
        let took = taken.at.elapsed().max(self.lead * 3 / 4).min(LONGEST_LEAD);
        self.lead = if took > SHORT { took } else { Duration::ZERO };
        let slowest = taken.limits.iter().map(|(_, interval)| *interval).max();
        self.behind = slowest.map_or(CLAIMED, |interval| usize::try_from(BEHIND / interval).unwrap_or(0).max(1));
        (taken.going, taken.limits.into())
    }

    fn outcome(&self, sent: Sent) -> Outcome {
        // It waited for its slot, for which it is not given up.
        let tried_since = sent.job.tried_since.unwrap_or_else(|| self.sender.app.now());
        outcome_of(sent, tried_since, None)
    }

    /// As of an unlimited line.
    async fn clear_doubt(&mut self) {
        if std::mem::take(&mut self.in_doubt) {
            self.sender.unclaim(self.line, self.hold).await;
            self.next = Next::Now;
        }
    }
}

/// Waits for the slot, and hands the message over. Is counted among those `behind` from its slot to the gate.
async fn go(
    sender: &SendMessages,
    message: Waiting,
    slot: Instant,
    hold: &Hold,
    limits: Limits,
    behind: &AtomicUsize,
) -> Sent {
    tokio::time::sleep_until(slot.into()).await;
    behind.fetch_add(1, Ordering::Relaxed);
    // The slot is of the carrier that is asked first; whoever is asked after it is asked at once.
    let carrier = carrier_health::first_route(&sender.app, &message);
    let places = sender.places_at(&carrier);
    // Before the gate: who waits for a place must not make good for it afterwards.
    let permit = places.acquire_owned().await;
    let at = permit.as_ref().ok().and_then(|_| sender.gate.pass(&limits, slot + LATE));
    if let Some(at) = at {
        tokio::time::sleep_until(at.into()).await;
    }
    behind.fetch_sub(1, Ordering::Relaxed);
    match (at, permit) {
        (Some(_), Ok(permit)) => sender.submit_now(message, hold, Some(Place { carrier, permit })).await,
        _ => Sent::not_asked(message),
    }
}

/// Keeps what comes late, be it the node that was held up or the database, from going all at once.
pub(super) struct Gate {
    gates: Mutex<shaping::Gates>,
    /// What its times are counted from.
    start: Instant,
}

impl Gate {
    pub fn new() -> Self {
        Self { gates: Mutex::default(), start: Instant::now() }
    }

    /// When one may pass that has come; `None` where that would be too late.
    fn pass(&self, limits: &[(String, i64)], latest: Instant) -> Option<Instant> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let micros =
            |at: Instant| i64::try_from(at.saturating_duration_since(self.start).as_micros()).unwrap_or(i64::MAX);
        let at = gates.pass(limits, micros(Instant::now()), micros(latest))?;
        Some(self.start + Duration::from_micros(at.unsigned_abs()))
    }
}
