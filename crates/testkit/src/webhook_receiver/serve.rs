//! The server side: accepting, recording, answering as the script says.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::{Request, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::{Mode, Received, Shared};

type Body = UnsyncBoxBody<Bytes, Infallible>;
type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

const CHUNK: Bytes = Bytes::from_static(&[b'x'; 16 * 1024]);

/// Serves until it is aborted; the connections end with it.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                shared.connections.send_modify(|c| c.opened += 1);
                connections.spawn(connection(stream, Arc::clone(&shared)));
            },
            Some(_) = connections.join_next() => shared.connections.send_modify(|c| c.closed += 1),
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    // Without it a small answer waits for the client's acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let cut = Arc::new(Notify::new());
    let service = {
        let cut = Arc::clone(&cut);
        service_fn(move |request| -> Answering { Box::pin(handle(request, Arc::clone(&shared), Arc::clone(&cut))) })
    };
    let mut serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // An error means that the client went away, which is the client's right.
        _ = &mut serving => {}
        () = cut.notified() => {
            // With zero linger, closing sends RST instead of FIN.
            let _ = serving.into_parts().io.into_inner().set_zero_linger();
        }
    }
}

async fn handle(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    cut: Arc<Notify>,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        // Half a request is not one: the client broke off.
        return Ok(empty(400));
    };
    let received = Received::new(head, body.to_bytes(), Instant::now());
    let (mode, delay) = {
        let mut script = shared.script();
        let forged = script.secret.as_ref().is_some_and(|secret| received.verify(secret).is_err());
        let mode = if forged { Mode::status(401) } else { script.next(&received) };
        (mode, script.delay)
    };
    shared.received.send_modify(|all| all.push(received));
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    Ok(answer(mode, &cut).await)
}

async fn answer(mode: Mode, cut: &Arc<Notify>) -> Response<Body> {
    match mode {
        Mode::Answer { status, content_type, body } => {
            let mut response = empty(status);
            set(&mut response, header::CONTENT_TYPE, content_type);
            *response.body_mut() = Full::new(body).boxed_unsync();
            response
        }
        Mode::Redirect(to) => {
            let mut response = empty(307);
            set(&mut response, header::LOCATION, &to);
            response
        }
        Mode::Reset => {
            cut.notify_one();
            std::future::pending().await
        }
        Mode::Hang => std::future::pending().await,
        Mode::StreamForever => streaming(stream::repeat(CHUNK)),
        Mode::Drip(interval) => streaming(stream::unfold((), move |()| async move {
            tokio::time::sleep(interval).await;
            Some((Bytes::from_static(b"."), ()))
        })),
        Mode::Huge(bytes) => {
            let mut response = streaming(stream::unfold(bytes, |left| async move {
                let size = left.min(CHUNK.len() as u64);
                (size > 0).then(|| (CHUNK.slice(..usize::try_from(size).unwrap_or(CHUNK.len())), left - size))
            }));
            set(&mut response, header::CONTENT_LENGTH, &bytes.to_string());
            response
        }
        Mode::ResetMidway => {
            let cut = Arc::clone(cut);
            let beginning = stream::once(async { Bytes::from_static(b"the beginning") });
            let end = stream::once(async move {
                cut.notify_one();
                std::future::pending().await
            });
            streaming(beginning.chain(end))
        }
    }
}

fn streaming(chunks: impl futures_util::Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    let mut response = empty(200);
    *response.body_mut() = StreamBody::new(chunks.map(|chunk| Ok(Frame::data(chunk)))).boxed_unsync();
    response
}

fn empty(status: u16) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::new()).boxed_unsync());
    *response.status_mut() = status.try_into().expect("the test asks for a status that exists");
    response
}

fn set(response: &mut Response<Body>, name: header::HeaderName, value: &str) {
    response.headers_mut().insert(name, value.parse().expect("the test asks for a header that can be sent"));
}

impl super::Script {
    fn next(&mut self, received: &Received) -> Mode {
        match (self.once.pop_front(), &mut self.choose) {
            (Some(mode), _) => mode,
            (None, Some(choose)) => choose(received),
            (None, None) => self.standing.clone(),
        }
    }
}
