//! The sockets below the endpoint: datagrams, streams, and streams under TLS. In: bytes for a flow. Out: bytes of flows, and
//! flows that are closed. A peer that never reads, or says nothing for long, costs a bounded piece of memory and is let go.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use offhook_sip::{Flow, Transmit, Transport};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::places::towards;
use super::{OpenError, Tls};

/// What comes from below.
pub enum Arrived {
    Datagram(Flow, Vec<u8>),
    /// Somebody opened a stream.
    Opened(Flow, StreamId, Outgoing),
    Bytes(Flow, Vec<u8>),
    Closed(Flow, StreamId),
}

/// Which stream of a flow: where one ends, another may carry the flow already.
pub type StreamId = u64;

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Bytes for a stream; whether it ends behind them.
pub type Outgoing = mpsc::Sender<(Vec<u8>, bool)>;

/// Messages that wait for a peer to read them.
const WAITING: usize = 64;
/// A burst of calls must fit: the kernel may give less.
const BUFFER: usize = 4 * 1024 * 1024;
const CONNECT: Duration = Duration::from_secs(5);
/// A stream on which nothing comes or goes for so long is closed. Dialogs of longer silence open another one.
const IDLE: Duration = Duration::from_secs(3_600);
/// One to which we have said nothing yet, and so one of a stranger, is closed after so long, whatever comes on it.
const SILENT: Duration = Duration::from_secs(30);
/// Streams of one address, and of all together.
const MOST_OF_ONE: usize = 200;
const MOST: usize = 5_000;

pub struct Sockets {
    udp: Vec<(SocketAddr, Arc<UdpSocket>)>,
    listeners: Vec<(Transport, SocketAddr)>,
    streams: HashMap<Flow, (StreamId, Outgoing)>,
    tls: Option<Tls>,
    names: HashMap<SocketAddr, String>,
    pub arrived: mpsc::Receiver<Arrived>,
    note: mpsc::Sender<Arrived>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Sockets {
    pub async fn bind(
        listeners: &[(Transport, SocketAddr)],
        tls: Option<Tls>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Self, OpenError> {
        let (note, arrived) = mpsc::channel(4096);
        let mut sockets = Self {
            udp: Vec::new(),
            listeners: Vec::new(),
            streams: HashMap::new(),
            tls,
            names: HashMap::new(),
            arrived,
            note,
            tasks: tasks.clone(),
            stop: stop.clone(),
        };
        for (transport, address) in listeners {
            let failed = |error| OpenError::Bind { transport: *transport, address: *address, error };
            match transport {
                Transport::Udp => sockets.bind_udp(*address).map_err(failed)?,
                Transport::Tcp => {
                    let listener = TcpListener::bind(address).await.map_err(failed)?;
                    sockets.listen(listener, Transport::Tcp, None).map_err(failed)?;
                }
                Transport::Tls => {
                    let acceptor = sockets.tls.as_ref().map(|tls| TlsAcceptor::from(tls.server.clone()));
                    let acceptor = acceptor.ok_or(OpenError::NoCertificate)?;
                    let listener = TcpListener::bind(address).await.map_err(failed)?;
                    sockets.listen(listener, Transport::Tls, Some(acceptor)).map_err(failed)?;
                }
            }
        }
        Ok(sockets)
    }

    pub fn listeners(&self) -> Vec<(Transport, SocketAddr)> {
        self.listeners.clone()
    }

    /// The name that the certificate of an address must bear.
    pub fn is_named(&mut self, remote: SocketAddr, name: String) {
        self.names.insert(remote, name);
    }

    fn bind_udp(&mut self, address: SocketAddr) -> std::io::Result<()> {
        let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::DGRAM, None)?;
        // What the kernel does not give is no reason not to start.
        let _ = socket.set_recv_buffer_size(BUFFER);
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let udp = Arc::new(UdpSocket::from_std(socket.into())?);
        let local = udp.local_addr()?;
        self.listeners.push((Transport::Udp, local));
        self.udp.push((local, udp.clone()));
        self.tasks.spawn(datagrams(udp, local, self.note.clone(), self.stop.clone()));
        Ok(())
    }

    fn listen(&mut self, listener: TcpListener, transport: Transport, tls: Option<TlsAcceptor>) -> std::io::Result<()> {
        let local = listener.local_addr()?;
        self.listeners.push((transport, local));
        let (tasks, note, stop) = (self.tasks.clone(), self.note.clone(), self.stop.clone());
        self.tasks.spawn(newcomers(Accepting { listener, local, transport, tls, tasks, note, stop }));
        Ok(())
    }

    /// Sends, and opens the stream for it where there is none. Answers whether the flow stands: a stream whose other side does
    /// not read is let go.
    pub async fn send(&mut self, transmit: Transmit) -> bool {
        let Transmit { flow, bytes, close } = transmit;
        if flow.transport == Transport::Udp {
            let ours = |(local, _): &&(SocketAddr, Arc<UdpSocket>)| {
                local.port() == flow.local.port() && (local.ip() == flow.local.ip() || local.ip().is_unspecified())
            };
            if let Some((_, udp)) = self.udp.iter().find(ours) {
                // What does not go out is as good as lost on the way.
                let _ = udp.send_to(&bytes, flow.remote).await;
            }
            return true;
        }
        let stream = match self.streams.get(&flow) {
            Some((_, stream)) => stream.clone(),
            None => self.connect(flow),
        };
        let taken = stream.try_send((bytes, close)).is_ok();
        if !taken {
            self.streams.remove(&flow);
        }
        taken
    }

    /// Something that is to be done beside the desk, and ends with it.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(work).await;
        });
    }

    /// Answers whether it takes the place of one that was not known to have ended.
    pub fn opened(&mut self, flow: Flow, id: StreamId, stream: Outgoing) -> bool {
        self.streams.insert(flow, (id, stream)).is_some()
    }

    /// Answers whether it was the one that carries the flow.
    pub fn closed(&mut self, flow: Flow, id: StreamId) -> bool {
        let is_current = self.streams.get(&flow).is_some_and(|(current, _)| *current == id);
        if is_current {
            self.streams.remove(&flow);
        }
        is_current
    }

    fn connect(&mut self, flow: Flow) -> Outgoing {
        let (outgoing, lines) = mpsc::channel(WAITING);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        self.streams.insert(flow, (id, outgoing.clone()));
        let name = self.names.get(&flow.remote).cloned().unwrap_or_else(|| flow.remote.ip().to_string());
        let tls = self.tls.as_ref().map(|tls| (TlsConnector::from(tls.client.clone()), name));
        let (note, stop) = (self.note.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            let carried = stop.run_until_cancelled(open(flow, tls, lines, &note)).await;
            if let Some(Err(error)) = carried {
                tracing::info!(remote = %flow.remote, %error, "a SIP connection can't be opened");
            }
            drop(note.send(Arrived::Closed(flow, id)).await);
        });
        outgoing
    }
}

async fn open(
    flow: Flow,
    tls: Option<(TlsConnector, String)>,
    lines: mpsc::Receiver<(Vec<u8>, bool)>,
    note: &mpsc::Sender<Arrived>,
) -> std::io::Result<()> {
    let late = || std::io::Error::from(std::io::ErrorKind::TimedOut);
    let stream = timeout(CONNECT, connect(flow.remote)).await.map_err(|_| late())??;
    let _ = stream.set_nodelay(true);
    match (flow.transport, tls) {
        (Transport::Tls, Some((connector, name))) => {
            let name = ServerName::try_from(name).map_err(std::io::Error::other)?;
            let stream = timeout(CONNECT, connector.connect(name, stream)).await.map_err(|_| late())??;
            carry(flow, stream, lines, note).await;
        }
        (Transport::Tls, None) => return Err(std::io::Error::other("there is no TLS here")),
        _ => carry(flow, stream, lines, note).await,
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "where trunks are was judged when their names were resolved")]
async fn connect(remote: SocketAddr) -> std::io::Result<TcpStream> {
    TcpStream::connect(remote).await
}

async fn datagrams(udp: Arc<UdpSocket>, local: SocketAddr, note: mpsc::Sender<Arrived>, stop: CancellationToken) {
    let mut buffer = vec![0; offhook_sip::message::MAX_DATAGRAM];
    let mut seen: HashMap<IpAddr, SocketAddr> = HashMap::new();
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => return,
            received = udp.recv_from(&mut buffer) => received,
        };
        // What a former datagram of ours met is told here; it concerns none that comes.
        let Ok((length, remote)) = received else { continue };
        if seen.len() > 10_000 {
            seen.clear();
        }
        let local = *seen.entry(remote.ip()).or_insert_with(|| towards(local, remote.ip()));
        let flow = Flow { transport: Transport::Udp, local, remote };
        if note.send(Arrived::Datagram(flow, buffer[..length].to_vec())).await.is_err() {
            return;
        }
    }
}

struct Accepting {
    listener: TcpListener,
    local: SocketAddr,
    transport: Transport,
    tls: Option<TlsAcceptor>,
    tasks: TaskTracker,
    note: mpsc::Sender<Arrived>,
    stop: CancellationToken,
}

async fn newcomers(accepting: Accepting) {
    let Accepting { listener, local, transport, tls, tasks, note, stop } = accepting;
    let open: Arc<std::sync::Mutex<HashMap<IpAddr, usize>>> = Arc::default();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, remote)) = accepted else {
            // Out of descriptors, for one: it passes.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Some(place) = Place::take(&open, remote.ip()) else { continue };
        let _ = stream.set_nodelay(true);
        let flow = Flow { transport, local: towards(local, remote.ip()), remote };
        let (tls, note, stop) = (tls.clone(), note.clone(), stop.clone());
        tasks.spawn(async move {
            let _place = place;
            let (outgoing, lines) = mpsc::channel(WAITING);
            let id = NEXT.fetch_add(1, Ordering::Relaxed);
            let served = async {
                match tls {
                    Some(acceptor) => {
                        let Ok(Ok(stream)) = timeout(CONNECT, acceptor.accept(stream)).await else { return };
                        let _ = note.send(Arrived::Opened(flow, id, outgoing)).await;
                        carry(flow, stream, lines, &note).await;
                    }
                    None => {
                        let _ = note.send(Arrived::Opened(flow, id, outgoing)).await;
                        carry(flow, stream, lines, &note).await;
                    }
                }
            };
            stop.run_until_cancelled(served).await;
            drop(note.send(Arrived::Closed(flow, id)).await);
        });
    }
}

/// A place among the streams of an address.
struct Place {
    open: Arc<std::sync::Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Place {
    fn take(open: &Arc<std::sync::Mutex<HashMap<IpAddr, usize>>>, address: IpAddr) -> Option<Self> {
        let mut counts = open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let all: usize = counts.values().sum();
        let count = counts.entry(address).or_default();
        if *count >= MOST_OF_ONE || all >= MOST {
            return None;
        }
        *count += 1;
        Some(Self { open: open.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// Carries a stream's bytes both ways until it ends.
async fn carry(
    flow: Flow,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    mut lines: mpsc::Receiver<(Vec<u8>, bool)>,
    note: &mpsc::Sender<Arrived>,
) {
    let (mut read, mut write) = tokio::io::split(stream);
    let mut buffer = vec![0; 16 * 1024];
    let opened = Instant::now();
    let mut until = opened + SILENT;
    loop {
        tokio::select! {
            line = lines.recv() => {
                let Some((bytes, close)) = line else { return };
                let written = timeout(SILENT, write.write_all(&bytes)).await;
                if !matches!(written, Ok(Ok(()))) || write.flush().await.is_err() || close {
                    return;
                }
                until = Instant::now() + IDLE;
            }
            length = timeout_at(until, read.read(&mut buffer)) => match length {
                Ok(Ok(length)) if length > 0 => {
                    if until > opened + SILENT {
                        until = Instant::now() + IDLE;
                    }
                    if note.send(Arrived::Bytes(flow, buffer[..length].to_vec())).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow() -> Flow {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Flow { transport: Transport::Tcp, local: at(5060), remote: at(40_000) }
    }

    #[tokio::test]
    async fn the_late_end_of_a_stream_leaves_the_next_one_alone() {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let mut sockets = Sockets::bind(&[], None, &tasks, &stop).await.unwrap();
        let [first, second] = [1, 2].map(|id| (id, mpsc::channel(1)));
        assert!(!sockets.opened(flow(), first.0, first.1.0));
        assert!(sockets.opened(flow(), second.0, second.1.0), "the first one's end is not known yet");
        assert!(!sockets.closed(flow(), first.0));
        assert!(sockets.closed(flow(), second.0));
    }

    /// How long a stream lasts on which an octet comes every ten seconds.
    async fn lasts(answer_first: bool) -> Duration {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let (note, mut noted) = mpsc::channel(1_000);
        let (outgoing, lines) = mpsc::channel(WAITING);
        if answer_first {
            outgoing.send((b"pong".to_vec(), false)).await.unwrap();
        }
        let began = Instant::now();
        let drips = async {
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_secs(10)).await;
                if theirs.write_all(b"\n").await.is_err() {
                    return;
                }
                noted.recv().await;
            }
        };
        tokio::select! {
            () = carry(flow(), ours, lines, &note) => {}
            () = drips => {}
        }
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_never_answered_is_let_go_whatever_they_say() {
        assert_eq!(lasts(false).await, SILENT);
        assert_eq!(lasts(true).await, Duration::from_secs(200));
    }
}
