//! Real sockets against a router that answers or waits.

use std::sync::Arc;

use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;

const LONG: Duration = Duration::from_secs(60);
const WITHIN: Duration = Duration::from_secs(20);
const HEAD: &str = "GET / HTTP/1.1\r\nhost: here\r\n";

struct Server {
    address: std::net::SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<io::Result<()>>,
    /// Lets a request for `/wait` go on.
    go_on: Arc<Notify>,
}

impl Server {
    async fn start(connections: usize, idle: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, go_on) = (CancellationToken::new(), Arc::new(Notify::new()));
        let waits = go_on.clone();
        let router = Router::new()
            .route("/", get(|| async { "hello" }))
            .route("/echo", post(|body: String| async { body }))
            .route(
                "/wait",
                get(move || async move {
                    waits.notified().await;
                    "at last"
                }),
            );
        let serving = tokio::spawn(serve(listener, router, Allowance { connections, idle }, stop.clone()));
        Self { address, stop, serving, go_on }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection on which this was said, and no more.
    async fn says(&self, text: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// What a whole request is answered.
    async fn answers(&self) -> String {
        read(&mut self.says(&format!("{HEAD}connection: close\r\n\r\n")).await).await
    }

    /// Stops it, and waits for its end.
    async fn ends(self) {
        self.stop.cancel();
        tokio::time::timeout(WITHIN, self.serving).await.expect("it drains").unwrap().unwrap();
    }
}

/// All until the connection is closed.
async fn read(stream: &mut TcpStream) -> String {
    let mut all = String::new();
    // A reset ends it as well.
    let _ = tokio::time::timeout(WITHIN, stream.read_to_string(&mut all)).await.expect("it is closed");
    all
}

#[tokio::test]
async fn a_request_is_answered_and_the_connection_kept() {
    let server = Server::start(10, LONG).await;
    let mut stream = server.connect().await;
    for _ in 0..3 {
        stream.write_all(format!("{HEAD}\r\n").as_bytes()).await.unwrap();
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        let answer = std::str::from_utf8(&buffer[..read]).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("hello"), "{answer}");
        assert!(answer.contains("content-length: 5"), "{answer}");
    }
}

#[tokio::test]
async fn half_a_head_is_not_waited_for_for_ever() {
    let server = Server::start(10, Duration::from_millis(100)).await;
    for beginning in ["", "GET", HEAD] {
        assert_eq!(read(&mut server.says(beginning).await).await, "");
    }
    assert!(server.answers().await.ends_with("hello"));
}

#[tokio::test]
async fn who_says_nothing_takes_a_place_from_nobody() {
    let server = Server::start(4, LONG).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(server.says("GET / HT").await);
        assert!(server.answers().await.ends_with("hello"));
    }
    let mut first = silent.remove(0);
    assert_eq!(read(&mut first).await, "", "the longest idle had to go");
}

#[tokio::test]
async fn where_all_are_being_answered_a_newcomer_waits() {
    let server = Server::start(2, LONG).await;
    let wait = "GET /wait HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n";
    let mut waiting = vec![server.says(wait).await, server.says(wait).await];
    let newcomer = server.answers();
    tokio::pin!(newcomer);
    assert!(tokio::time::timeout(Duration::from_millis(200), newcomer.as_mut()).await.is_err());
    server.go_on.notify_one();
    assert!(newcomer.await.ends_with("hello"));
    server.go_on.notify_one();
    for stream in &mut waiting {
        assert!(read(stream).await.ends_with("at last"));
    }
}

#[tokio::test]
async fn a_drain_answers_what_is_under_way_and_waits_for_nobody_else() {
    let server = Server::start(10, LONG).await;
    let mut idle = server.says(&format!("{HEAD}\r\n")).await;
    assert!(idle.read(&mut [0; 4096]).await.unwrap() > 0);
    let mut half = server.says(HEAD).await;
    let mut under_way = server.says("GET /wait HTTP/1.1\r\nhost: here\r\n\r\n").await;
    let mut body = server.says("POST /echo HTTP/1.1\r\nhost: here\r\ncontent-length: 4\r\n\r\nha").await;
    // Their requests are with the router by then.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (address, go_on) = (server.address, server.go_on.clone());
    let ending = tokio::spawn(server.ends());
    assert_eq!(read(&mut idle).await, "");
    assert_eq!(read(&mut half).await, "");
    assert!(TcpStream::connect(address).await.is_err(), "nobody is let in any more");
    assert!(!ending.is_finished());
    go_on.notify_one();
    assert!(read(&mut under_way).await.ends_with("at last"));
    body.write_all(b"lf").await.unwrap();
    assert!(read(&mut body).await.ends_with("half"));
    ending.await.unwrap();
}
