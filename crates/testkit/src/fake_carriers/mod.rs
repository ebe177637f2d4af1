//! Twilio and Telnyx, for tests: HTTP servers on loopback that sell numbers, take texts, sign hooks as the real ones do, hold every
//! request against the published API, and misbehave on demand.
//!
//! Never here: code of the server under test; hooks are signed by an implementation of our own.

#![allow(clippy::disallowed_methods, reason = "tests watch what they start")]

mod telnyx;
mod twilio;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use telnyx::FakeTelnyx;
pub use twilio::FakeTwilio;

use crate::published_api::PublishedApi;

/// What becomes of one request that would change something.
#[derive(Debug, Clone)]
pub enum Turn {
    /// As it should be.
    Plain,
    /// This instead, and nothing is done.
    Answer { status: u16, retry_after: Option<u32>, body: Value },
    /// It is done, and the connection ends before the answer.
    DoAndCut,
    /// The connection ends, and nothing is done.
    Cut,
}

/// A hook as a carrier posts it: what stands before the path is left out.
#[derive(Debug, Clone)]
pub struct SignedHook {
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

/// A request as it came.
struct Asked {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Asked {
    fn query(&self, name: &str) -> Option<String> {
        let mut pairs = url::form_urlencoded::parse(self.query.as_bytes());
        pairs.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }

    fn changes(&self) -> bool {
        self.method != Method::GET
    }
}

/// What a fake network does with requests.
trait Network: Send + 'static {
    /// Whether whoever asks may.
    fn admits(&self, headers: &HeaderMap) -> bool;
    fn answer(&mut self, asked: &Asked) -> (u16, Value);
    fn stranger(&self) -> Value;
}

/// One network behind its door.
struct Shared<N> {
    network: Mutex<N>,
    turns: Mutex<VecDeque<Turn>>,
    problems: Mutex<Vec<String>>,
    api: PublishedApi,
}

struct Door<N> {
    address: SocketAddr,
    shared: Arc<Shared<N>>,
    serving: JoinHandle<()>,
}

impl<N: Network> Door<N> {
    async fn open(network: N, api: PublishedApi) -> Self {
        let (turns, problems) = (Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { network: Mutex::new(network), turns, problems, api });
        let router = Router::new().fallback(handle::<N>).with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of this machine");
        let address = listener.local_addr().expect("a bound port has an address");
        let serving = tokio::spawn(async move {
            drop(axum::serve(listener, router).await);
        });
        Self { address, shared, serving }
    }

    fn network(&self) -> MutexGuard<'_, N> {
        held(&self.shared.network)
    }

    fn next(&self, turns: impl IntoIterator<Item = Turn>) {
        held(&self.shared.turns).extend(turns);
    }
}

/// A test that broke the published API fails, whatever else it found.
impl<N> Drop for Door<N> {
    fn drop(&mut self) {
        self.serving.abort();
        let problems = held(&self.shared.problems);
        if !std::thread::panicking() {
            assert!(problems.is_empty(), "the published API does not allow:\n  {}", problems.join("\n  "));
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn handle<N: Network>(
    State(shared): State<Arc<Shared<N>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (path, query) = (uri.path().to_owned(), uri.query().unwrap_or_default().to_owned());
    let asked = Asked { method, path, query, headers, body };
    let kind = asked.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let problems = shared.api.problems(asked.method.as_str(), &asked.path, &asked.query, kind, &asked.body);
    held(&shared.problems).extend(problems.iter().map(|problem| format!("{} {}: {problem}", asked.method, asked.path)));
    if !held(&shared.network).admits(&asked.headers) {
        let body = held(&shared.network).stranger();
        return answer(401, None, &body);
    }
    let turn = if asked.changes() { held(&shared.turns).pop_front() } else { None };
    match turn.unwrap_or(Turn::Plain) {
        Turn::Plain => {
            let (status, body) = held(&shared.network).answer(&asked);
            answer(status, None, &body)
        }
        Turn::Answer { status, retry_after, body } => answer(status, retry_after, &body),
        Turn::DoAndCut => {
            let done = held(&shared.network).answer(&asked);
            drop(done);
            cut()
        }
        Turn::Cut => cut(),
    }
}

/// Ends the connection: whoever serves it is gone, without a word.
fn cut() -> ! {
    std::panic::resume_unwind(Box::new("cut"))
}

fn answer(status: u16, retry_after: Option<u32>, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status == StatusCode::NO_CONTENT {
        return status.into_response();
    }
    let mut response = (status, axum::Json(body)).into_response();
    if let Some(wait) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, wait.into());
    }
    response
}
