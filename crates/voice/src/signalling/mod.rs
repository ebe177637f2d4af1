//! Signalling: the sockets of a node, the trunks that it knows, and a leg for each call.
//!
//! In: settings, trunks, orders. Out: calls that come, and what happens in each. One task owns the [`offhook_sip`] endpoint,
//! and so all of its state; everybody else has a channel to it. Never here: sound, speech, or the platform.

mod desk;
mod leg;
mod places;
mod sockets;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use offhook_sip::endpoint::{Config, Pace, Target};
use offhook_sip::message::Uri;
use offhook_sip::nat::Advertised;
use rustls::{ClientConfig, ServerConfig};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use desk::{Desk, Order};
pub use leg::{Leg, LegEvent, LegOrder};
pub use offhook_sip::Transport;
pub use offhook_sip::digest::Credentials;
pub use offhook_sip::endpoint::{Ended as SipEnded, Strangers};
use sockets::Sockets;

/// How a node signals.
#[derive(Clone)]
pub struct Settings {
    /// Port 0 takes a free one.
    pub listeners: Vec<(Transport, SocketAddr)>,
    pub tls: Option<Tls>,
    /// By which address we are known outside.
    pub public_address: Option<IpAddr>,
    pub realm: String,
    pub strangers: Strangers,
    pub most_calls: usize,
    /// Where calls of a trunk may go; whoever names addresses is judged by it.
    pub may_reach: MayReach,
}

/// Whether a trunk, by its name, may call an address.
pub type MayReach = Arc<dyn Fn(&str, IpAddr) -> bool + Send + Sync>;

/// Who we are, and whom we believe.
#[derive(Clone)]
pub struct Tls {
    pub server: Arc<ServerConfig>,
    pub client: Arc<ClientConfig>,
}

/// A way for calls to come and go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trunk {
    pub name: String,
    /// Who is let in: networks, a login, or both together.
    pub ways_in: Vec<(Vec<IpNet>, Option<Credentials>)>,
    pub targets: Vec<TrunkTarget>,
    pub credentials: Option<Credentials>,
    /// Over what, where a target does not say.
    pub transport: Option<Transport>,
    pub registration: Option<TrunkRegistration>,
}

/// Where calls of a trunk go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkTarget {
    /// `sip:host[:port][;transport=…]`.
    pub uri: String,
    pub priority: u16,
    pub weight: u16,
}

/// A registration that a trunk wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkRegistration {
    /// `sip:host`.
    pub registrar: String,
    /// `sip:user@host`.
    pub address_of_record: String,
    pub expires: Duration,
}

/// A call to be placed.
#[derive(Clone, Debug)]
pub struct PlaceOrder {
    pub trunk: Trunk,
    /// E.164.
    pub from: String,
    pub to: String,
    pub ring_for: Duration,
}

/// Somebody calls.
pub struct ArrivingLeg {
    pub leg: Leg,
    /// SDP. Without one, accepting takes our offer.
    pub offer: Option<Vec<u8>>,
    /// The user that calls, as asserted by the network or as he says; empty where he hides.
    pub from: String,
    /// The user that is called.
    pub to: String,
    /// Which trunks it may have come over.
    pub trunks: Vec<String>,
    /// Our address towards them, and theirs.
    pub local: IpAddr,
    pub remote: SocketAddr,
}

/// A node can't signal.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("voice.sip.listen: {transport}:{address} can't be bound: {error}", transport = .transport.as_str())]
    Bind { transport: Transport, address: SocketAddr, error: std::io::Error },
    #[error("voice.sip.listen names a TLS address, and there is no certificate")]
    NoCertificate,
}

/// A call can't be placed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    #[error("no address of the trunk {0} can be resolved, or may be called")]
    NoTarget(String),
    #[error("nothing is listened to over {0}")]
    NoListener(&'static str),
    #[error("signalling has stopped")]
    Stopped,
}

/// What an address of a trunk answered when it was asked whether it is there (OPTIONS, RFC 3261 §11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinged {
    pub uri: String,
    /// Which of its addresses; none: it has none, or none that may be called.
    pub remote: Option<SocketAddr>,
    /// Any status is a sign of life; none: nothing came in time.
    pub status: Option<u16>,
}

/// A registration as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationStatus {
    pub trunk: String,
    pub registered: bool,
    /// The last answer.
    pub status: u16,
}

/// Our address as somebody sees it, where we have a public one.
#[must_use]
pub fn advertised(public: Option<IpAddr>, local: SocketAddr, remote: IpAddr) -> SocketAddr {
    Advertised { public, public_port: None }.address(local, remote)
}

/// The door to the task that signals. Cheap to clone.
#[derive(Clone)]
pub struct Signalling {
    orders: mpsc::UnboundedSender<Order>,
    listeners: Arc<Vec<(Transport, SocketAddr)>>,
    registrations: watch::Receiver<Vec<RegistrationStatus>>,
    may_reach: MayReach,
}

impl Signalling {
    /// Opens the sockets, and begins.
    ///
    /// # Errors
    /// [`OpenError`], which names what can't be bound.
    pub async fn open(
        settings: Settings,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<(Self, mpsc::UnboundedReceiver<ArrivingLeg>), OpenError> {
        // The sockets outlive the desk by its last words.
        let closing = CancellationToken::new();
        let sockets = Sockets::bind(&settings.listeners, settings.tls.clone(), tasks, &closing).await?;
        let listeners = Arc::new(sockets.listeners());
        let config = Config {
            advertised: Advertised { public: settings.public_address, public_port: None },
            listeners: listeners.to_vec(),
            strangers: settings.strangers,
            pace: Pace::default(),
            realm: settings.realm.clone(),
            most_calls: settings.most_calls,
            ..Config::default()
        };
        let (orders, taken) = mpsc::unbounded_channel();
        let (arrivals, arriving) = mpsc::unbounded_channel();
        let (tell, registrations) = watch::channel(Vec::new());
        let desk = Desk::new(config, sockets, orders.clone(), arrivals, tell, settings.may_reach.clone());
        tasks.spawn(async move {
            let _closes = closing.drop_guard();
            desk.run(taken, stop).await;
        });
        Ok((Self { orders, listeners, registrations, may_reach: settings.may_reach }, arriving))
    }

    /// Other trunks from now on; calls that stand are not touched.
    pub fn set_trunks(&self, trunks: Vec<Trunk>) {
        let _ = self.orders.send(Order::Trunks(trunks));
    }

    /// Places a call over a trunk: its addresses by priority and weight, until one answers.
    ///
    /// # Errors
    /// [`PlaceError`]: nothing was sent.
    pub async fn place(
        &self,
        order: PlaceOrder,
        offer: impl FnOnce(IpAddr, IpAddr) -> Vec<u8>,
    ) -> Result<Leg, PlaceError> {
        let targets = places::resolve(&order.trunk, &self.listeners, &self.may_reach).await?;
        let Some(first) = targets.iter().min_by_key(|(target, _)| target.priority) else {
            return Err(PlaceError::NoTarget(order.trunk.name.clone()));
        };
        let offer = offer(first.0.flow.local.ip(), first.0.flow.remote.ip());
        let (answer, placed) = oneshot::channel();
        let order = Order::Place { order: Box::new(order), targets, offer, answer };
        self.orders.send(order).map_err(|_| PlaceError::Stopped)?;
        placed.await.map_err(|_| PlaceError::Stopped)?
    }

    /// Asks all addresses of a trunk whether they are there, each for so long.
    pub async fn ping(&self, trunk: &Trunk, patience: Duration) -> Vec<Pinged> {
        let mut asked = Vec::new();
        for target in &trunk.targets {
            let uri = &target.uri;
            let nowhere = Pinged { uri: uri.clone(), remote: None, status: None };
            let Ok(parsed) = Uri::parse(uri) else {
                asked.push((nowhere, None));
                continue;
            };
            let flows = places::flows(&parsed, trunk, &self.listeners, &self.may_reach).await.unwrap_or_default();
            if flows.is_empty() {
                asked.push((nowhere, None));
            }
            for (flow, host) in flows {
                let target = Target { uri: parsed.clone(), flow, priority: target.priority, weight: target.weight };
                let (answer, answered) = oneshot::channel();
                let _ = self.orders.send(Order::Ping { target: Box::new(target), host, answer });
                asked.push((Pinged { uri: uri.clone(), remote: Some(flow.remote), status: None }, Some(answered)));
            }
        }
        let until = tokio::time::Instant::now() + patience;
        let mut all = Vec::with_capacity(asked.len());
        for (mut pinged, answered) in asked {
            if let Some(answered) = answered {
                pinged.status =
                    tokio::time::timeout_at(until, answered).await.ok().and_then(|told| told.ok().flatten());
            }
            all.push(pinged);
        }
        all
    }

    /// The registrations that trunks want.
    #[must_use]
    pub fn registrations(&self) -> Vec<RegistrationStatus> {
        self.registrations.borrow().clone()
    }

    /// Where it listens, with the ports that were taken.
    #[must_use]
    pub fn listeners(&self) -> &[(Transport, SocketAddr)] {
        &self.listeners
    }

    /// Takes no further calls; those that stand go on.
    pub fn drain(&self) {
        let _ = self.orders.send(Order::Drain);
    }
}
