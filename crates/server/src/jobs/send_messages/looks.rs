//! Looks of limited lines, taken together: which messages are free to go, their slots, their claims.
//!
//! In: of each line, where its conversations' turn is and the slots it has at hand. Out: messages that are claimed, each with
//! its slot. A thousand slow lines look as often as they send, so a transaction for each would be most of what the database
//! does; what comes while one is written shares the next. Never here: waiting for slots, and handing over.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use offhook_domain::shaping::{self, HORIZON, Limit, Pace};
use offhook_domain::{MessageId, Timestamp};
use offhook_store::pacers::Limited;
use offhook_store::send_jobs::{Head, Waiting};
use offhook_store::{Store, StoreError, Tx};

use super::LINGER;
use crate::app::App;
use crate::app::carrier_health;
use crate::app::record_outcome::are_ours;
use crate::app::shaping::limits_of;
use crate::app::together::{Gathering, Writing, together};
use crate::jobs::lines::LeaseName;

/// Looks in one transaction, at most.
const MOST: usize = 64;
/// How many conversations one statement passes at most, and at least; and how many statements one look takes.
const PASSED: usize = 64;
const FIRST_PASSED: usize = 8;
const PASSES: usize = 4;
/// A slot that is over by this much is not used any more: what was held up would go in a burst.
const STALE: Duration = Duration::from_millis(50);
/// Looks of a line that waits for another one's slots are not more frequent than this.
const SHORTEST_WAIT: Duration = Duration::from_millis(5);

/// When to look for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Now,
    /// Not before: there is no slot to claim anything with.
    At(Instant),
    /// When something comes, or one that is under way is over; at the latest then.
    WhenRung(Instant),
    Never(Over),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// The day is used up.
    Day,
    NotLimited,
}

/// What one look starts from.
#[derive(Clone)]
pub(super) struct Look {
    pub app: App,
    pub line: String,
    pub epoch: i64,
    pub lease: Option<LeaseName>,
    /// Slots that are ahead, in order.
    pub tickets: VecDeque<Instant>,
    /// The conversation that had its turn last.
    pub turn: String,
    /// The most messages that are claimed.
    pub room: usize,
    /// How long before its slot a message is claimed at least: what the commit takes.
    pub lead: Duration,
}

/// What one look found.
pub(super) struct Taken {
    /// Claimed, each with its slot.
    pub going: Vec<(Waiting, Instant)>,
    /// All that are left.
    pub tickets: VecDeque<Instant>,
    pub turn: String,
    /// What limits the line, each with its interval in microseconds.
    pub limits: Vec<(String, i64)>,
    /// When the time was told that slots are counted from.
    pub at: Instant,
    pub next: Next,
}

pub(super) type Looks = Gathering<Look, Result<Taken, StoreError>>;

pub(super) fn looks() -> Arc<Looks> {
    together(MOST, Take)
}

struct Take;

impl Writing for Take {
    type Item = Look;
    type Kept = Vec<Taken>;
    type Answer = Result<Taken, StoreError>;

    fn store<'a>(&'a self, first: &'a Look) -> &'a Store {
        &first.app.store
    }

    async fn write(tx: &mut Tx, looks: &[Look]) -> Result<Vec<Taken>, StoreError> {
        take(tx, looks).await
    }

    fn committed(&self, _: &[Look], taken: Vec<Taken>) -> Vec<Self::Answer> {
        taken.into_iter().map(Ok).collect()
    }

    fn failed(&self, error: StoreError) -> Self::Answer {
        Err(error)
    }
}

/// Takes slots, and claims messages for those that are near.
async fn take(tx: &mut Tx, looks: &[Look]) -> Result<Vec<Taken>, StoreError> {
    let Some(Look { app, .. }) = looks.first() else { return Ok(Vec::new()) };
    let ours = are_ours(tx, looks.iter().map(|look| (look.lease.as_ref(), look.epoch)).collect()).await?;
    let now = app.now();
    let mut heads: Vec<Heads> =
        looks.iter().zip(ours).map(|(look, ours)| Heads::new(&look.turn, look.room, ours)).collect();
    find(tx, looks, &mut heads, now).await?;
    let limits: Vec<Vec<Limited>> = looks.iter().zip(&heads).map(|(look, heads)| limits(look, heads)).collect();
    let mut paces = Paces::lock(tx, limits.iter().flatten()).await?;
    let mut taken = Vec::with_capacity(looks.len());
    let mut claims: Vec<(&MessageId, i64)> = Vec::new();
    for ((look, heads), limits) in looks.iter().zip(&heads).zip(&limits) {
        let slots = paces.slots(look, &heads.ready, limits, now);
        if slots.day_is_used_up {
            tx.hold_line(&look.line, app.config.shaping.days.midnight(now)).await?;
        }
        claims.extend(heads.ready.iter().take(slots.slots.len()).map(|job| (&job.message_id, look.epoch)));
        taken.push(slots);
    }
    paces.keep(tx).await?;
    let mut got = tx.claim_each(&claims).await?.into_iter();
    let each = looks.iter().zip(heads).zip(limits).zip(taken);
    Ok(each.map(|(((look, heads), limits), slots)| tell(look, heads, &limits, slots, &mut got, now)).collect())
}

fn limits(look: &Look, heads: &Heads) -> Vec<Limited> {
    heads.ready.first().map_or_else(Vec::new, |first| {
        // The carrier's limit is that of the one that is asked first.
        let carrier = carrier_health::first_route(&look.app, first);
        limits_of(&look.app.config.shaping, &look.line, &carrier, first)
    })
}

fn tell(
    look: &Look,
    heads: Heads,
    limits: &[Limited],
    slots: Slots,
    got: &mut impl Iterator<Item = bool>,
    now: Timestamp,
) -> Taken {
    let idle = heads.when_idle(now);
    let all = slots.slots.len() == heads.ready.len();
    let next = match () {
        () if !heads.is_ours => Next::WhenRung(Instant::now()),
        () if heads.ready.is_empty() => idle,
        () if limits.is_empty() => Next::Never(Over::NotLimited),
        () => slots.next(all, look.lead, idle),
    };
    let turn = match slots.slots.len().checked_sub(1) {
        _ if all => heads.last,
        Some(last) => heads.ready[last].conversation_id.to_string(),
        None => look.turn.clone(),
    };
    let going = heads.ready.into_iter().zip(slots.slots).filter(|_| got.next() == Some(true)).collect();
    let limits = limits.iter().filter(|one| one.limit.interval > 0);
    let limits = limits.map(|one| (one.resource.clone(), one.limit.interval)).collect();
    Taken { going, tickets: slots.tickets, turn, limits, at: slots.at, next }
}

/// The messages whose turn it is.
struct Heads {
    is_ours: bool,
    ready: Vec<Waiting>,
    room: usize,
    /// The last conversation that was passed; empty at the end of their order.
    last: String,
    /// When the first of those falls due that are not yet.
    next_due: Option<Timestamp>,
    /// There are conversations that were not passed.
    has_more: bool,
    seen: HashSet<String>,
    wraps: u8,
    is_done: bool,
}

/// Goes from conversation to conversation of each line, once around at most.
async fn find(tx: &mut Tx, looks: &[Look], heads: &mut [Heads], now: Timestamp) -> Result<(), StoreError> {
    for pass in 0..PASSES {
        let most = |heads: &Heads| if pass == 0 { (heads.room + 1).clamp(FIRST_PASSED, PASSED) } else { PASSED };
        let open: Vec<usize> = (0..heads.len()).filter(|n| !heads[*n].is_done).collect();
        if open.is_empty() {
            break;
        }
        let asked = |n: &usize| (looks[*n].line.as_str(), heads[*n].last.as_str(), most(&heads[*n]) as i64);
        let pages = tx.heads_of_lines(&open.iter().map(asked).collect::<Vec<_>>()).await?;
        for (n, page) in open.into_iter().zip(pages) {
            let is_last = page.len() < most(&heads[n]);
            heads[n].pass(page, is_last, now);
        }
    }
    Ok(())
}

impl Heads {
    fn new(turn: &str, room: usize, is_ours: bool) -> Self {
        Self {
            is_ours,
            ready: Vec::new(),
            room,
            last: turn.to_owned(),
            next_due: None,
            has_more: true,
            seen: HashSet::new(),
            wraps: u8::from(turn.is_empty()),
            is_done: !is_ours,
        }
    }

    fn pass(&mut self, page: Vec<Head>, is_last: bool, now: Timestamp) {
        for head in page {
            if self.ready.len() == self.room {
                self.is_done = true;
                return;
            }
            let conversation = head.message.conversation_id.to_string();
            if !self.seen.insert(conversation.clone()) {
                (self.has_more, self.is_done) = (false, true);
                return;
            }
            self.last = conversation;
            if head.is_claimed {
                continue;
            }
            if head.due_at > now {
                self.next_due = Some(self.next_due.map_or(head.due_at, |due| due.min(head.due_at)));
            } else {
                self.ready.push(head.message);
            }
        }
        if is_last {
            self.last = String::new();
            self.wraps += 1;
            if self.wraps == 2 {
                (self.has_more, self.is_done) = (false, true);
            }
        }
    }

    /// When to look again where no message is free to go.
    fn when_idle(&self, now: Timestamp) -> Next {
        if self.has_more {
            return Next::At(Instant::now() + SHORTEST_WAIT);
        }
        match self.next_due.map(|due| due.since(now)).filter(|wait| *wait <= LINGER) {
            Some(wait) => Next::At(Instant::now() + wait + Duration::from_millis(1)),
            None => Next::WhenRung(Instant::now() + LINGER),
        }
    }
}

/// What was taken of the limits of all lines of a transaction.
struct Paces {
    limited: Vec<Limited>,
    paces: Vec<(Limit, Pace)>,
    places: HashMap<String, usize>,
    /// The database's clock, and ours when it was told.
    at: i64,
    here: Instant,
}

impl Paces {
    async fn lock(tx: &mut Tx, limits: impl Iterator<Item = &Limited>) -> Result<Self, StoreError> {
        let (mut limited, mut places): (Vec<Limited>, HashMap<_, _>) = (Vec::new(), HashMap::new());
        for one in limits {
            places.entry(one.resource.clone()).or_insert_with(|| {
                limited.push(one.clone());
                limited.len() - 1
            });
        }
        let (paces, at) = if limited.is_empty() { (Vec::new(), 0) } else { tx.lock_paces(&limited).await? };
        // What the database's clock said, it said just now.
        Ok(Self { limited, paces, places, at, here: Instant::now() })
    }

    async fn keep(&self, tx: &mut Tx) -> Result<(), StoreError> {
        tx.set_paces(&self.limited, &self.paces).await
    }

    fn instant(&self, slot: i64) -> Instant {
        self.here + Duration::from_micros(u64::try_from(slot - self.at).unwrap_or(0))
    }

    /// Gives messages the slots at hand, and takes more of their limits.
    fn slots(&mut self, look: &Look, ready: &[Waiting], limits: &[Limited], now: Timestamp) -> Slots {
        let mut slots =
            Slots { tickets: VecDeque::new(), again_at: None, slots: Vec::new(), at: self.here, day_is_used_up: false };
        if ready.is_empty() || limits.is_empty() {
            return slots;
        }
        let places: Vec<usize> = limits.iter().map(|one| self.places[&one.resource]).collect();
        let mut paces: Vec<(Limit, Pace)> =
            places.iter().zip(limits).map(|(place, one)| (one.limit, self.paces[*place].1)).collect();
        let lead = i64::try_from(look.lead.as_micros()).unwrap_or(0);
        let first = self.here + look.lead;
        slots.tickets = look.tickets.iter().copied().filter(|slot| *slot + STALE >= first).collect();
        let want = ready.len().saturating_sub(slots.tickets.len());
        let reserved = shaping::reserve(&mut paces, self.at + lead, want);
        slots.tickets.extend(reserved.slots.iter().map(|slot| self.instant(*slot)));
        slots.again_at = reserved.again_at.map(|at| self.instant(at - lead));
        let near = first + Duration::from_micros(HORIZON.unsigned_abs());
        let today = look.app.config.shaping.days.day(now);
        for job in ready {
            if slots.tickets.front().is_none_or(|slot| *slot > near) {
                break;
            }
            if !shaping::count(&mut paces, today, job.segments) {
                slots.day_is_used_up = true;
                break;
            }
            slots.slots.extend(slots.tickets.pop_front());
        }
        for (place, (_, pace)) in places.into_iter().zip(paces) {
            self.paces[place].1 = pace;
        }
        slots
    }
}

/// Slots for messages, in order, and what is left.
struct Slots {
    slots: Vec<Instant>,
    tickets: VecDeque<Instant>,
    again_at: Option<Instant>,
    at: Instant,
    day_is_used_up: bool,
}

impl Slots {
    /// When to look for more, where `all` that were free have a slot or some have not.
    fn next(&self, all: bool, lead: Duration, when_idle: Next) -> Next {
        if self.day_is_used_up {
            return Next::Never(Over::Day);
        }
        if all && self.tickets.is_empty() {
            return when_idle;
        }
        let (half, soon) = (Duration::from_micros(HORIZON.unsigned_abs() / 2), Instant::now() + SHORTEST_WAIT);
        // Not for each slot that comes near: for a batch of them.
        let batch = self.slots.last().and_then(|last| last.checked_sub(half + lead));
        let ticket = self.tickets.front().and_then(|slot| slot.checked_sub(half * 2 + lead));
        let at = ticket.or(self.again_at).unwrap_or(soon);
        Next::At(at.max(batch.unwrap_or(at)).max(soon))
    }
}
