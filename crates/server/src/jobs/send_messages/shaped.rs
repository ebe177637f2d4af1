//! A line whose messages may go only so fast, or only so many a day: each goes in a slot of its own.
//!
//! Slots are taken in the transaction in which messages are claimed, and a message is claimed shortly before its slot and not
//! without one. Slots that are further ahead are kept here like a ticket in a queue: so all numbers of a campaign have
//! their turn. What a crash, a stop or a lost lease leaves unused is lost, and never used by anybody.
//!
//! Conversations have their turn too, one message each, in the order of their ids.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use offhook_domain::shaping::{self, HORIZON};
use offhook_domain::{MessageId, Timestamp};
use offhook_store::pacers::Limited;
use offhook_store::send_jobs::{Head, Waiting};
use offhook_store::{StoreError, Tx};
use tokio::sync::Semaphore;

use super::{Ended, FIRST_REST, Hold, LINGER, SendMessages, Sent, outcome_of};
use crate::app::record_outcome::{Outcome, is_ours};
use crate::app::shaping::limits_of;

/// How many conversations one statement passes, and how many statements one look takes.
const PASSED: usize = 64;
const PASSES: usize = 4;
/// The most messages that are claimed in one look.
const CLAIMED: usize = 64;
/// A slot that is over by this much is not used any more: what was held up would go in a burst.
const STALE: Duration = Duration::from_millis(100);
/// A claimed message that is this late gives its slot up and waits for another.
const LATE: Duration = Duration::from_secs(1);
/// Looks of a line that waits for another one's slots are not more frequent than this.
const SHORTEST_WAIT: Duration = Duration::from_millis(5);

pub(super) struct Shaped<'a> {
    sender: &'a SendMessages,
    line: &'a str,
    hold: &'a Hold,
    /// Slots that are ahead, in order.
    tickets: VecDeque<Instant>,
    /// The conversation that had its turn last.
    turn: String,
    next: Next,
    /// After a look that failed.
    rest: Option<Duration>,
    /// Whether a claim's commit was not answered.
    in_doubt: bool,
}

/// When to look for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Now,
    /// Not before: there is no slot to claim anything with.
    At(Instant),
    /// When something comes, or one that is under way is over; at the latest then.
    WhenRung(Instant),
    Never(Over),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// The day is used up.
    Day,
    NotLimited,
}

/// What one look found.
struct Taken {
    /// Claimed, each with its slot.
    going: Vec<(Waiting, Instant)>,
    /// All that are left.
    tickets: VecDeque<Instant>,
    turn: String,
    interval: Duration,
    next: Next,
}

/// What a look starts from.
#[derive(Clone)]
struct Look {
    tickets: VecDeque<Instant>,
    turn: String,
    room: usize,
}

impl<'a> Shaped<'a> {
    pub fn new(sender: &'a SendMessages, line: &'a str, hold: &'a Hold) -> Self {
        let (tickets, turn) = (VecDeque::new(), String::new());
        Self { sender, line, hold, tickets, turn, next: Next::Now, rest: None, in_doubt: false }
    }

    pub async fn run(&mut self) -> Result<Ended, StoreError> {
        let (sender, hold) = (self.sender, self.hold);
        let most = sender.app.config.sending.concurrency.div_ceil(2);
        let (places, gate) = (Semaphore::new(most), Gate::default());
        let mut sending = FuturesUnordered::new();
        let mut done: Vec<Sent> = Vec::new();
        let mut recording = FuturesUnordered::new();
        loop {
            if self.is_time() && sending.len() < most {
                for (message, slot) in self.claim_more(most - sending.len(), &gate).await {
                    sending.push(go(sender, message, slot, hold, &gate, &places));
                }
            }
            if recording.is_empty() && !done.is_empty() {
                let outcomes = std::mem::take(&mut done).into_iter().map(|sent| self.outcome(sent)).collect();
                recording.push(sender.record(outcomes, hold));
            }
            if sending.is_empty() && recording.is_empty() {
                self.clear_doubt().await;
                if let Some(ended) = self.is_over() {
                    return Ok(ended);
                }
            }
            let has_room = sending.len() < most && !self.in_doubt;
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

    async fn claim_more(&mut self, room: usize, gate: &Gate) -> Vec<(Waiting, Instant)> {
        let usable = Instant::now().checked_sub(STALE);
        self.tickets.retain(|slot| usable.is_none_or(|usable| *slot >= usable));
        let look =
            Look { tickets: std::mem::take(&mut self.tickets), turn: self.turn.clone(), room: room.min(CLAIMED) };
        match self.claim(look).await {
            Ok(taken) => {
                self.rest = None;
                (self.tickets, self.turn, self.next) = (taken.tickets, taken.turn, taken.next);
                gate.set_interval(taken.interval);
                taken.going
            }
            Err(error) => {
                let rest = self.rest.map_or(FIRST_REST, |rest| (rest * 2).min(super::LONGEST_REST));
                tracing::warn!(%error, "claiming messages failed; tried again in {rest:?}");
                self.in_doubt = matches!(error, StoreError::Unknown(_));
                self.rest = Some(rest);
                self.next = Next::At(Instant::now() + rest);
                Vec::new()
            }
        }
    }

    /// Takes slots, and claims messages for those that are near.
    async fn claim(&self, look: Look) -> Result<Taken, StoreError> {
        let (line, epoch, app) = (self.line.to_owned(), self.hold.epoch(), self.sender.app.clone());
        let lease = self.hold.lease().cloned();
        let store = app.store.clone();
        store
            .write(async move |tx: &mut Tx| {
                let Look { tickets, turn, room } = look.clone();
                let nothing = |next, turn| Taken {
                    going: Vec::new(),
                    tickets: VecDeque::new(),
                    turn,
                    interval: Duration::ZERO,
                    next,
                };
                if !is_ours(tx, lease.as_ref(), epoch).await? {
                    return Ok(nothing(Next::WhenRung(Instant::now()), turn));
                }
                let now = app.now();
                let Heads { ready, last, next_due, has_more } = heads(tx, &line, &turn, now, room).await?;
                let Some(first) = ready.first() else {
                    return Ok(nothing(when_idle(now, next_due, has_more), last));
                };
                let limited = limits_of(&app.config.shaping, &line, first);
                if limited.is_empty() {
                    return Ok(nothing(Next::Never(Over::NotLimited), turn));
                }
                let claims = with_slots(tx, &app.config.shaping, &limited, &ready, tickets, now).await?;
                if claims.day_is_used_up {
                    tx.hold_line(&line, app.config.shaping.days.midnight(now)).await?;
                }
                let ids: Vec<&MessageId> = ready.iter().take(claims.slots.len()).map(|job| &job.message_id).collect();
                let got = tx.claim_send_jobs(&ids, epoch).await?;
                let all = claims.slots.len() == ready.len();
                let turn = match claims.slots.len().checked_sub(1) {
                    _ if all => last,
                    Some(last) => ready[last].conversation_id.to_string(),
                    None => turn,
                };
                let next = claims.next(all, when_idle(now, next_due, has_more));
                let going = ready.into_iter().zip(claims.slots).zip(got).filter(|(_, got)| *got).map(|(one, _)| one);
                let (going, tickets) = (going.collect(), claims.tickets);
                Ok(Taken { going, tickets, turn, interval: claims.interval, next })
            })
            .await
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

/// Waits for the slot, and hands the message over.
async fn go(
    sender: &SendMessages,
    message: Waiting,
    slot: Instant,
    hold: &Hold,
    gate: &Gate,
    places: &Semaphore,
) -> Sent {
    tokio::time::sleep_until(slot.into()).await;
    tokio::time::sleep_until(gate.pass().into()).await;
    sender.submit(message, Some(slot + LATE), hold, places).await
}

/// The messages whose turn it is.
struct Heads {
    ready: Vec<Waiting>,
    /// The last conversation that was passed; empty at the end of their order.
    last: String,
    /// When the first of those falls due that are not yet.
    next_due: Option<Timestamp>,
    /// There are conversations that were not passed.
    has_more: bool,
}

/// Goes from conversation to conversation, once around at most.
async fn heads(tx: &mut Tx, line: &str, turn: &str, now: Timestamp, room: usize) -> Result<Heads, StoreError> {
    let mut heads = Heads { ready: Vec::new(), last: turn.to_owned(), next_due: None, has_more: true };
    let mut seen = HashSet::new();
    let mut wraps = u8::from(turn.is_empty());
    for _ in 0..PASSES {
        let page: Vec<Head> = tx.heads_of_line(line, &heads.last, PASSED as i64).await?;
        let is_last = page.len() < PASSED;
        for head in page {
            if heads.ready.len() == room {
                return Ok(heads);
            }
            if !seen.insert(head.message.conversation_id.clone()) {
                heads.has_more = false;
                return Ok(heads);
            }
            heads.last = head.message.conversation_id.to_string();
            if head.is_claimed {
                continue;
            }
            if head.due_at > now {
                heads.next_due = Some(heads.next_due.map_or(head.due_at, |due| due.min(head.due_at)));
            } else {
                heads.ready.push(head.message);
            }
        }
        if is_last {
            heads.last = String::new();
            wraps += 1;
            if wraps == 2 {
                heads.has_more = false;
                return Ok(heads);
            }
        }
    }
    Ok(heads)
}

/// When to look again where no message is free to go.
fn when_idle(now: Timestamp, next_due: Option<Timestamp>, has_more: bool) -> Next {
    if has_more {
        return Next::At(Instant::now() + SHORTEST_WAIT);
    }
    match next_due.map(|due| due.since(now)).filter(|wait| *wait <= LINGER) {
        Some(wait) => Next::At(Instant::now() + wait + Duration::from_millis(1)),
        None => Next::WhenRung(Instant::now() + LINGER),
    }
}

/// Slots for messages, in order, and what is left.
struct Slots {
    slots: Vec<Instant>,
    tickets: VecDeque<Instant>,
    again_at: Option<Instant>,
    interval: Duration,
    day_is_used_up: bool,
}

/// Gives messages the slots at hand, and takes more of their limits.
async fn with_slots(
    tx: &mut Tx,
    config: &crate::config::Shaping,
    limited: &[Limited],
    ready: &[Waiting],
    mut tickets: VecDeque<Instant>,
    now: Timestamp,
) -> Result<Slots, StoreError> {
    let (mut paces, at) = tx.lock_paces(limited).await?;
    // What the database's clock said, it said just now.
    let here = Instant::now();
    let instant = |slot: i64| here + Duration::from_micros(u64::try_from(slot - at).unwrap_or(0));
    let reserved = shaping::reserve(&mut paces, at, ready.len().saturating_sub(tickets.len()));
    tickets.extend(reserved.slots.iter().map(|slot| instant(*slot)));
    let near = here + Duration::from_micros(HORIZON.unsigned_abs());
    let today = config.days.day(now);
    let (mut slots, mut day_is_used_up) = (Vec::new(), false);
    for job in ready {
        if tickets.front().is_none_or(|slot| *slot > near) {
            break;
        }
        if !shaping::count(&mut paces, today, job.segments) {
            day_is_used_up = true;
            break;
        }
        slots.extend(tickets.pop_front());
    }
    tx.set_paces(limited, &paces).await?;
    let slowest = paces.iter().map(|(limit, _)| limit.interval).max().unwrap_or(0);
    let interval = Duration::from_micros(slowest.unsigned_abs());
    Ok(Slots { slots, tickets, again_at: reserved.again_at.map(instant), interval, day_is_used_up })
}

impl Slots {
    /// When to look for more, where `all` that were free have a slot or some have not.
    fn next(&self, all: bool, when_idle: Next) -> Next {
        if self.day_is_used_up {
            return Next::Never(Over::Day);
        }
        if all && self.tickets.is_empty() {
            return when_idle;
        }
        let (half, soon) = (Duration::from_micros(HORIZON.unsigned_abs() / 2), Instant::now() + SHORTEST_WAIT);
        // Not for each slot that comes near: for a batch of them.
        let batch = self.slots.last().and_then(|last| last.checked_sub(half));
        let ticket = self.tickets.front().and_then(|slot| slot.checked_sub(half * 2));
        let at = ticket.or(self.again_at).unwrap_or(soon);
        Next::At(at.max(batch.unwrap_or(at)).max(soon))
    }
}

/// Keeps what comes late, be it the node that was held up or the database, from going all at once.
#[derive(Default)]
struct Gate {
    /// When the next one may pass, and how far apart they are at least.
    state: Mutex<(Option<Instant>, Duration)>,
}

impl Gate {
    /// Messages of the line are so far apart where all goes well.
    fn set_interval(&self, interval: Duration) {
        if interval > Duration::ZERO {
            // Half of it: on a busy machine one is a little late, and the next one is not.
            self.state.lock().unwrap_or_else(PoisonError::into_inner).1 = interval / 2;
        }
    }

    /// When one may pass that has come.
    fn pass(&self) -> Instant {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let at = state.0.map_or_else(Instant::now, |next| next.max(Instant::now()));
        state.0 = Some(at + state.1);
        at
    }
}
