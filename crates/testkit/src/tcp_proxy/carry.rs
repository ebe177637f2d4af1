//! One connection: two pumps, and how it ends.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Cut, Cutting, End, Message, Protocol, Shared, Stalled, Verdict};

/// How long the receiver of a connection's last bytes may be at work on them.
const LAST_WORDS: Duration = Duration::from_secs(20);
const CHUNK: usize = 64 * 1024;

/// Serves until it is aborted; the connections end with it.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((client, _)) = accepted {
                if *shared.refusing.borrow() {
                    reset(client);
                    shared.connections.send_modify(|c| c.refused += 1);
                    continue;
                }
                shared.connections.send_modify(|c| c.opened += 1);
                let number = shared.connections.borrow().opened;
                // Before it is spawned: a cut from now on is a cut of this one too.
                let cuts = shared.cuts.subscribe();
                connections.spawn(connection(client, number, shared.clone(), cuts));
            },
            Some(_) = connections.join_next() => shared.connections.send_modify(|c| c.closed += 1),
        }
    }
}

/// Why a connection ends before both its ends have said all.
enum Ending {
    /// One end is gone; so is the other then.
    Broken,
    CutAll(Cut),
    /// At a message of this sender.
    CutAt(End, Cut),
}

async fn connection(mut client: TcpStream, number: usize, shared: Arc<Shared>, mut cuts: watch::Receiver<(u64, Cut)>) {
    let _ = client.set_nodelay(true);
    let mut stalled = shared.stalled.subscribe();
    let connecting = async {
        // Over a broken network nothing connects.
        let _ = stalled.wait_for(|stalled| !stalled.from_client).await;
        TcpStream::connect(&shared.upstream).await
    };
    let connected = tokio::select! {
        connected = connecting => connected,
        how = cut(&mut cuts) => return end(client, how),
    };
    let Ok(mut server) = connected else { return reset(client) };
    let _ = server.set_nodelay(true);
    let link = Link { number, protocol: Mutex::new((shared.speak)()), owed: watch::Sender::new(0), shared };
    let ending = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let pumps = async {
            tokio::try_join!(
                link.pump(End::Client, from_client, to_server),
                link.pump(End::Server, from_server, to_client)
            )
        };
        tokio::select! {
            done = pumps => done.err(),
            how = cut(&mut cuts) => Some(Ending::CutAll(how)),
        }
    };
    match ending {
        // Both have said all, and know it.
        None => {}
        Some(Ending::Broken) => {
            reset(client);
            reset(server);
        }
        Some(Ending::CutAll(how)) => {
            end(client, how);
            end(server, how);
        }
        Some(Ending::CutAt(sender, how)) => {
            let (sender, receiver) = match sender {
                End::Client => (client, server),
                End::Server => (server, client),
            };
            // Before the sender can know of the cut.
            link.shared.connections.send_modify(|c| c.finishing += 1);
            end(sender, how);
            let _ = tokio::time::timeout(LAST_WORDS, finish(receiver)).await;
            link.shared.connections.send_modify(|c| c.finishing -= 1);
        }
    }
}

async fn cut(cuts: &mut watch::Receiver<(u64, Cut)>) -> Cut {
    match cuts.changed().await {
        Ok(()) => cuts.borrow().1,
        // The proxy is gone, and this connection about to be.
        Err(_) => std::future::pending().await,
    }
}

fn end(socket: TcpStream, how: Cut) {
    match how {
        Cut::Reset => reset(socket),
        Cut::Close => drop(socket),
    }
}

/// With zero linger, closing sends RST instead of FIN.
fn reset(socket: TcpStream) {
    let _ = socket.set_zero_linger();
}

/// Closes a socket so that all that was sent arrives, and waits until the other end has closed, too.
async fn finish(mut socket: TcpStream) -> io::Result<()> {
    socket.shutdown().await?;
    let mut rest = vec![0; CHUNK];
    // Closing with answers unread would send RST.
    while socket.read(&mut rest).await? > 0 {}
    Ok(())
}

/// What the two pumps of a connection share.
struct Link {
    number: usize,
    protocol: Mutex<Box<dyn Protocol>>,
    /// Answers due to the client.
    owed: watch::Sender<i64>,
    shared: Arc<Shared>,
}

/// What a sender has sent that is not forwarded yet, and how much came before.
#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// How many of them are on hold, and how many answers they ask for.
    held: usize,
    owed: i64,
    messages: u64,
    forwarded: usize,
}

impl Link {
    /// Forwards what `sender` sends until it has no more to say.
    async fn pump(
        &self,
        sender: End,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> Result<(), Ending> {
        let mut waiting = Waiting::default();
        let mut chunk = vec![0; CHUNK];
        loop {
            self.flowing(sender).await;
            let count = from.read(&mut chunk).await.map_err(|_| Ending::Broken)?;
            // Silence may have begun while it was waited for.
            self.flowing(sender).await;
            if count == 0 {
                to.write_all(&waiting.bytes).await.map_err(|_| Ending::Broken)?;
                // The other end may have closed first.
                let _ = to.shutdown().await;
                return Ok(());
            }
            waiting.bytes.extend_from_slice(&chunk[..count]);
            self.forward(sender, &mut waiting, &mut to).await?;
        }
    }

    /// Judges and forwards every message that is there.
    async fn forward(
        &self,
        sender: End,
        waiting: &mut Waiting,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), Ending> {
        while let Some((end, verdict)) = self.judge_next(sender, waiting) {
            match verdict {
                Verdict::Pass => {
                    self.send(sender, &waiting.bytes[..end], waiting.owed, to).await?;
                    waiting.forwarded += end;
                    (waiting.held, waiting.owed) = (0, 0);
                    waiting.bytes.drain(..end);
                }
                Verdict::Hold => waiting.held = end,
                Verdict::Cut(cutting) => return self.cut(sender, &waiting.bytes[..end], cutting, to).await,
            }
        }
        Ok(())
    }

    /// Where the next message ends, if all of it is there, and what becomes of it.
    fn judge_next(&self, sender: End, waiting: &mut Waiting) -> Option<(usize, Verdict)> {
        let mut protocol = self.protocol.lock().unwrap_or_else(PoisonError::into_inner);
        let end = waiting.held + protocol.length(sender, &waiting.bytes[waiting.held..])?;
        let bytes = &waiting.bytes[waiting.held..end];
        let (text, owed) = protocol.read(sender, bytes);
        waiting.messages += 1;
        waiting.owed += owed;
        let message = Message {
            connection: self.number,
            sender,
            number: waiting.messages,
            before: waiting.forwarded + waiting.held,
            bytes,
            text: &text,
        };
        Some((end, self.shared.verdict(&message)))
    }

    async fn send(
        &self,
        sender: End,
        bytes: &[u8],
        owed: i64,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), Ending> {
        // A question counts before it is on its way, for its answer is fast; an answer once it is.
        if sender == End::Client {
            self.owed.send_modify(|all| *all += owed);
        }
        to.write_all(bytes).await.map_err(|_| Ending::Broken)?;
        if sender == End::Server {
            self.owed.send_modify(|all| *all += owed);
        }
        Ok(())
    }

    async fn cut(
        &self,
        sender: End,
        bytes: &[u8],
        cutting: Cutting,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), Ending> {
        if cutting.answered {
            let _ = self.owed.subscribe().wait_for(|owed| *owed <= 0).await;
        }
        let forwarded = bytes.len().saturating_sub(cutting.kept_back);
        to.write_all(&bytes[..forwarded]).await.map_err(|_| Ending::Broken)?;
        if cutting.away {
            self.shared.refusing.send_replace(true);
            self.shared.cut_all(cutting.how);
        }
        Err(Ending::CutAt(sender, cutting.how))
    }

    async fn flowing(&self, sender: End) {
        let flows = |stalled: &Stalled| match sender {
            End::Client => !stalled.from_client,
            End::Server => !stalled.from_server,
        };
        let _ = self.shared.stalled.subscribe().wait_for(flows).await;
    }
}
