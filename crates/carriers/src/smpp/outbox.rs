//! Messages that wait for a connection with room for them. In: the parts of a submission, in order. Out: one at a time, to
//! whichever connection asks. Never here: what becomes of them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use offhook_domain::MessageId;
use offhook_smpp::{Message, Status};
use tokio::sync::{Notify, oneshot};

/// How long one is put off at first; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What became of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The peer has it, under this id.
    Accepted(String),
    Refused(Status),
    /// The peer certainly does not have it, and why.
    NotTaken(String),
    /// It may have it.
    Unknown(&'static str),
}

/// One message on its way to the peer.
#[derive(Debug)]
pub struct Outgoing {
    pub message: Message,
    /// Of which it is all, where it is not a part.
    pub message_id: MessageId,
    pub is_part: bool,
    /// After this it must not be written any more.
    pub until: Instant,
    /// Why it was not taken so far.
    pub doubt: Option<String>,
    /// How long it was put off last, and until when.
    pub put_off: Option<(Duration, Instant)>,
    pub told: oneshot::Sender<Fate>,
}

impl Outgoing {
    /// Tells its sender, unless he is gone.
    pub fn tell(self, fate: Fate) {
        drop(self.told.send(fate));
    }

    /// Whether it may be submitted now.
    fn due(&self, now: Instant) -> bool {
        self.put_off.is_none_or(|(_, until)| until <= now)
    }

    fn is_wanted(&self) -> bool {
        !self.told.is_closed()
    }
}

/// What waits.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: Mutex<VecDeque<Outgoing>>,
    /// What the peer would not take yet; nothing else waits for it.
    put_off: Mutex<Vec<Outgoing>>,
    is_closed: AtomicBool,
    rung: Notify,
}

impl Outbox {
    pub fn put(&self, all: Vec<Outgoing>) {
        self.locked().extend(all);
        self.ring();
    }

    /// Puts back what was not taken, before all others.
    pub fn put_back(&self, one: Outgoing) {
        self.locked().push_front(one);
        self.ring();
    }

    /// Puts one off that the peer would not take, for longer each time.
    pub fn put_off(&self, mut one: Outgoing, now: Instant) {
        let wait = one.put_off.map_or(FIRST_WAIT, |(last, _)| (last * 2).min(LONGEST_WAIT));
        one.put_off = Some((wait, now + wait));
        self.later().push(one);
        // Where it was closed meanwhile.
        if self.is_closed.load(Ordering::SeqCst) {
            self.turn_away();
        }
    }

    /// The next that is still wanted and not too late.
    pub fn take(&self, now: Instant) -> Option<Outgoing> {
        let mut waiting = self.locked();
        while let Some(one) = waiting.pop_front() {
            if !one.is_wanted() {
                continue;
            }
            if one.until <= now {
                expire(one);
                continue;
            }
            if !waiting.is_empty() {
                // Another connection may have room too.
                self.rung.notify_one();
            }
            return Some(one);
        }
        None
    }

    /// Has what was put off wait with the others when it is due, and tells those whose time is over, also where no
    /// connection asks.
    pub fn look_again(&self, now: Instant) {
        let mut later = self.later();
        let (due, still): (Vec<_>, Vec<_>) =
            std::mem::take(&mut *later).into_iter().partition(|one| one.due(now) || one.until <= now);
        *later = still;
        drop(later);
        if !due.is_empty() {
            let mut waiting = self.locked();
            due.into_iter().rev().for_each(|one| waiting.push_front(one));
            drop(waiting);
            self.ring();
        }
        let mut waiting = self.locked();
        let (late, timely) = std::mem::take(&mut *waiting).into_iter().partition(|one| one.until <= now);
        *waiting = timely;
        drop(waiting);
        let late: VecDeque<Outgoing> = late;
        late.into_iter().for_each(expire);
    }

    /// No connection will come any more: all who wait and all who come are told so.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.turn_away();
    }

    fn ring(&self) {
        // Looked at after the put, as the closing is before the look: one of the two finds it.
        if self.is_closed.load(Ordering::SeqCst) {
            return self.turn_away();
        }
        self.rung.notify_one();
    }

    /// Tells all who wait that they are not taken.
    pub fn turn_away(&self) {
        let waiting = std::mem::take(&mut *self.locked());
        let put_off = std::mem::take(&mut *self.later());
        waiting.into_iter().chain(put_off).for_each(expire);
    }

    /// Waits until something may be there.
    pub async fn rung(&self) {
        self.rung.notified().await;
    }

    fn later(&self) -> std::sync::MutexGuard<'_, Vec<Outgoing>> {
        self.put_off.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, VecDeque<Outgoing>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn expire(mut one: Outgoing) {
    let why = one.doubt.take().unwrap_or_else(|| "there was no connection with room for it in time".to_owned());
    one.tell(Fate::NotTaken(why));
}
