//! Servers that cost little beside the server that asks them: a customer's, which answers 200, and others that answer something.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// Takes the path and the body of each request.
pub type Take = dyn Fn(&str, &[u8]) + Send + Sync;

/// Takes the same, and makes the whole answer.
pub type Reply = dyn Fn(&str, &[u8]) -> Vec<u8> + Send + Sync;

/// A whole answer of 200.
pub fn ok(content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Listens on a free port, or on the one given, until it is dropped.
pub struct Receiver {
    pub address: SocketAddr,
    scheme: &'static str,
    _alive: mpsc::Sender<()>,
}

impl Receiver {
    pub async fn start(port: u16, take: Arc<Take>) -> Self {
        Self::start_with(port, take, None).await
    }

    /// Over TLS where there is an acceptor.
    pub async fn start_with(port: u16, take: Arc<Take>, tls: Option<TlsAcceptor>) -> Self {
        let answer = ok("text/plain", b"");
        let reply = move |path: &str, body: &[u8]| {
            take(path, body);
            answer.clone()
        };
        Self::replying(port, Arc::new(reply), tls).await
    }

    /// Answers each request with what `reply` makes of it.
    pub async fn replying(port: u16, reply: Arc<Reply>, tls: Option<TlsAcceptor>) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (alive, mut dropped) = mpsc::channel::<()>(1);
        // On a thread of its own, as a server elsewhere would be.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let accepting = listener.into_std().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(accepting).unwrap();
                loop {
                    tokio::select! {
                        accepted = listener.accept() => {
                            let (stream, _) = accepted.unwrap();
                            stream.set_nodelay(true).unwrap();
                            let (reply, tls) = (reply.clone(), tls.clone());
                            tokio::spawn(async move {
                                match tls {
                                    None => serve(stream, reply).await,
                                    Some(tls) => {
                                        let Ok(stream) = tls.accept(stream).await else { return };
                                        serve(stream, reply).await;
                                    }
                                }
                            });
                        }
                        _ = dropped.recv() => return,
                    }
                }
            });
        });
        Self { address, scheme, _alive: alive }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, reply: Arc<Reply>) {
    let mut buffer = Vec::with_capacity(8192);
    loop {
        let head = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if !fill(&mut stream, &mut buffer).await {
                return;
            }
        };
        let text = String::from_utf8_lossy(&buffer[..head]).into_owned();
        let length = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok())
            .unwrap_or(0);
        while buffer.len() < head + length {
            if !fill(&mut stream, &mut buffer).await {
                return;
            }
        }
        let answer = reply(text.split(' ').nth(1).unwrap_or_default(), &buffer[head..head + length]);
        buffer.drain(..head + length);
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

async fn fill(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> bool {
    stream.read_buf(buffer).await.is_ok_and(|read| read > 0)
}
