//! From a host name to addresses that may be connected to.
//!
//! Enters: a name, for each new connection. Leaves: only addresses that the policy permits, or why there are none.
//! Never here: a cache of judgements. Every connection is judged by the answer it uses.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::policy::{EgressPolicy, LOCALHOST, NamedBy, UrlRefused, is_localhost};

/// After this the attempt fails and is retried later, as any other; a healthy resolver needs milliseconds.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// Threads that may wait for name servers at once.
const CONCURRENT_LOOKUPS: usize = 128;

/// How names become addresses. What it answers is filtered afterwards, so it need not be trusted.
pub trait Lookup: Send + Sync + 'static {
    /// All addresses of `host`. The future is dropped when it takes too long.
    fn lookup(&self, host: String) -> BoxFuture<'_, Result<Vec<IpAddr>, LookupFailed>>;
}

/// There is no answer; the text is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the host name could not be resolved: {0}")]
pub struct LookupFailed(pub String);

/// The system's resolver, on threads of its own.
///
/// `getaddrinfo` cannot be cancelled and may block for half a minute on a dead name server, so two things keep one
/// customer's broken domain from holding up everybody: a look-up keeps its slot until its thread is really
/// free, and those who ask for a name that is being looked up wait for the same answer.
pub struct SystemLookup {
    slots: Arc<Semaphore>,
    flights: Arc<Mutex<HashMap<String, Flight>>>,
    blocking: Blocking,
}

/// `getaddrinfo`, or what a test puts in its place.
type Blocking = Arc<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

type Flight = Shared<BoxFuture<'static, Result<Vec<IpAddr>, LookupFailed>>>;

impl Default for SystemLookup {
    fn default() -> Self {
        Self::over(CONCURRENT_LOOKUPS, Arc::new(system_addresses))
    }
}

impl Lookup for SystemLookup {
    fn lookup(&self, host: String) -> BoxFuture<'_, Result<Vec<IpAddr>, LookupFailed>> {
        async move {
            if let Some(flight) = self.under_way(&host) {
                return flight.await;
            }
            let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|e| LookupFailed(e.to_string()))?;
            self.join_or_start(host, slot).await
        }
        .boxed()
    }
}

impl SystemLookup {
    fn over(slots: usize, blocking: Blocking) -> Self {
        Self { slots: Arc::new(Semaphore::new(slots)), flights: Arc::default(), blocking }
    }

    fn under_way(&self, host: &str) -> Option<Flight> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned()
    }

    fn join_or_start(&self, host: String, slot: OwnedSemaphorePermit) -> Flight {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&host) {
            return flight.clone();
        }
        let flight = self.start(host.clone(), slot);
        flights.insert(host, flight.clone());
        flight
    }

    /// The thread itself takes the flight off the list, as those who wait for it may all have given up.
    fn start(&self, host: String, slot: OwnedSemaphorePermit) -> Flight {
        let (flights, blocking) = (Arc::clone(&self.flights), Arc::clone(&self.blocking));
        let thread = tokio::task::spawn_blocking(move || {
            let found = blocking(&host);
            flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&host);
            drop(slot);
            found.map_err(|error| LookupFailed(error.to_string()))
        });
        thread.map(|joined| joined.unwrap_or_else(|error| Err(LookupFailed(error.to_string())))).boxed().shared()
    }
}

#[allow(clippy::disallowed_methods, reason = "what it finds is judged by its caller")]
fn system_addresses(host: &str) -> io::Result<Vec<IpAddr>> {
    Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// Why a name led nowhere. It travels through reqwest as a boxed error and is found again in [`super::failure`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ResolveFailed {
    #[error(transparent)]
    Refused(UrlRefused),
    #[error(transparent)]
    Lookup(LookupFailed),
}

/// The filter that reqwest asks for every connection to a name.
#[derive(Clone)]
pub(super) struct GuardedResolver(Arc<Inner>);

struct Inner {
    policy: Arc<EgressPolicy>,
    lookup: Arc<dyn Lookup>,
}

impl GuardedResolver {
    pub(super) fn new(policy: Arc<EgressPolicy>, lookup: Arc<dyn Lookup>) -> Self {
        Self(Arc::new(Inner { policy, lookup }))
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let permitted = inner.resolve(name.as_str()).await?;
            // Port 0 stands for the URL's own port.
            let addresses: Addrs = Box::new(permitted.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}

impl Inner {
    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, ResolveFailed> {
        if is_localhost(host) {
            return self.permitted(LOCALHOST.to_vec(), NamedBy::Itself);
        }
        let found = match tokio::time::timeout(LOOKUP_TIMEOUT, self.lookup.lookup(host.to_owned())).await {
            Ok(answer) => answer.map_err(ResolveFailed::Lookup)?,
            Err(_) => {
                return Err(ResolveFailed::Lookup(LookupFailed("no answer in time".to_owned())));
            }
        };
        self.permitted(found, NamedBy::HostName)
    }

    /// One permitted address is enough; the others are dropped, not tried.
    fn permitted(&self, found: Vec<IpAddr>, named_by: NamedBy) -> Result<Vec<IpAddr>, ResolveFailed> {
        let mut refused = None;
        let mut permitted = found;
        permitted.retain(|address| match self.policy.permits(*address, named_by) {
            Ok(()) => true,
            Err(class) => {
                refused = Some(class);
                false
            }
        });
        match refused {
            Some(class) if permitted.is_empty() => Err(ResolveFailed::Refused(UrlRefused::ResolvesTo(class))),
            None if permitted.is_empty() => {
                Err(ResolveFailed::Lookup(LookupFailed("the name has no addresses".to_owned())))
            }
            _ => Ok(permitted),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const FOUND: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(93, 184, 216, 34));

    /// Two slots, and name servers that are dead for `*.dead` until the sender is dropped.
    fn with_dead_servers() -> (SystemLookup, mpsc::Sender<()>) {
        let (revive, dead) = mpsc::channel::<()>();
        let dead = Mutex::new(dead);
        let blocking = move |host: &str| {
            if host.ends_with(".dead") {
                let _ = dead.lock().unwrap().recv();
            }
            Ok(vec![FOUND])
        };
        (SystemLookup::over(2, Arc::new(blocking)), revive)
    }

    async fn gives_up(system: &SystemLookup, host: &str) -> bool {
        let patience = Duration::from_millis(50);
        tokio::time::timeout(patience, system.lookup(host.to_owned())).await.is_err()
    }

    #[tokio::test]
    async fn one_dead_name_takes_one_slot_however_often_it_is_asked_for() {
        let (system, revive) = with_dead_servers();
        for _ in 0..5 {
            assert!(gives_up(&system, "one.dead").await);
        }
        assert_eq!(system.lookup("alive".to_owned()).await, Ok(vec![FOUND]));
        // The thread is still there, so its slot is taken: threads are what is bounded.
        assert!(gives_up(&system, "two.dead").await);
        assert!(gives_up(&system, "alive").await);
        drop(revive);
        for host in ["alive", "one.dead", "two.dead"] {
            assert_eq!(system.lookup(host.to_owned()).await, Ok(vec![FOUND]), "{host}");
        }
        assert!(system.flights.lock().unwrap().is_empty());
    }
}
