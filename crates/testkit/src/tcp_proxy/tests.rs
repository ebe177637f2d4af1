//! The proxy is true until it is told to lie: each fault, as a client and a server see it.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{Cut, Cutting, End, Message, Protocol, TcpProxy, Verdict, after_bytes, at_message};

/// What must not happen would happen well within this.
const A_WHILE: Duration = Duration::from_millis(150);

/// A server that keeps what it gets, and answers each message with itself.
struct Echo {
    address: String,
    received: Arc<watch::Sender<Vec<u8>>>,
    ends: Arc<Mutex<Vec<Option<ErrorKind>>>>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let received = Arc::new(watch::Sender::new(Vec::new()));
        let ends = Arc::<Mutex<Vec<_>>>::default();
        let (keep, keep_end) = (received.clone(), ends.clone());
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let (keep, keep_end) = (keep.clone(), keep_end.clone());
                tokio::spawn(async move {
                    let mut bytes = [0; 1024];
                    let end = loop {
                        match socket.read(&mut bytes).await {
                            Ok(0) => break None,
                            Ok(n) => {
                                let _ = socket.write_all(&bytes[..n]).await;
                                keep.send_modify(|all: &mut Vec<u8>| all.extend_from_slice(&bytes[..n]));
                            }
                            Err(error) => break Some(error.kind()),
                        }
                    };
                    keep_end.lock().unwrap().push(end);
                });
            }
        });
        Self { address, received, ends }
    }

    async fn wait_for(&self, bytes: &[u8]) {
        let mut received = self.received.subscribe();
        let came = tokio::time::timeout(Duration::from_secs(10), received.wait_for(|all| all == bytes)).await;
        assert!(came.is_ok(), "expected {bytes:?}, got {:?}", self.received.borrow());
    }

    fn received(&self) -> Vec<u8> {
        self.received.borrow().clone()
    }
}

/// Messages of a length and that many bytes; each wants one answer.
#[derive(Default)]
struct Prefixed;

impl Protocol for Prefixed {
    fn length(&self, _: End, bytes: &[u8]) -> Option<usize> {
        let whole = 1 + usize::from(*bytes.first()?);
        (bytes.len() >= whole).then_some(whole)
    }

    fn read(&mut self, sender: End, message: &[u8]) -> (String, i64) {
        let words = String::from_utf8_lossy(&message[1..]).into_owned();
        (words, if sender == End::Client { 1 } else { -1 })
    }
}

async fn connect(proxy: &TcpProxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

async fn say(client: &mut TcpStream, bytes: &[u8]) {
    client.write_all(bytes).await.unwrap();
}

async fn hear(client: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    tokio::time::timeout(Duration::from_secs(10), client.read_exact(&mut bytes)).await.unwrap().unwrap();
    bytes
}

/// How the connection ends, after these last bytes.
async fn end_of(client: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut bytes = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(10), client.read_to_end(&mut bytes)).await.unwrap();
    (bytes, end.err().map(|error| error.kind()))
}

#[tokio::test]
async fn bytes_pass_both_ways_and_connections_are_counted() {
    let echo = Echo::start().await;
    let proxy = TcpProxy::start(&echo.address).await;
    let (mut one, mut other) = (connect(&proxy).await, connect(&proxy).await);
    say(&mut one, b"first").await;
    assert_eq!(hear(&mut one, 5).await, b"first");
    say(&mut other, b"second").await;
    assert_eq!(hear(&mut other, 6).await, b"second");
    assert_eq!((proxy.connections_opened(), proxy.connections_open()), (2, 2));
    drop(one);
    proxy.wait_for_closed(1).await;
    assert_eq!((proxy.connections_opened(), proxy.connections_open()), (2, 1));
}

#[tokio::test]
async fn an_end_that_has_said_all_still_hears() {
    let echo = Echo::start().await;
    let proxy = TcpProxy::start(&echo.address).await;
    let mut client = connect(&proxy).await;
    say(&mut client, b"last words").await;
    client.shutdown().await.unwrap();
    assert_eq!(end_of(&mut client).await, (b"last words".to_vec(), None));
    proxy.wait_for_closed(1).await;
    assert_eq!(*echo.ends.lock().unwrap(), [None]);
}

#[tokio::test]
async fn connections_are_cut_as_told() {
    let echo = Echo::start().await;
    let proxy = TcpProxy::start(&echo.address).await;
    for (how, seen) in [(Cut::Reset, Some(ErrorKind::ConnectionReset)), (Cut::Close, None)] {
        let mut clients = [connect(&proxy).await, connect(&proxy).await];
        for client in &mut clients {
            say(client, b"x").await;
            hear(client, 1).await;
        }
        proxy.cut_all(how);
        for client in &mut clients {
            assert_eq!(end_of(client).await, (Vec::new(), seen), "{how:?}");
        }
    }
    proxy.wait_for_closed(4).await;
}

#[tokio::test]
async fn new_connections_can_be_refused_while_old_ones_live() {
    let echo = Echo::start().await;
    let proxy = TcpProxy::start(&echo.address).await;
    let mut old = connect(&proxy).await;
    say(&mut old, b"1").await;
    hear(&mut old, 1).await;
    proxy.refuse();
    let refused = async { end_of(&mut connect(&proxy).await).await };
    let (end, ()) = tokio::join!(refused, proxy.wait_for_refused(1));
    assert_eq!(end, (Vec::new(), Some(ErrorKind::ConnectionReset)));
    say(&mut old, b"2").await;
    hear(&mut old, 1).await;
    proxy.accept();
    let mut new = connect(&proxy).await;
    say(&mut new, b"3").await;
    hear(&mut new, 1).await;
    assert_eq!(proxy.connections_opened(), 2);
}

#[tokio::test]
async fn a_server_that_is_away_ends_its_clients() {
    let proxy = TcpProxy::start("127.0.0.1:1").await;
    assert_eq!(end_of(&mut connect(&proxy).await).await, (Vec::new(), Some(ErrorKind::ConnectionReset)));
}

#[tokio::test]
async fn in_a_stall_nothing_arrives_and_nothing_is_lost() {
    let echo = Echo::start().await;
    let proxy = TcpProxy::start(&echo.address).await;
    let mut client = connect(&proxy).await;
    say(&mut client, b"before ").await;
    hear(&mut client, 7).await;
    proxy.stall();
    say(&mut client, b"during ").await;
    let mut late = connect(&proxy).await;
    let mut byte = [0];
    assert!(tokio::time::timeout(A_WHILE, client.read(&mut byte)).await.is_err());
    assert_eq!(echo.received(), b"before ");
    proxy.flow();
    assert_eq!(hear(&mut client, 7).await, b"during ");
    say(&mut late, b"late").await;
    assert_eq!(hear(&mut late, 4).await, b"late");
}

#[tokio::test]
async fn a_stall_may_be_of_one_direction() {
    let echo = Echo::start().await;
    let proxy = TcpProxy::start(&echo.address).await;
    let mut client = connect(&proxy).await;
    say(&mut client, b"1").await;
    hear(&mut client, 1).await;
    proxy.stall_from(End::Server);
    say(&mut client, b"2").await;
    echo.wait_for(b"12").await;
    let mut byte = [0];
    assert!(tokio::time::timeout(A_WHILE, client.read(&mut byte)).await.is_err(), "the answer does not arrive");
    proxy.flow();
    assert_eq!(hear(&mut client, 1).await, b"2");
    proxy.stall_from(End::Client);
    say(&mut client, b"3").await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(echo.received(), b"12", "the question does not arrive");
    proxy.cut_all(Cut::Close);
    assert_eq!(end_of(&mut client).await.0, b"", "a stalled connection can be cut");
}

#[tokio::test]
async fn a_connection_is_cut_after_so_many_bytes() {
    let echo = Echo::start().await;
    let proxy = TcpProxy::start(&echo.address).await;
    proxy.judge(after_bytes(End::Client, 5, Cut::Close));
    for _ in 0..2 {
        let mut client = connect(&proxy).await;
        say(&mut client, b"abc").await;
        hear(&mut client, 3).await;
        say(&mut client, b"defg").await;
        end_of(&mut client).await;
    }
    proxy.wait_for_closed(2).await;
    assert_eq!(echo.received(), b"abcdeabcde");
    assert_eq!(*echo.ends.lock().unwrap(), [None, None], "what was forwarded arrives, and FIN behind it");
    proxy.judge(after_bytes(End::Server, 2, Cut::Reset));
    let mut client = connect(&proxy).await;
    say(&mut client, b"xyz").await;
    assert_eq!(end_of(&mut client).await, (b"xy".to_vec(), None));
}

const THREE: &[u8] = b"\x03one\x03two\x05three";

#[tokio::test]
async fn a_connection_is_cut_before_a_message() {
    let echo = Echo::start().await;
    let proxy = TcpProxy::speaking::<Prefixed>(&echo.address).await;
    proxy.judge(at_message(End::Client, 2, |message| Verdict::cut_before(Cut::Reset, message)));
    let mut client = connect(&proxy).await;
    say(&mut client, THREE).await;
    let end = end_of(&mut client).await;
    assert_eq!(end, (b"\x03one".to_vec(), Some(ErrorKind::ConnectionReset)), "the answer to what came before is here");
    proxy.wait_until_finished().await;
    assert_eq!(echo.received(), b"\x03one");
}

#[tokio::test]
async fn a_connection_is_cut_between_a_message_and_its_answer() {
    let echo = Echo::start().await;
    let proxy = TcpProxy::speaking::<Prefixed>(&echo.address).await;
    proxy.judge(at_message(End::Client, 2, |_| Verdict::cut_after(Cut::Close)));
    let mut client = connect(&proxy).await;
    // In pieces: a message counts when all of it is there.
    say(&mut client, &THREE[..6]).await;
    assert_eq!(hear(&mut client, 4).await, b"\x03one");
    say(&mut client, &THREE[6..]).await;
    assert_eq!(end_of(&mut client).await, (Vec::new(), None));
    proxy.wait_for_closed(1).await;
    assert_eq!(echo.received(), b"\x03one\x03two");
}

#[tokio::test]
async fn messages_can_be_held_until_the_next_tells_what_they_are() {
    let echo = Echo::start().await;
    let proxy = TcpProxy::speaking::<Prefixed>(&echo.address).await;
    let judge = |message: &Message<'_>| match message.text {
        "two" => Verdict::Hold,
        "three" => Verdict::Cut(Cutting { how: Cut::Close, kept_back: 6 + 4, answered: true, away: false }),
        _ => Verdict::Pass,
    };
    proxy.judge(judge);
    let mut client = connect(&proxy).await;
    say(&mut client, b"\x03two\x03one").await;
    assert_eq!(hear(&mut client, 8).await, b"\x03two\x03one", "with the next it passes");
    say(&mut client, b"\x03two\x05three").await;
    end_of(&mut client).await;
    proxy.wait_for_closed(1).await;
    assert_eq!(echo.received(), b"\x03two\x03one", "with the next it is taken back");
}

#[tokio::test]
async fn a_cut_can_be_the_beginning_of_an_absence() {
    let echo = Echo::start().await;
    let proxy = TcpProxy::speaking::<Prefixed>(&echo.address).await;
    let away = Cutting { how: Cut::Reset, kept_back: 0, answered: false, away: true };
    proxy.judge(move |message: &Message<'_>| match message.text {
        "two" => Verdict::Cut(away),
        _ => Verdict::Pass,
    });
    let (mut client, mut bystander) = (connect(&proxy).await, connect(&proxy).await);
    say(&mut bystander, b"\x03one").await;
    hear(&mut bystander, 4).await;
    say(&mut client, b"\x03two").await;
    for client in [&mut client, &mut bystander, &mut connect(&proxy).await] {
        assert_eq!(end_of(client).await, (Vec::new(), Some(ErrorKind::ConnectionReset)));
    }
    proxy.accept();
    let mut client = connect(&proxy).await;
    say(&mut client, b"\x03one").await;
    hear(&mut client, 4).await;
}
