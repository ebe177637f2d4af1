//! Clients' connections: how many there are, how long each may dawdle, and how they end.
//!
//! In: a listener and the router. Out: requests for the router, and a drain when it is asked for: what is under way is
//! answered, and nobody waits for a client that has nothing to say. Never here: what is inside a request.
//!
//! A client that opens connections and says nothing, or half of something, takes a place from nobody: where there is
//! none left, a newcomer gets the place of whoever has been idle the longest.

mod patient;
mod seats;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tower::Service;

use self::patient::Patient;
use self::seats::{Busy, Seat, Seats};
use crate::telemetry::names;

/// The longest head of a request. Each connection may fill so much memory.
const LONGEST_HEAD: usize = 64 * 1024;
/// How long a client may leave an answer untaken.
const UNTAKEN: Duration = Duration::from_secs(30);
/// In the drain: how long a client that has begun with a request gets to say the rest of its head.
const GRACE: Duration = Duration::from_secs(1);
/// After a failure to accept that is not the client's, such as too many open files.
const REST: Duration = Duration::from_millis(100);

/// Who is at the other end of a request's connection: a client, or a proxy in front of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// What clients may do.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Connections at a time.
    pub connections: usize,
    /// For the head of a request, and between two.
    pub idle: Duration,
}

/// Serves until asked to stop, then until the last request under way is answered.
///
/// # Errors
/// Never: a client's failure is its own, and one of the system passes.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    allowance: Allowance,
    stop: CancellationToken,
) -> io::Result<()> {
    let seats = Seats::default();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => {
                watch(ended);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                while connections.len() >= allowance.connections {
                    seats.make_room();
                    tokio::select! {
                        () = stop.cancelled() => break,
                        Some(ended) = connections.join_next() => watch(ended),
                    }
                }
                let (router, seat) = (router.clone(), seats.take());
                connections.spawn(converse(socket, Peer(peer.ip()), router, seat, allowance.idle, stop.clone()));
            }
            // It went away before it was its turn.
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::warn!(%error, connections = connections.len(), "a client can't be let in");
                seats.make_room();
                tokio::time::sleep(REST).await;
            }
        }
    }
    // From now on they are refused, and a balancer tries another node.
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        watch(ended);
    }
    Ok(())
}

/// Serves one connection to its end.
async fn converse(socket: TcpStream, peer: Peer, router: Router, seat: Seat, idle: Duration, stop: CancellationToken) {
    // Small answers must not wait for more to send with them.
    drop(socket.set_nodelay(true));
    let handle = seat.handle();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        answer(router.clone(), request, handle.begin())
    });
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(idle).max_buf_size(LONGEST_HEAD);
    let serving = protocol.serve_connection(TokioIo::new(Patient::new(socket, UNTAKEN)), service);
    tokio::pin!(serving);
    // What goes wrong on a connection is its client's business.
    tokio::select! {
        ended = serving.as_mut() => return drop(ended),
        () = seat.is_wanted() => return,
        () = stop.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    loop {
        tokio::select! {
            ended = serving.as_mut() => return drop(ended),
            () = tokio::time::sleep(GRACE), if seat.is_idle() => return,
            () = seat.is_freed(), if !seat.is_idle() => {}
        }
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<InUse>, Infallible>> + Send>>;

fn answer(mut router: Router, request: Request<Incoming>, busy: Busy) -> Answering {
    Box::pin(async move {
        let response = router.call(request).await?;
        Ok(response.map(|body| InUse { body, _busy: busy }))
    })
}

/// The body of an answer; its connection is in use until it is written.
struct InUse {
    body: Body,
    _busy: Busy,
}

impl hyper::body::Body for InUse {
    type Data = <Body as hyper::body::Body>::Data;
    type Error = <Body as hyper::body::Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn watch(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        metrics::counter!(names::TASK_PANICS, "task" => "connection").increment(1);
        tracing::error!(%error, "a connection's task panicked");
    }
}

#[cfg(test)]
mod tests;
