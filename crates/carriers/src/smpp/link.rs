//! One connection to the peer, made again whenever it ends.
//!
//! In: messages out of the outbox, answers to what was brought. Out: their fates, and what the peer brings. When a
//! connection ends, what was not wholly written goes back to the outbox; of the rest nobody knows. Never here: what a
//! message means.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use offhook_domain::message::{Failure, ReceiptStatus};
use offhook_domain::{Clock, MessageId};
use offhook_smpp::{Broken, Esme, Event, Mode, Status};
use rand::RngExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, WriteHalf};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::arrivals::{Answer, Arrival, Brought, Kept, WholeIds, digest};
use super::ids;
use super::outbox::{Fate, Outbox, Outgoing};
use super::settings::SmppSettings;
use super::sightings::Sightings;
use super::state::{LinkState, LinkStates};
use super::wire::{self, Wire};
use crate::Receipt;

/// The first wait before another attempt to connect; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// A connection that stood so long was a good one: the next wait is a first one.
const GOOD: Duration = Duration::from_secs(30);
/// The first wait where the peer asks for less; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How many octets may wait to be written before nothing more is put out.
const WRITTEN_SOON: usize = 16 * 1024;
/// How soon after our answers the peer is asked to prove that it has them.
const PROVE_AFTER: Duration = Duration::from_secs(1);
/// How many overdue answers can still settle something.
const MOST_LATE: usize = 10_000;

/// What all connections of a carrier share.
pub struct Shared {
    pub settings: Arc<SmppSettings>,
    pub clock: Arc<dyn Clock>,
    pub outbox: Arc<Outbox>,
    pub sightings: Arc<Sightings>,
    pub whole_ids: Arc<WholeIds>,
    pub states: Arc<LinkStates>,
    pub links: AtomicU64,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("it can't be made: {0}")]
    Unreachable(io::Error),
    #[error("it broke: {0}")]
    Cut(io::Error),
    #[error("the peer closed it")]
    Closed,
    #[error("the peer does not read")]
    Clogged,
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error("the peer took leave")]
    Unbound,
}

/// Keeps one connection until `stop`.
pub async fn keep(
    shared: Arc<Shared>,
    place: usize,
    mode: Mode,
    arriving: mpsc::UnboundedSender<Arrival>,
    stop: CancellationToken,
) {
    let mut wait = FIRST_WAIT;
    while !stop.is_cancelled() {
        let began = Instant::now();
        let ended = once(&shared, place, mode, &arriving, &stop).await;
        let name = shared.settings.name;
        if stop.is_cancelled() {
            break;
        }
        if began.elapsed() >= GOOD {
            wait = FIRST_WAIT;
        }
        // Full jitter, so that the connections of all nodes do not come back at once.
        let pause = wait.mul_f64(rand::rng().random_range(0.5..1.0));
        tracing::warn!(carrier = name, link = place, mode = mode.as_str(), reason = %ended, "an SMPP connection ended");
        shared.states.set(place, LinkState::Down { reason: ended.to_string() });
        stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        wait = (wait * 2).min(shared.settings.reconnect_at_most);
    }
    shared.states.set(place, LinkState::Down { reason: "stopped".to_owned() });
}

async fn once(
    shared: &Shared,
    place: usize,
    mode: Mode,
    arriving: &mpsc::UnboundedSender<Arrival>,
    stop: &CancellationToken,
) -> Ended {
    shared.states.set(place, LinkState::Connecting);
    let timeout = shared.settings.response_timeout;
    let connected = tokio::time::timeout(timeout, wire::connect(&shared.settings));
    let wire = match stop.run_until_cancelled(connected).await {
        Some(Ok(Ok(wire))) => wire,
        Some(Ok(Err(error))) => return Ended::Unreachable(error),
        Some(Err(_)) => return Ended::Unreachable(io::ErrorKind::TimedOut.into()),
        None => return Ended::Closed,
    };
    let (answer, answers) = mpsc::unbounded_channel();
    let mut link = Link {
        shared,
        place,
        id: shared.links.fetch_add(1, Ordering::Relaxed),
        esme: Esme::new(shared.settings.session(mode), Instant::now()),
        arriving,
        answer,
        on_way: HashMap::new(),
        late: VecDeque::new(),
        next_token: 0,
        unproven: VecDeque::new(),
        pause: Pause::default(),
        waits_since: None,
        unbound: false,
    };
    let ended = link.drive(wire, answers, stop).await;
    link.end();
    ended
}

struct Link<'a> {
    shared: &'a Shared,
    place: usize,
    id: u64,
    esme: Esme,
    arriving: &'a mpsc::UnboundedSender<Arrival>,
    answer: mpsc::UnboundedSender<Answer>,
    on_way: HashMap<u64, Outgoing>,
    /// Whole messages whose answers are overdue.
    late: VecDeque<(u64, MessageId)>,
    next_token: u64,
    /// Answers that the peer is not proven to have: where they end, and what they are of.
    unproven: VecDeque<Unproven>,
    pause: Pause,
    /// Since when the peer has taken nothing of what is to be written, where there is any.
    waits_since: Option<Instant>,
    unbound: bool,
}

struct Unproven {
    end: u64,
    at: Instant,
    digest: String,
    kept: Option<Kept>,
}

impl Link<'_> {
    async fn drive(
        &mut self,
        wire: Box<dyn Wire>,
        mut answers: mpsc::UnboundedReceiver<Answer>,
        stop: &CancellationToken,
    ) -> Ended {
        let (mut reading, mut writing) = tokio::io::split(wire);
        let mut bytes = Vec::with_capacity(WRITTEN_SOON);
        let (mut is_flushed, mut is_leaving) = (true, false);
        loop {
            self.hear_events();
            if self.unbound && self.esme.output().is_empty() && is_flushed {
                return Ended::Unbound;
            }
            self.settle_proven();
            if is_leaving {
                self.leave_when_quiet();
            } else {
                self.submit();
            }
            let now = Instant::now();
            if self.esme.output().is_empty() {
                self.waits_since = None;
            } else {
                // Not since the last octet went: it may have been idle since.
                self.waits_since.get_or_insert(now);
            }
            let (is_writing, may_submit) = (!self.esme.output().is_empty(), self.may_submit(now) && !is_leaving);
            let deadline = self.deadline(now, is_leaving);
            tokio::select! {
                read = reading.read_buf(&mut bytes) => match read {
                    Ok(0) => return Ended::Closed,
                    Ok(_) => {
                        let received = self.esme.receive(&bytes, Instant::now());
                        bytes.clear();
                        if let Err(broken) = received {
                            // What came before it counts.
                            self.hear_events();
                            return broken.into();
                        }
                    }
                    Err(error) => return Ended::Cut(error),
                },
                written = put(&mut writing, self.esme.output()), if is_writing || !is_flushed => match written {
                    Ok(Put::Nothing) => return Ended::Closed,
                    Ok(Put::Octets(count)) => {
                        self.esme.wrote(count);
                        self.waits_since = None;
                        is_flushed = false;
                    }
                    Ok(Put::Flushed) => is_flushed = true,
                    Err(error) => return Ended::Cut(error),
                },
                Some(answer) = answers.recv() => {
                    self.give(answer);
                    while let Ok(answer) = answers.try_recv() {
                        self.give(answer);
                    }
                }
                () = self.shared.outbox.rung(), if may_submit => {}
                () = tokio::time::sleep_until(deadline.into()) => {
                    if let Err(ended) = self.tick() {
                        return ended;
                    }
                }
                () = stop.cancelled(), if !is_leaving => is_leaving = true,
            }
        }
    }

    /// Whether there is room for another message now.
    fn may_submit(&self, now: Instant) -> bool {
        self.esme.room() > 0 && self.esme.output().len() < WRITTEN_SOON && !self.pause.holds(now)
    }

    fn submit(&mut self) {
        let now = Instant::now();
        while self.may_submit(now) {
            let Some(outgoing) = self.shared.outbox.take(now) else { return };
            self.next_token += 1;
            self.esme.submit(self.next_token, outgoing.message.clone(), now);
            self.on_way.insert(self.next_token, outgoing);
        }
    }

    fn leave_when_quiet(&mut self) {
        if self.esme.is_quiet() || !self.esme.is_bound() {
            self.esme.unbind(Instant::now());
        }
    }

    fn deadline(&self, now: Instant, is_leaving: bool) -> Instant {
        let mut deadline = self.esme.next_deadline();
        if let Some(resume) = self.pause.until.filter(|until| *until > now && !is_leaving) {
            deadline = deadline.min(resume);
        }
        if let Some(since) = self.waits_since {
            deadline = deadline.min(since + self.shared.settings.response_timeout);
        }
        if let Some(first) = self.unproven.front().filter(|_| !self.esme.is_probing()) {
            deadline = deadline.min(first.at + PROVE_AFTER);
        }
        deadline
    }

    fn tick(&mut self) -> Result<(), Ended> {
        let now = Instant::now();
        if self.waits_since.is_some_and(|since| now.duration_since(since) >= self.shared.settings.response_timeout) {
            return Err(Ended::Clogged);
        }
        if self.unproven.front().is_some_and(|first| first.at + PROVE_AFTER <= now) {
            self.esme.probe(now);
        }
        Ok(self.esme.tick(now)?)
    }

    fn hear_events(&mut self) {
        while let Some(event) = self.esme.next_event() {
            match event {
                Event::Bound { system_id } => {
                    let (name, place, mode) = (self.shared.settings.name, self.place, self.esme.mode().as_str());
                    tracing::info!(carrier = name, link = place, mode, peer = system_id, "an SMPP connection is bound");
                    self.shared.states.set(self.place, LinkState::Bound);
                }
                Event::Answered { token, status, message_id, late: false } => self.answered(token, status, &message_id),
                Event::Answered { token, status, message_id, late: true } => {
                    self.answered_late(token, status, &message_id);
                }
                Event::Overdue { token } => self.overdue(token),
                Event::Arrived { request, message } => {
                    let digest = digest(&message);
                    let fresh = self.shared.sightings.arrive(&digest, self.id, Instant::now());
                    let answer = self.answer.clone();
                    let brought = Brought { message, digest, fresh, request, answer };
                    // It is there as long as connections are.
                    drop(self.arriving.send(Arrival::Brought(brought)));
                }
                Event::Malformed { command_id } => {
                    let name = self.shared.settings.name;
                    tracing::warn!(carrier = name, command_id, "the peer sent something that makes no sense");
                }
                Event::Unbound => self.unbound = true,
            }
        }
    }

    fn answered(&mut self, token: u64, status: Status, message_id: &str) {
        let Some(mut outgoing) = self.on_way.remove(&token) else { return };
        let now = Instant::now();
        if status.is_ok() {
            self.pause.ease();
            let id = ids::in_answer(self.shared.settings.message_ids, message_id);
            if !outgoing.is_part {
                self.shared.whole_ids.add(&id);
            }
            return outgoing.tell(Fate::Accepted(id));
        }
        if !status.is_momentary() {
            return outgoing.tell(Fate::Refused(status));
        }
        if status == Status::RTHROTTLED {
            self.pause.hold(now);
        }
        if status.asks_for_patience() && outgoing.until > now {
            outgoing.doubt = Some(status.to_string());
            // By itself: it may be its receiver alone that gets no more.
            return self.shared.outbox.put_off(outgoing, now);
        }
        outgoing.tell(Fate::NotTaken(status.to_string()));
    }

    /// Nobody waits for it any more; the platform can still be told, as of a receipt.
    fn answered_late(&mut self, token: u64, status: Status, message_id: &str) {
        let Some(at) = self.late.iter().position(|(late, _)| *late == token) else { return };
        let Some((_, of)) = self.late.remove(at) else { return };
        let (id, status, failure) = if status.is_ok() {
            let id = ids::in_answer(self.shared.settings.message_ids, message_id);
            self.shared.whole_ids.add(&id);
            (id, ReceiptStatus::Sent, None)
        } else {
            let failure = Failure::new(&status.code(), &status.to_string());
            (format!("late:{of}"), ReceiptStatus::Failed, Some(failure))
        };
        let receipt = Receipt {
            carrier: self.shared.settings.name,
            carrier_message_id: id,
            message_id: Some(of),
            status,
            failure,
            at: self.shared.clock.now(),
        };
        drop(self.arriving.send(Arrival::Told(receipt)));
    }

    fn overdue(&mut self, token: u64) {
        let Some(outgoing) = self.on_way.remove(&token) else { return };
        if !outgoing.is_part {
            self.late.push_back((token, outgoing.message_id.clone()));
            if self.late.len() > MOST_LATE {
                self.late.pop_front();
            }
        }
        outgoing.tell(Fate::Unknown("the carrier did not answer in time"));
    }

    /// Answers the peer.
    fn give(&mut self, Answer { request, status, digest, kept }: Answer) {
        self.esme.answer(request, status);
        if status.is_ok() {
            self.shared.sightings.answer(&digest, self.id);
            let (end, at) = (self.esme.put_out(), Instant::now());
            self.unproven.push_back(Unproven { end, at, digest, kept });
        } else {
            self.shared.sightings.settle(&digest, self.id);
        }
    }

    /// What the peer has our answer to can't come again.
    fn settle_proven(&mut self) {
        let (mut kept, mut digests) = (Vec::new(), Vec::new());
        while let Some(one) = self.unproven.pop_front_if(|one| one.end <= self.esme.proven()) {
            kept.extend(one.kept);
            digests.push(one.digest);
        }
        if !kept.is_empty() {
            drop(self.arriving.send(Arrival::Settled(kept)));
        }
        // Afterwards, so that what arrives elsewhere meanwhile and is in doubt is looked at after that.
        digests.iter().for_each(|digest| self.shared.sightings.settle(digest, self.id));
    }

    /// The connection is gone.
    fn end(mut self) {
        self.hear_events();
        self.settle_proven();
        self.shared.sightings.lose(self.id);
        let mut back = Vec::new();
        for lost in self.esme.lost() {
            let Some(outgoing) = self.on_way.remove(&lost.token) else { continue };
            if lost.was_written {
                outgoing.tell(Fate::Unknown("the connection to the carrier broke before it answered"));
            } else {
                back.push(outgoing);
            }
        }
        back.into_iter().rev().for_each(|outgoing| self.shared.outbox.put_back(outgoing));
    }
}

enum Put {
    Nothing,
    Octets(usize),
    Flushed,
}

/// Writes some octets, or flushes where there are none. It can be dropped at any await: then nothing was written.
async fn put(writing: &mut WriteHalf<Box<dyn Wire>>, octets: &[u8]) -> io::Result<Put> {
    if octets.is_empty() {
        return writing.flush().await.map(|()| Put::Flushed);
    }
    writing.write(octets).await.map(|count| if count == 0 { Put::Nothing } else { Put::Octets(count) })
}

/// How long nothing is submitted because the peer asks for less.
#[derive(Default)]
struct Pause {
    until: Option<Instant>,
    last: Duration,
    /// Submissions taken since the peer last asked for less.
    taken: u32,
}

/// A peer that took so many since means the one message and not the connection.
const TAKES_WELL: u32 = 10;

impl Pause {
    fn holds(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until > now)
    }

    /// Many answers may say the same at once: they count as one.
    fn hold(&mut self, now: Instant) {
        let taken = std::mem::take(&mut self.taken);
        if self.holds(now) || taken >= TAKES_WELL {
            return;
        }
        self.last = (self.last * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.until = Some(now + self.last.mul_f64(rand::rng().random_range(0.75..1.25)));
    }

    fn ease(&mut self) {
        self.last /= 2;
        self.taken = self.taken.saturating_add(1);
    }
}
