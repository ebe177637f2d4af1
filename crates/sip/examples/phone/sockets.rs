//! The sockets below an endpoint: one for datagrams, a listener for streams, and a task for each stream.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use offhook_sip::{Flow, Transmit, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What comes from below.
pub enum Arrived {
    Datagram(Flow, Vec<u8>),
    Stream(Flow, TcpStream),
    Bytes(Flow, Vec<u8>),
    Closed(Flow),
}

/// Bytes for a stream; whether it ends behind them.
type Outgoing = mpsc::UnboundedSender<(Vec<u8>, bool)>;

pub struct Sockets {
    udp: Arc<UdpSocket>,
    streams: HashMap<Flow, Outgoing>,
    pub arrived: mpsc::UnboundedReceiver<Arrived>,
    note: mpsc::UnboundedSender<Arrived>,
    tasks: JoinSet<()>,
}

impl Sockets {
    pub async fn bind(at: SocketAddr) -> std::io::Result<Self> {
        let udp = Arc::new(UdpSocket::bind(at).await?);
        let listener = TcpListener::bind(at).await?;
        let (note, arrived) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(datagrams(Arc::clone(&udp), at, note.clone()));
        tasks.spawn(newcomers(listener, at, note.clone()));
        Ok(Self { udp, streams: HashMap::new(), arrived, note, tasks })
    }

    pub async fn send(&mut self, transmit: Transmit) {
        let Transmit { flow, bytes, close } = transmit;
        if flow.transport == Transport::Udp {
            // What does not go out is as good as lost on the way.
            let _ = self.udp.send_to(&bytes, flow.remote).await;
            return;
        }
        let stream = match self.streams.get(&flow) {
            Some(stream) => stream.clone(),
            None => self.open(flow, None),
        };
        if stream.send((bytes, close)).is_err() {
            self.closed(flow);
            let _ = self.note.send(Arrived::Closed(flow));
        }
    }

    /// A stream, accepted or to be connected.
    pub fn open(&mut self, flow: Flow, accepted: Option<TcpStream>) -> Outgoing {
        let (outgoing, lines) = mpsc::unbounded_channel();
        self.streams.insert(flow, outgoing.clone());
        self.tasks.spawn(carry(flow, accepted, lines, self.note.clone()));
        outgoing
    }

    pub fn closed(&mut self, flow: Flow) {
        self.streams.remove(&flow);
    }
}

async fn datagrams(udp: Arc<UdpSocket>, local: SocketAddr, note: mpsc::UnboundedSender<Arrived>) {
    let mut buffer = vec![0; offhook_sip::message::MAX_DATAGRAM];
    while let Ok((length, remote)) = udp.recv_from(&mut buffer).await {
        let flow = Flow { transport: Transport::Udp, local, remote };
        if note.send(Arrived::Datagram(flow, buffer[..length].to_vec())).is_err() {
            return;
        }
    }
}

async fn newcomers(listener: TcpListener, local: SocketAddr, note: mpsc::UnboundedSender<Arrived>) {
    while let Ok((stream, remote)) = listener.accept().await {
        let flow = Flow { transport: Transport::Tcp, local, remote };
        if note.send(Arrived::Stream(flow, stream)).is_err() {
            return;
        }
    }
}

async fn carry(
    flow: Flow,
    accepted: Option<TcpStream>,
    mut lines: mpsc::UnboundedReceiver<(Vec<u8>, bool)>,
    note: mpsc::UnboundedSender<Arrived>,
) {
    let stream = match accepted {
        Some(stream) => Ok(stream),
        None => connect(flow.remote).await,
    };
    if let Ok(stream) = stream {
        let _ = stream.set_nodelay(true);
        let (mut read, mut write) = stream.into_split();
        let mut buffer = vec![0; 16 * 1024];
        loop {
            tokio::select! {
                line = lines.recv() => {
                    let Some((bytes, close)) = line else { break };
                    if write.write_all(&bytes).await.is_err() || close {
                        break;
                    }
                }
                length = read.read(&mut buffer) => match length {
                    Ok(length) if length > 0 => {
                        let _ = note.send(Arrived::Bytes(flow, buffer[..length].to_vec()));
                    }
                    _ => break,
                },
            }
        }
    }
    let _ = note.send(Arrived::Closed(flow));
}

#[expect(clippy::disallowed_methods, reason = "an example calls where its command line says")]
async fn connect(remote: SocketAddr) -> std::io::Result<TcpStream> {
    TcpStream::connect(remote).await
}
