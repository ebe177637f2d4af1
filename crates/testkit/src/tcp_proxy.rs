//! A TCP proxy that breaks things on demand: a database, a carrier or a peer behind a network that fails.
//!
//! In: connections of a client, the address of its server, and what the test wants broken. Out: the same bytes on both
//! sides until then; cuts, refusals and silence after. What counts as a message is told by a [`Protocol`], so that a
//! connection can be cut at a chosen one. Never here: what the test expects of those who are cut off.
//!
//! ```ignore
//! let proxy = TcpProxy::speaking::<PostgresWire>("127.0.0.1:5432").await;
//! proxy.stall();                                       // a network partition: silence, the sockets stay open
//! proxy.flow();
//! proxy.judge(at_message(End::Client, 7, Verdict::cut_before(Cut::Reset)));
//! proxy.cut_all(Cut::Close);
//! ```

#![allow(clippy::disallowed_methods, reason = "tests watch what they start")]

mod carry;
pub mod postgres;
mod protocol;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::protocol::{Anything, Protocol};

/// How long the waits below wait before they panic.
const DEADLINE: Duration = Duration::from_secs(30);

/// Stops when dropped, and closes its connections.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// One of the two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Client,
    Server,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// RST, as by a process or a box in between that died.
    Reset,
    /// FIN, as by a process that ended in peace.
    Close,
}

/// A whole message on its way.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Which connection, from 1 on in the order of their coming.
    pub connection: usize,
    pub sender: End,
    /// Which message of this sender on this connection, from 1 on.
    pub number: u64,
    /// How many bytes the sender has sent before it.
    pub before: usize,
    pub bytes: &'a [u8],
    /// What it says, as far as the protocol can tell in words.
    pub text: &'a str,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// It is kept back until the next message of the same sender is judged, and shares its fate.
    Hold,
    Cut(Cutting),
}

/// A cut at a message. What was forwarded arrives: the receiver's side is closed with FIN behind it, and the sender's
/// as told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cutting {
    pub how: Cut,
    /// How many of the bytes up to the end of this message are not forwarded any more: 0 cuts behind it, its length
    /// before it, more takes back what was on hold.
    pub kept_back: usize,
    /// Whether the sender first gets the answers to everything before this message.
    pub answered: bool,
    /// Whether the server is away from then on: every connection is cut and no new one is taken.
    pub away: bool,
}

impl Verdict {
    /// The message is not forwarded.
    #[must_use]
    pub fn cut_before(how: Cut, message: &Message<'_>) -> Self {
        Self::Cut(Cutting { how, kept_back: message.bytes.len(), answered: true, away: false })
    }

    /// The message is forwarded, and its answer lost.
    #[must_use]
    pub fn cut_after(how: Cut) -> Self {
        Self::Cut(Cutting { how, kept_back: 0, answered: true, away: false })
    }
}

/// Judges the messages of all connections, one at a time.
pub trait Judge: FnMut(&Message<'_>) -> Verdict + Send + 'static {}
impl<F: FnMut(&Message<'_>) -> Verdict + Send + 'static> Judge for F {}

/// Passes everything but the `nth` message of a sender on each connection, which is judged so.
pub fn at_message(sender: End, nth: u64, verdict: impl Fn(&Message<'_>) -> Verdict + Send + 'static) -> impl Judge {
    move |message: &Message<'_>| {
        let chosen = message.sender == sender && message.number == nth;
        if chosen { verdict(message) } else { Verdict::Pass }
    }
}

/// Passes everything but the first message of all connections that `is_it`, which is judged so.
pub fn at_first(
    is_it: impl Fn(&Message<'_>) -> bool + Send + 'static,
    verdict: impl Fn(&Message<'_>) -> Verdict + Send + 'static,
) -> impl Judge {
    let mut passed = false;
    move |message: &Message<'_>| {
        let chosen = !passed && is_it(message);
        passed |= chosen;
        if chosen { verdict(message) } else { Verdict::Pass }
    }
}

/// Cuts each connection when `count` bytes of a sender have been forwarded.
pub fn after_bytes(sender: End, count: usize, how: Cut) -> impl Judge {
    move |message: &Message<'_>| {
        let end = message.before + message.bytes.len();
        if message.sender != sender || end < count {
            return Verdict::Pass;
        }
        Verdict::Cut(Cutting { how, kept_back: end - count, answered: false, away: false })
    }
}

/// What the connections and the test both reach.
struct Shared {
    upstream: String,
    speak: fn() -> Box<dyn Protocol>,
    judge: Mutex<Option<Box<dyn Judge>>>,
    /// Counts the cuts of all connections, and tells how the last one went.
    cuts: watch::Sender<(u64, Cut)>,
    refusing: watch::Sender<bool>,
    stalled: watch::Sender<Stalled>,
    connections: watch::Sender<Connections>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Stalled {
    from_client: bool,
    from_server: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Connections {
    opened: usize,
    closed: usize,
    refused: usize,
    /// Cut at a message, and the receiver still at work on what came before.
    finishing: usize,
}

impl TcpProxy {
    /// Forwards to `upstream` (host and port) whatever is spoken.
    ///
    /// # Panics
    /// When no port can be opened.
    pub async fn start(upstream: &str) -> Self {
        Self::speaking::<Anything>(upstream).await
    }

    /// Forwards to `upstream` (host and port), message by message.
    ///
    /// # Panics
    /// When no port can be opened.
    pub async fn speaking<P: Protocol + Default + 'static>(upstream: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port on loopback");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            speak: || Box::new(P::default()),
            judge: Mutex::default(),
            cuts: watch::Sender::new((0, Cut::Close)),
            refusing: watch::Sender::new(false),
            stalled: watch::Sender::default(),
            connections: watch::Sender::default(),
        });
        let accepting = tokio::spawn(carry::accept(listener, shared.clone()));
        Self { address, shared, accepting }
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection that there is.
    pub fn cut_all(&self, how: Cut) {
        self.shared.cut_all(how);
    }

    /// From now on new connections are reset as soon as they are made.
    pub fn refuse(&self) {
        self.shared.refusing.send_replace(true);
    }

    /// New connections are taken again.
    pub fn accept(&self) {
        self.shared.refusing.send_replace(false);
    }

    /// A network partition: nothing arrives on either side any more, and the sockets stay open.
    pub fn stall(&self) {
        self.shared.stalled.send_replace(Stalled { from_client: true, from_server: true });
    }

    /// What `sender` sends does not arrive any more; the other way stays as it is.
    pub fn stall_from(&self, sender: End) {
        self.shared.stalled.send_modify(|stalled| match sender {
            End::Client => stalled.from_client = true,
            End::Server => stalled.from_server = true,
        });
    }

    /// Ends a stall: what was on its way arrives.
    pub fn flow(&self) {
        self.shared.stalled.send_replace(Stalled::default());
    }

    /// Lets every message be judged from now on, instead of by the judge before.
    pub fn judge(&self, judge: impl Judge) {
        *self.shared.judge.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(judge));
    }

    /// Lets every message pass from now on.
    pub fn pass_all(&self) {
        *self.shared.judge.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Connections made so far, refused ones not counted.
    #[must_use]
    pub fn connections_opened(&self) -> usize {
        self.shared.connections.borrow().opened
    }

    /// Connections of which at least one end is open.
    #[must_use]
    pub fn connections_open(&self) -> usize {
        let connections = *self.shared.connections.borrow();
        connections.opened - connections.closed
    }

    /// Waits until `n` connections have ended on both sides.
    ///
    /// # Panics
    /// When the deadline passes first.
    pub async fn wait_for_closed(&self, n: usize) {
        self.wait(&format!("{n} closed connections"), |connections| connections.closed >= n).await;
    }

    /// Waits until `n` more connections than so far have been refused.
    ///
    /// # Panics
    /// When the deadline passes first.
    pub async fn wait_for_refused(&self, n: usize) {
        let wanted = self.shared.connections.borrow().refused + n;
        self.wait(&format!("{n} more refused"), |connections| connections.refused >= wanted).await;
    }

    /// Waits until the receivers of connections that were cut at a message are done with what they got.
    ///
    /// # Panics
    /// When the deadline passes first.
    pub async fn wait_until_finished(&self) {
        self.wait("nothing on its way over a cut connection", |connections| connections.finishing == 0).await;
    }

    async fn wait(&self, what: &str, mut condition: impl FnMut(&Connections) -> bool) {
        let mut connections = self.shared.connections.subscribe();
        let came = tokio::time::timeout(DEADLINE, connections.wait_for(|all| condition(all))).await.is_ok();
        assert!(came, "expected {what}: {:?}", self.shared.connections.borrow());
    }
}

impl Shared {
    fn cut_all(&self, how: Cut) {
        self.cuts.send_modify(|(count, last)| {
            *count += 1;
            *last = how;
        });
    }

    fn verdict(&self, message: &Message<'_>) -> Verdict {
        let mut judge = self.judge.lock().unwrap_or_else(PoisonError::into_inner);
        judge.as_mut().map_or(Verdict::Pass, |judge| judge(message))
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        // The task owns its connections, so they end with it.
        self.accepting.abort();
    }
}

#[cfg(test)]
mod tests;
