//! A small message centre that speaks SMPP, with the faults of real ones.
//!
//! In: connections of an ESME, and what the test wants of it: how it answers submissions, where it cuts connections, what
//! it brings. Out: what was submitted, and how what it brought was answered. Like a real one it brings again what was not
//! answered, over the next connection. Never here: what the test expects of that.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests watch what they start, and may stop where they stand"
)]

mod connection;
mod receipts;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use offhook_smpp::{Message, Mode, Status};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub use receipts::{ReceiptStyle, receipt};

/// How long the waits below wait before they panic.
const DEADLINE: Duration = Duration::from_secs(30);

/// Stops when dropped.
#[derive(Debug)]
pub struct Smsc {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// How a submission is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    Accept,
    /// Not taken, with this status.
    Refuse(Status),
    /// Taken, and its answer kept back until one that is not; then they go out with the last first.
    Hold,
    /// Taken, and answered after so long.
    Late(Duration),
    /// Taken, and never answered.
    Silence,
}

/// When receipts go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipts {
    Never,
    /// Before the answer to the submission.
    First,
    /// Behind it.
    AtOnce,
    Later(Duration),
}

/// How a number is written as an id.
pub type WriteId = fn(u64) -> String;

/// What it is like.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    pub receipts: Receipts,
    pub style: ReceiptStyle,
    /// How ids stand in answers, and in receipts.
    pub ids: (WriteId, WriteId),
    /// The final state of a message.
    pub fate: fn(&Message) -> &'static str,
    pub bind: Status,
}

impl Default for Manners {
    fn default() -> Self {
        let plain: WriteId = |id| format!("{id:010}");
        Self {
            receipts: Receipts::AtOnce,
            style: ReceiptStyle::Both,
            ids: (plain, plain),
            fate: |_| "DELIVRD",
            bind: Status::ROK,
        }
    }
}

/// A message it took.
#[derive(Debug, Clone)]
pub struct Taken {
    pub id: u64,
    pub message: Message,
}

/// Something it has to bring.
#[derive(Debug, Clone)]
struct Due {
    /// Which of those the test or a receipt gave it.
    number: usize,
    message: Message,
}

type Judge = Box<dyn FnMut(&Message) -> Reply + Send>;

struct World {
    manners: Manners,
    judge: Option<Judge>,
    next_id: u64,
    taken: Vec<Taken>,
    count: usize,
    forgetful: bool,
    refused: usize,
    due: VecDeque<Due>,
    given: usize,
    /// How each of those given was answered, in the end.
    answered: HashMap<usize, Status>,
    /// How often anything was brought.
    brought: usize,
    connections: HashMap<u64, Open>,
    binds: usize,
    /// Boundaries passed, of all connections.
    passed: u64,
    cut_at: Option<u64>,
    cuts: usize,
    answers_malformed: usize,
    enquiries: usize,
}

struct Open {
    mode: Mode,
    out: mpsc::UnboundedSender<connection::Put>,
    under_way: HashMap<u32, Due>,
    next_sequence: u32,
}

struct Shared {
    world: Mutex<World>,
    changed: watch::Sender<u64>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

/// Any stream.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Smsc {
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    pub async fn start_with_tls(tls: TlsAcceptor) -> Self {
        Self::start_with(Some(tls)).await
    }

    async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let world = World {
            manners: Manners::default(),
            judge: None,
            next_id: 1_000,
            taken: Vec::new(),
            count: 0,
            forgetful: false,
            refused: 0,
            due: VecDeque::new(),
            given: 0,
            answered: HashMap::new(),
            brought: 0,
            connections: HashMap::new(),
            binds: 0,
            passed: 0,
            cut_at: None,
            cuts: 0,
            answers_malformed: 0,
            enquiries: 0,
        };
        let shared = Arc::new(Shared { world: Mutex::new(world), changed: watch::Sender::new(0) });
        let accepting = tokio::spawn(accept(listener, tls, shared.clone()));
        Self { address, shared, accepting }
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Changes what it is like from now on.
    pub fn behave(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.shared.locked().manners);
    }

    /// Answers submissions so from now on.
    pub fn judge(&self, judge: impl FnMut(&Message) -> Reply + Send + 'static) {
        self.shared.locked().judge = Some(Box::new(judge));
    }

    /// Accepts everything from now on.
    pub fn accept_all(&self) {
        self.shared.locked().judge = None;
    }

    /// Cuts the connection at the `nth` boundary from now, once. There are three around each PDU it gets: before it is
    /// looked at, before it is answered, and behind the answer; and one behind each PDU that it brings.
    pub fn cut_at(&self, nth: u64) {
        let mut world = self.shared.locked();
        world.cut_at = Some(world.passed + nth);
    }

    /// Cuts every connection.
    pub fn cut_all(&self) {
        let mut world = self.shared.locked();
        for open in world.connections.values() {
            drop(open.out.send(connection::Put::Cut));
        }
        world.cuts += world.connections.len();
    }

    /// Sends octets to every connection, whatever they are.
    pub fn babble(&self, octets: &[u8]) {
        for open in self.shared.locked().connections.values() {
            drop(open.out.send(connection::Put::Octets(octets.to_vec())));
        }
    }

    /// Takes leave of every connection.
    pub fn unbind_all(&self) {
        let mut world = self.shared.locked();
        for open in world.connections.values_mut() {
            open.next_sequence += 1;
            let mut octets = Vec::new();
            offhook_smpp::Pdu::request(open.next_sequence, offhook_smpp::Body::Unbind).write(&mut octets);
            drop(open.out.send(connection::Put::Octets(octets)));
        }
    }

    /// Brings a message, again and again until it is answered. Its number is for [`answer_to`](Self::answer_to).
    pub fn bring(&self, message: Message) -> usize {
        let number = self.shared.locked().give(message);
        self.shared.pump();
        number
    }

    /// How what was brought under this number is answered in the end.
    pub async fn answer_to(&self, number: usize) -> Status {
        self.until("an answer", |world| world.answered.get(&number).copied()).await
    }

    /// Waits until all it has to bring is answered for good.
    pub async fn all_answered(&self) {
        self.until("all answers", |world| (world.answered.len() == world.given).then_some(())).await;
    }

    /// Waits until so many messages were taken, and tells all of them.
    pub async fn taken(&self, count: usize) -> Vec<Taken> {
        self.until("submissions", |world| (world.taken.len() >= count).then(|| world.taken.clone())).await
    }

    /// Keeps no submission and no answer from now on, for so many that it matters.
    pub fn forget(&self) {
        self.shared.locked().forgetful = true;
    }

    /// How many were taken by now, kept or not.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.locked().count
    }

    /// What was taken by now.
    #[must_use]
    pub fn taken_so_far(&self) -> Vec<Taken> {
        self.shared.locked().taken.clone()
    }

    /// Waits until it was asked so often whether it is there.
    pub async fn enquired(&self, count: usize) {
        self.until("enquiries", |world| (world.enquiries >= count).then_some(())).await;
    }

    /// Submissions that were not taken.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.shared.locked().refused
    }

    /// How often anything was brought, repeats too.
    #[must_use]
    pub fn brought(&self) -> usize {
        self.shared.locked().brought
    }

    /// `generic_nack`s and the like that it got.
    #[must_use]
    pub fn complaints(&self) -> usize {
        self.shared.locked().answers_malformed
    }

    /// Binds that it ever took.
    #[must_use]
    pub fn binds(&self) -> usize {
        self.shared.locked().binds
    }

    #[must_use]
    pub fn cuts(&self) -> usize {
        self.shared.locked().cuts
    }

    /// Boundaries passed by now.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.shared.locked().passed
    }

    /// Waits until so many connections are bound.
    pub async fn bound(&self, count: usize) {
        self.until("binds", |world| (world.connections.len() >= count).then_some(())).await;
    }

    /// Waits until no connection is open.
    pub async fn deserted(&self) {
        self.until("the end of all connections", |world| world.connections.is_empty().then_some(())).await;
    }

    async fn until<T>(&self, what: &str, look: impl Fn(&World) -> Option<T>) -> T {
        let mut changed = self.shared.changed.subscribe();
        let waiting = async {
            loop {
                if let Some(found) = look(&self.shared.locked()) {
                    return found;
                }
                changed.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(DEADLINE, waiting).await {
            Ok(found) => found,
            Err(_) => panic!("the message centre waited in vain for {what}"),
        }
    }
}

impl Drop for Smsc {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut_all();
    }
}

impl Shared {
    fn locked(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Brings what is due over connections that take it, in turn.
    fn pump(&self) {
        let mut world = self.locked();
        let takers: Vec<u64> =
            world.connections.iter().filter(|(_, open)| open.mode.receives()).map(|(id, _)| *id).collect();
        let mut turn = 0;
        while let (Some(id), true) = (takers.get(turn % takers.len().max(1)).copied(), !world.due.is_empty()) {
            turn += 1;
            let Some(due) = world.due.pop_front() else { break };
            world.brought += 1;
            let cut = world.pass();
            let Some(open) = world.connections.get_mut(&id) else { break };
            open.next_sequence += 1;
            let body = offhook_smpp::Body::DeliverSm(Box::new(due.message.clone()));
            let mut octets = Vec::new();
            offhook_smpp::Pdu::request(open.next_sequence, body).write(&mut octets);
            open.under_way.insert(open.next_sequence, due);
            drop(open.out.send(connection::Put::Octets(octets)));
            if cut {
                drop(open.out.send(connection::Put::Cut));
                break;
            }
        }
        drop(world);
        self.tell();
    }
}

impl World {
    fn give(&mut self, message: Message) -> usize {
        let number = self.given;
        self.given += 1;
        self.due.push_back(Due { number, message });
        number
    }

    /// Passes a boundary; true where the connection is to be cut there.
    fn pass(&mut self) -> bool {
        self.passed += 1;
        let cut = self.cut_at.is_some_and(|at| at <= self.passed);
        if cut {
            self.cut_at = None;
            self.cuts += 1;
        }
        cut
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut id = 0;
    while let Ok((tcp, _)) = listener.accept().await {
        id += 1;
        let _ = tcp.set_nodelay(true);
        let (shared, tls) = (shared.clone(), tls.clone());
        tokio::spawn(async move {
            let stream: Box<dyn Stream> = match tls {
                None => Box::new(tcp),
                Some(tls) => match tls.accept(tcp).await {
                    Ok(stream) => Box::new(stream),
                    Err(_) => return,
                },
            };
            connection::serve(id, stream, shared).await;
        });
    }
}
