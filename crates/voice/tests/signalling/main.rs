//! Two nodes that signal to each other on loopback, over real sockets: calls, logins, registrations, and what happens when
//! something is missing.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]
#![allow(clippy::disallowed_methods, reason = "tests reach what they start")]

mod calls;
mod trunks;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use offhook_voice::signalling::{
    ArrivingLeg, Leg, LegEvent, PlaceOrder, Settings, Signalling, Strangers, Tls, Transport, Trunk, TrunkTarget,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// One node.
pub struct Node {
    pub signalling: Signalling,
    pub arriving: mpsc::UnboundedReceiver<ArrivingLeg>,
    pub stop: CancellationToken,
    pub tasks: TaskTracker,
}

impl Node {
    pub async fn open(strangers: Strangers) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let settings = Settings {
            listeners: vec![(Transport::Udp, any), (Transport::Tcp, any), (Transport::Tls, any)],
            tls: Some(tls()),
            public_address: None,
            realm: "offhook".to_owned(),
            strangers,
            most_calls: 10_000,
            may_reach: Arc::new(|_: &str, _: IpAddr| true),
        };
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (signalling, arriving) = Signalling::open(settings, &tasks, stop.clone()).await.unwrap();
        Self { signalling, arriving, stop, tasks }
    }

    pub fn address(&self, transport: Transport) -> SocketAddr {
        self.signalling.listeners().iter().find(|(ours, _)| *ours == transport).unwrap().1
    }

    /// A trunk that leads to this node.
    pub fn trunk(&self, transport: Transport) -> Trunk {
        trunk_to(&[&self.uri(transport)])
    }

    pub fn uri(&self, transport: Transport) -> String {
        let over = match transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        };
        // By its name, which its certificate bears.
        let address = self.address(transport);
        let host = if transport == Transport::Tls { "localhost".to_owned() } else { address.ip().to_string() };
        format!("sip:{host}:{};transport={over}", address.port())
    }

    pub async fn place(&self, trunk: Trunk) -> Leg {
        let (from, to) = ("+14155550100".to_owned(), "+14155550142".to_owned());
        let order = PlaceOrder { trunk, from, to, ring_for: Duration::from_secs(20) };
        self.signalling.place(order, |_, _| SDP.into()).await.unwrap()
    }

    pub async fn arrives(&mut self) -> ArrivingLeg {
        within(self.arriving.recv()).await.unwrap()
    }
}

pub const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n";

pub fn trunk_to(uris: &[&str]) -> Trunk {
    let target = |(uri, priority): (&&str, u16)| TrunkTarget { uri: (*uri).to_owned(), priority, weight: 1 };
    Trunk {
        name: "out".to_owned(),
        ways_in: Vec::new(),
        targets: uris.iter().zip(1..).map(target).collect(),
        credentials: None,
        transport: None,
        registration: None,
    }
}

pub async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("in time")
}

/// The next event that matters.
pub async fn next(leg: &mut Leg) -> LegEvent {
    within(leg.next()).await
}

/// Reads on until this, and answers with it.
pub async fn until(leg: &mut Leg, wanted: impl Fn(&LegEvent) -> bool) -> LegEvent {
    loop {
        let event = next(leg).await;
        if wanted(&event) {
            return event;
        }
        assert!(!matches!(event, LegEvent::Ended(_) | LegEvent::Failed { .. }), "it ended: {event:?}");
    }
}

fn tls() -> Tls {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    // Both nodes of a test have one of their own; each believes any of them, for the name is what counts here.
    let server =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let mut roots = RootCertStore::empty();
    ROOTS.lock().unwrap().push(certificate);
    for root in ROOTS.lock().unwrap().iter() {
        roots.add(root.clone()).unwrap();
    }
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Tls { server: Arc::new(server), client: Arc::new(client) }
}

static ROOTS: std::sync::Mutex<Vec<rustls::pki_types::CertificateDer<'static>>> = std::sync::Mutex::new(Vec::new());
