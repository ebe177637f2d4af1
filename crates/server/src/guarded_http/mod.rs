//! The one HTTP client for addresses that a customer names: webhooks, and media to fetch.
//!
//! Enters: a URL as the customer wrote it, headers, and a body already serialised. Leaves: a status and the first
//! bytes of the answer, or a [`FetchFailed`] whose text may be shown to that customer.
//! Never here: retries, signatures, logging (the caller handles the outcome), redirects, cookies, proxies, or any
//! connection to an address that [`EgressPolicy`] does not permit.
//!
//! The guard has two gates, because either alone can be walked around:
//! 1. [`EgressPolicy::check`] reads the URL, at registration and again on every request: an address written in
//!    the URL is never given to a resolver, so this is the only place where it can be judged.
//! 2. [`resolve`] filters what a name resolves to, for each new connection. The address judged is the address
//!    connected to, so a name that changes its mind between the two (DNS rebinding) gains nothing.

mod address;
#[expect(clippy::disallowed_types, reason = "these are the guarded client's own")]
mod connections;
mod failure;
mod fetch;
mod policy;
mod resolve;
mod stream;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};

pub use self::address::AddressClass;
use self::connections::{Connections, Keeping};
pub use self::failure::{ConnectProblem, FetchFailed};
pub use self::fetch::{Body, Fetch, Fetched};
pub use self::policy::{AllowedPorts, EgressPolicy, GuardedUrl, UrlRefused, is_never_opened};
pub use self::resolve::{Lookup, LookupFailed, SystemLookup};
pub use self::stream::Stream;

/// How long DNS, TCP and TLS may take together; a request's own time-out cuts it shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections kept at all, unless told otherwise.
const KEPT_CONNECTIONS: usize = 512;
/// Shorter than the idle time-outs of common servers (60–75 s), so that we rarely write into a closing connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Headers that frame the message or name its destination: the client's business, never a caller's.
const FRAMING_HEADERS: [header::HeaderName; 7] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
];

/// A cheap handle: clones share the connections.
#[derive(Clone)]
pub struct GuardedClient {
    policy: Arc<EgressPolicy>,
    connections: Arc<Connections>,
}

impl fmt::Debug for GuardedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedClient").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// One exchange. Everything is taken by value, so that a post copies neither the body nor the headers.
#[derive(Debug)]
pub struct Request {
    pub url: GuardedUrl,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// From the look-up to the answer's head, which says what became of the request.
    pub timeout: Duration,
    /// For the answer's body after that. What has not come by then is not waited for.
    pub body_timeout: Duration,
    /// The rest of a longer answer is not read: the connection is closed instead.
    pub max_response_bytes: usize,
    /// Whether another request to the same server is about to follow, so that the connection is worth keeping.
    pub keep_connection: bool,
}

/// What came back. Any status is an answer; what a 500 means is for the caller to say, and a body that breaks off does
/// not take it back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// At most `max_response_bytes`.
    pub body_prefix: Vec<u8>,
    /// Whether there was more than `body_prefix`, or it was not waited for.
    pub truncated: bool,
    /// Until the answer began.
    pub elapsed: Duration,
}

/// The client cannot be made: no usable root certificates on this machine, as a rule.
#[derive(Debug, thiserror::Error)]
#[error("the outgoing HTTP client cannot be built")]
pub struct ClientUnbuildable(#[source] reqwest::Error);

impl GuardedClient {
    /// # Errors
    /// [`ClientUnbuildable`] when TLS cannot be set up.
    pub fn new(policy: EgressPolicy) -> Result<Self, ClientUnbuildable> {
        Self::with_lookup(policy, Arc::new(SystemLookup::default()))
    }

    /// Like [`Self::new`], with names looked up by `lookup`; its answers are filtered all the same.
    ///
    /// # Errors
    /// [`ClientUnbuildable`] when TLS cannot be set up.
    pub fn with_lookup(policy: EgressPolicy, lookup: Arc<dyn Lookup>) -> Result<Self, ClientUnbuildable> {
        let policy = Arc::new(policy);
        let resolver = resolve::GuardedResolver::new(Arc::clone(&policy), lookup);
        let of_clients = Arc::clone(&policy);
        let build = move |opened, keeping| build(&of_clients, resolver.clone(), opened, keeping);
        let connections = Connections::new(Box::new(build), KEPT_CONNECTIONS).map_err(ClientUnbuildable)?;
        Ok(Self { policy, connections: Arc::new(connections) })
    }

    /// Keeps no more connections open than this between requests.
    pub fn keep_at_most(&self, connections: usize) {
        self.connections.keep_at_most(connections);
    }

    /// Judges a URL without touching the network: what registering a webhook calls.
    ///
    /// # Errors
    /// [`UrlRefused`], which names the rule broken.
    pub fn check(&self, url: &str) -> Result<GuardedUrl, UrlRefused> {
        self.policy.check(url)
    }

    /// Whether an address that a customer named may be called, by whatever protocol.
    #[must_use]
    pub fn permits_address(&self, address: std::net::IpAddr) -> bool {
        self.policy.permits(address, policy::NamedBy::Itself).is_ok()
    }

    /// Sends one POST and reads the beginning of the answer. Redirects are answers like any other.
    ///
    /// # Errors
    /// [`FetchFailed`] when no answer began within the time-out, or none was asked for.
    pub async fn post(&self, request: Request) -> Result<Answer, FetchFailed> {
        let started = Instant::now();
        let Request { url, mut headers, body, timeout, body_timeout, max_response_bytes, keep_connection } = request;
        // A GuardedUrl may come from a client with another policy, so holding one is not proof enough.
        self.policy.check_parsed(url.as_url())?;
        for name in &FRAMING_HEADERS {
            headers.remove(name);
        }
        let mut outgoing = reqwest::Request::new(Method::POST, url.into_url());
        *outgoing.headers_mut() = headers;
        *outgoing.body_mut() = Some(body.into());
        let http = self.connections.of(if keep_connection { Keeping::Keeps } else { Keeping::Closes });
        let mut response = match tokio::time::timeout(timeout, http.execute(outgoing)).await {
            Ok(answer) => answer?,
            // Dropping the exchange closes its connection.
            Err(_) => return Err(FetchFailed::Timeout(timeout)),
        };
        let elapsed = started.elapsed();
        let (body_prefix, truncated) = read_prefix(&mut response, max_response_bytes, body_timeout).await;
        let headers = std::mem::take(response.headers_mut());
        Ok(Answer { status: response.status(), headers, body_prefix, truncated, elapsed })
    }
}

/// Reads up to `max` bytes, and says whether that is not all. An answer that ends in time leaves its connection reusable.
async fn read_prefix(response: &mut reqwest::Response, max: usize, limit: Duration) -> (Vec<u8>, bool) {
    let deadline = tokio::time::Instant::now() + limit;
    let mut prefix = Vec::new();
    loop {
        match tokio::time::timeout_at(deadline, response.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                let room = max - prefix.len();
                if chunk.len() > room {
                    prefix.extend_from_slice(&chunk[..room]);
                    return (prefix, true);
                }
                prefix.extend_from_slice(&chunk);
            }
            Ok(Ok(None)) => return (prefix, false),
            // It breaks off, or it takes its time.
            Ok(Err(_)) | Err(_) => return (prefix, true),
        }
    }
}

#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "this is the client that the ban points to")]
fn build(
    policy: &EgressPolicy,
    resolver: resolve::GuardedResolver,
    opened: Arc<AtomicUsize>,
    keeping: Keeping,
) -> Result<reqwest::Client, reqwest::Error> {
    // Fails when a provider is installed already, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kept_per_host = if keeping == Keeping::Keeps { usize::MAX } else { 0 };
    let count = tower::util::MapRequestLayer::new(move |connection| {
        opened.fetch_add(1, Ordering::Relaxed);
        connection
    });
    reqwest::Client::builder()
        .dns_resolver(resolver)
        .connector_layer(count)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        // One exchange per connection: giving up on an answer closes a socket and disturbs no other delivery.
        .http1_only()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(kept_per_host)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .user_agent(concat!("Offhook/", env!("CARGO_PKG_VERSION")))
        .tls_certs_merge(policy.extra_roots.iter().cloned())
        .build()
}
