//! A customer's server, for tests: a real HTTP/1.1 server on loopback that keeps what it is sent and misbehaves
//! on demand.
//!
//! Enters: requests over a socket. Leaves: [`Received`], and whatever answer the test asked for.
//! Never here: code of the server under test; signatures are verified by an implementation of our own.
//!
//! ```ignore
//! let customer = WebhookReceiver::start().await;
//! customer.once(Mode::Reset);              // the first delivery fails,
//! let got = customer.wait_for(2).await;    // so there is a second
//! got[1].verify(&secret).unwrap();
//! ```
//!
//! Waiting uses tokio's clock. Under `start_paused` it runs ahead of real sockets: don't combine the two.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests watch what they start, and ask as they like"
)]

mod received;
mod serve;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::received::Received;

const DEADLINE: Duration = Duration::from_secs(10);

/// Stops when dropped, and closes its connections.
#[derive(Debug)]
pub struct WebhookReceiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    deadline: Duration,
    accepting: JoinHandle<()>,
}

/// How a request is answered.
#[derive(Debug, Clone)]
pub enum Mode {
    Answer {
        status: u16,
        content_type: &'static str,
        body: Bytes,
    },
    /// 307, so that a client that follows would post again.
    Redirect(String),
    /// The connection is reset, without an answer.
    Reset,
    /// Nothing, until the client gives up.
    Hang,
    /// 200, and a body without end, as fast as it is read.
    StreamForever,
    /// 200, and a body without end, one byte per interval.
    Drip(Duration),
    /// 200, and a body of so many bytes.
    Huge(u64),
    /// 200 and the beginning of a longer body, then the connection is reset.
    ResetMidway,
}

impl Mode {
    /// An answer with an empty body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Answer { status, content_type: "text/plain", body: Bytes::new() }
    }
}

/// What the connections and the test both reach.
#[derive(Debug)]
struct Shared {
    script: Mutex<Script>,
    received: watch::Sender<Vec<Received>>,
    /// Connections opened and closed so far.
    connections: watch::Sender<Connections>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Connections {
    opened: usize,
    closed: usize,
}

type Choose = Box<dyn FnMut(&Received) -> Mode + Send>;

struct Script {
    standing: Mode,
    once: VecDeque<Mode>,
    /// Chooses in place of the standing mode.
    choose: Option<Choose>,
    delay: Duration,
    secret: Option<String>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script").field("standing", &self.standing).field("once", &self.once).finish_non_exhaustive()
    }
}

impl WebhookReceiver {
    /// Listens on a free port and answers 200 until told otherwise.
    ///
    /// # Panics
    /// When no port can be opened.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port on loopback");
        let address = listener.local_addr().expect("a bound socket has an address");
        let script = Script {
            standing: Mode::status(200),
            once: VecDeque::new(),
            choose: None,
            delay: Duration::ZERO,
            secret: None,
        };
        let shared = Arc::new(Shared {
            script: Mutex::new(script),
            received: watch::Sender::default(),
            connections: watch::Sender::default(),
        });
        let accepting = tokio::spawn(serve::accept(listener, Arc::clone(&shared)));
        Self { address, shared, deadline: DEADLINE, accepting }
    }

    /// How long the waits below wait before they panic (10 s unless told).
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Where to send webhooks; every other path is received as well.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on a request whose signatures don't verify is answered 401, as a careful customer would.
    /// It is recorded all the same.
    pub fn set_secret(&self, secret: &str) {
        self.script().secret = Some(secret.to_owned());
    }

    /// Answers with `status` and an empty body from now on.
    pub fn answer(&self, status: u16) {
        self.set_mode(Mode::status(status));
    }

    /// Answers 200 with this JSON, or text, from now on.
    pub fn answer_with(&self, body: impl Into<Bytes>) {
        self.set_mode(Mode::Answer { status: 200, content_type: "application/json", body: body.into() });
    }

    pub fn redirect(&self, to: &str) {
        self.set_mode(Mode::Redirect(to.to_owned()));
    }

    pub fn reset(&self) {
        self.set_mode(Mode::Reset);
    }

    pub fn hang(&self) {
        self.set_mode(Mode::Hang);
    }

    pub fn stream_forever(&self) {
        self.set_mode(Mode::StreamForever);
    }

    pub fn huge(&self, bytes: u64) {
        self.set_mode(Mode::Huge(bytes));
    }

    pub fn set_mode(&self, mode: Mode) {
        let mut script = self.script();
        script.standing = mode;
        script.choose = None;
    }

    /// Answers each request from now on as `choose` says of it.
    pub fn answer_each(&self, choose: impl FnMut(&Received) -> Mode + Send + 'static) {
        self.script().choose = Some(Box::new(choose));
    }

    /// Answers one request so, before the standing mode applies again. Several queue up: a failure, then success.
    pub fn once(&self, mode: Mode) {
        self.script().once.push_back(mode);
    }

    /// Waits so long before each answer from now on.
    pub fn delay(&self, delay: Duration) {
        self.script().delay = delay;
    }

    /// Everything received so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.borrow().clone()
    }

    /// Waits until at least `n` requests have come, and returns all.
    ///
    /// # Panics
    /// When the deadline passes first; the text lists what did come.
    pub async fn wait_for(&self, n: usize) -> Vec<Received> {
        self.wait(&format!("{n} requests"), |received| received.len() >= n).await
    }

    /// Waits until what has been received satisfies `condition`, and returns it.
    ///
    /// # Panics
    /// When the deadline passes first; the text lists what did come.
    pub async fn wait_until(&self, condition: impl FnMut(&[Received]) -> bool) -> Vec<Received> {
        self.wait("requests that satisfy the condition", condition).await
    }

    /// Connections opened so far: one, for a client that keeps its connection alive.
    #[must_use]
    pub fn connections_opened(&self) -> usize {
        self.shared.connections.borrow().opened
    }

    /// Waits until `n` connections have been closed, by either side.
    ///
    /// # Panics
    /// When the deadline passes first.
    pub async fn wait_for_closed(&self, n: usize) {
        let mut connections = self.shared.connections.subscribe();
        let closed = tokio::time::timeout(self.deadline, connections.wait_for(|c| c.closed >= n)).await;
        assert!(closed.is_ok(), "expected {n} closed connections: {:?}", self.shared.connections.borrow());
    }

    async fn wait(&self, what: &str, mut condition: impl FnMut(&[Received]) -> bool) -> Vec<Received> {
        let mut received = self.shared.received.subscribe();
        let in_time = match tokio::time::timeout(self.deadline, received.wait_for(|all| condition(all))).await {
            Ok(Ok(all)) => Some(all.clone()),
            _ => None,
        };
        in_time.unwrap_or_else(|| {
            let came = self.received();
            let list: String = came.iter().map(|one| format!("\n  {one}")).collect();
            panic!("expected {what} within {:?}; {} came:{list}", self.deadline, came.len());
        })
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.shared.script()
    }
}

impl Shared {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WebhookReceiver {
    fn drop(&mut self) {
        // The task owns its connections, so they end with it.
        self.accepting.abort();
    }
}

#[cfg(test)]
mod tests;
