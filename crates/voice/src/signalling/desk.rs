//! The task that owns the endpoint: what arrives and what is ordered goes in, and what comes out is sent, or told to the leg
//! that it concerns.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use offhook_sip::endpoint::{CallId, CallOrder, Config, Ended, Endpoint, Event, Peer, PingId, RegistrationId, Target};
use offhook_sip::message::{HeaderName, Host, NameAddr, Request, Uri};
use offhook_sip::nat::Advertised;
use offhook_sip::registration::{RegistrationOrder, RegistrationState};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::leg::{Leg, LegEvent, LegOrder};
use super::places::{self, Named};
use super::sockets::{Arrived, Sockets};
use super::{ArrivingLeg, MayReach, PlaceError, PlaceOrder, RegistrationStatus, Trunk};

/// When nothing is due, it looks at the clock all the same.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// Before a registrar that was not found is looked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// After a stop, for what is still to be said.
const LAST_WORDS: Duration = Duration::from_millis(300);

pub enum Order {
    Place {
        order: Box<PlaceOrder>,
        targets: Vec<Named>,
        offer: Vec<u8>,
        answer: oneshot::Sender<Result<Leg, PlaceError>>,
    },
    /// Is somebody there? The status of the answer, if any comes.
    Ping {
        target: Box<Target>,
        host: String,
        answer: oneshot::Sender<Option<u16>>,
    },
    Leg(CallId, LegOrder),
    Trunks(Vec<Trunk>),
    /// A registrar was found.
    Register {
        trunk: Trunk,
        order: Box<RegistrationOrder>,
        host: String,
    },
    /// A registrar was looked for in vain: it is tried again.
    FindRegistrar(Trunk),
    Drain,
}

pub struct Desk {
    endpoint: Endpoint,
    sockets: Sockets,
    orders: mpsc::UnboundedSender<Order>,
    arrivals: mpsc::UnboundedSender<ArrivingLeg>,
    legs: HashMap<CallId, mpsc::UnboundedSender<LegEvent>>,
    pings: HashMap<PingId, oneshot::Sender<Option<u16>>>,
    trunks: Vec<Trunk>,
    registrations: HashMap<String, (RegistrationId, RegistrationStatus)>,
    tell: watch::Sender<Vec<RegistrationStatus>>,
    may_reach: MayReach,
    advertised: Advertised,
    draining: bool,
}

impl Desk {
    pub fn new(
        config: Config,
        sockets: Sockets,
        orders: mpsc::UnboundedSender<Order>,
        arrivals: mpsc::UnboundedSender<ArrivingLeg>,
        tell: watch::Sender<Vec<RegistrationStatus>>,
        may_reach: MayReach,
    ) -> Self {
        let advertised = config.advertised;
        Self {
            endpoint: Endpoint::new(config, rand::random(), Instant::now()),
            sockets,
            orders,
            arrivals,
            legs: HashMap::new(),
            pings: HashMap::new(),
            trunks: Vec::new(),
            registrations: HashMap::new(),
            tell,
            may_reach,
            advertised,
            draining: false,
        }
    }

    pub async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>, stop: CancellationToken) {
        let mut until = None;
        loop {
            self.settle().await;
            let next = self.endpoint.poll_timeout().unwrap_or_else(|| Instant::now() + LONGEST_SLEEP);
            tokio::select! {
                () = stop.cancelled(), if until.is_none() => until = Some(tokio::time::Instant::now() + LAST_WORDS),
                () = tokio::time::sleep_until(until.unwrap_or_else(tokio::time::Instant::now)), if until.is_some() => return,
                Some(arrived) = self.sockets.arrived.recv() => self.on_arrived(arrived),
                Some(order) = orders.recv() => self.on_order(order),
                () = tokio::time::sleep_until(next.into()) => self.endpoint.handle_timeout(Instant::now()),
            }
        }
    }

    /// All that the endpoint has to tell and to send.
    async fn settle(&mut self) {
        loop {
            if let Some(event) = self.endpoint.poll_event() {
                self.on_event(event);
            } else if let Some(transmit) = self.endpoint.poll_transmit() {
                let flow = transmit.flow;
                if !self.sockets.send(transmit).await {
                    self.endpoint.flow_failed(flow, Instant::now());
                }
            } else {
                return;
            }
        }
    }

    fn on_arrived(&mut self, arrived: Arrived) {
        let now = Instant::now();
        match arrived {
            Arrived::Datagram(flow, bytes) => self.endpoint.receive(flow, &bytes, now),
            Arrived::Bytes(flow, bytes) => self.endpoint.receive_stream(flow, &bytes, now),
            Arrived::Opened(flow, id, stream) => {
                if self.sockets.opened(flow, id, stream) {
                    self.endpoint.flow_failed(flow, now);
                }
            }
            Arrived::Closed(flow, id) => {
                if self.sockets.closed(flow, id) {
                    self.endpoint.flow_failed(flow, now);
                }
            }
        }
    }

    fn on_order(&mut self, order: Order) {
        match order {
            Order::Place { order, targets, offer, answer } => {
                // Who no longer waits drops the leg, which hangs up.
                let _ = answer.send(self.place(*order, targets, offer));
            }
            Order::Ping { target, host, answer } => {
                self.sockets.is_named(target.flow.remote, host);
                let ping = self.endpoint.ping(&target, Instant::now());
                self.pings.insert(ping, answer);
            }
            Order::Leg(call, order) => self.on_leg_order(call, order),
            Order::Trunks(trunks) => self.learn(trunks),
            // One whose trunk was changed or taken away meanwhile is not wanted any more.
            Order::Register { trunk, order, host } if self.trunks.contains(&trunk) => {
                self.sockets.is_named(order.flow.remote, host);
                self.register(&trunk, *order);
            }
            Order::FindRegistrar(trunk) if self.trunks.contains(&trunk) => self.find_registrar(trunk),
            Order::Register { .. } | Order::FindRegistrar(_) => {}
            Order::Drain => {
                self.draining = true;
                self.endpoint.drain();
            }
        }
    }

    fn place(&mut self, order: PlaceOrder, targets: Vec<Named>, offer: Vec<u8>) -> Result<Leg, PlaceError> {
        let missing = || PlaceError::NoTarget(order.trunk.name.clone());
        let first = targets.iter().min_by_key(|(target, _)| target.priority).ok_or_else(missing)?;
        let flow = first.0.flow;
        let seen = self.advertised.address(flow.local, flow.remote.ip()).ip();
        let ours = format!("sip:{}@{}", order.from, Host::Ip(seen));
        let theirs = with_user(&first.0.uri, &order.to).ok_or_else(missing)?;
        let from = NameAddr::new(Uri::parse(&ours).map_err(|_| missing())?);
        for (target, name) in &targets {
            self.sockets.is_named(target.flow.remote, name.clone());
        }
        let called = |(target, _): Named| {
            let uri = with_user(&target.uri, &order.to)?;
            Some(Target { uri, ..target })
        };
        let asserted = (HeaderName::PAssertedIdentity, format!("<{ours}>"));
        let call = CallOrder {
            targets: targets.into_iter().filter_map(called).collect(),
            from,
            to: NameAddr::new(theirs),
            offer,
            credentials: order.trunk.credentials.clone(),
            headers: vec![asserted],
            ring_for: order.ring_for,
        };
        let id = self.endpoint.place_call(call, Instant::now()).map_err(|_| missing())?;
        Ok(self.leg(id))
    }

    fn leg(&mut self, id: CallId) -> Leg {
        let (tell, events) = mpsc::unbounded_channel();
        self.legs.insert(id, tell);
        Leg::new(id, self.orders.clone(), events)
    }

    fn on_leg_order(&mut self, call: CallId, order: LegOrder) {
        let now = Instant::now();
        let done = match order {
            LegOrder::Ring => self.endpoint.ring(call, 180, None, now),
            LegOrder::Accept(sdp) => self.endpoint.accept(call, sdp, now),
            LegOrder::Reject(status) => {
                let done = self.endpoint.reject(call, status, now);
                self.tell_last(call, LegEvent::Ended(Ended::ByUs));
                done
            }
            LegOrder::AnswerOffer(sdp) => self.endpoint.answer_offer(call, sdp, now),
            LegOrder::RefuseOffer(status) => self.endpoint.refuse_offer(call, status, now),
            LegOrder::AcceptReferral => self.endpoint.accept_referral(call, now),
            LegOrder::ReportReferral(status) => self.endpoint.report_referral(call, status, now),
            LegOrder::RefuseReferral(status) => self.endpoint.refuse_referral(call, status, now),
            LegOrder::Transfer(to) => match Uri::parse(&to) {
                Ok(uri) => self.endpoint.transfer(call, &uri, now),
                Err(_) => {
                    self.tell(call, LegEvent::Transfer { status: 400, is_final: true });
                    Ok(())
                }
            },
            LegOrder::HangUp => self.endpoint.hang_up(call, now),
            LegOrder::Drop => match self.endpoint.reject(call, if self.draining { 503 } else { 500 }, now) {
                Err(_) => self.endpoint.hang_up(call, now),
                rejected => rejected,
            },
        };
        if let Err(error) = done {
            tracing::debug!(%error, "an order for a leg came too late");
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Incoming { call, invite, offer, flow, peers } => {
                let leg = self.leg(call);
                let arriving = ArrivingLeg {
                    leg,
                    offer,
                    from: caller(&invite, !peers.is_empty()),
                    to: invite.uri.callee().unwrap_or_default(),
                    trunks: peers,
                    local: flow.local.ip(),
                    remote: flow.remote,
                };
                // With nobody to take it, the leg is dropped, which refuses the call.
                let _ = self.arrivals.send(arriving);
            }
            Event::Progress { call, status, answer } => self.tell(call, LegEvent::Progress { status, answer }),
            Event::Answered { call, answer, .. } => self.tell(call, LegEvent::Answered { answer }),
            Event::Confirmed { call, answer } => self.tell(call, LegEvent::Confirmed { answer }),
            Event::Offer { call, offer } => self.tell(call, LegEvent::Offer { offer }),
            Event::Referred { call, refer_to, .. } => {
                self.tell(call, LegEvent::Referred { to: refer_to.uri.to_string() });
            }
            Event::Transfer { call, status, is_final } => self.tell(call, LegEvent::Transfer { status, is_final }),
            Event::Info { call, content_type, body } => {
                if let Some(key) = key_of(&content_type, &body) {
                    self.tell(call, LegEvent::Key(key));
                }
            }
            Event::Failed { call, status, .. } => self.tell_last(call, LegEvent::Failed { status }),
            Event::Ended { call, why } => self.tell_last(call, LegEvent::Ended(why)),
            Event::Registered { registration, .. } => self.registered(registration, true, 200),
            Event::Unregistered { registration, status } => self.registered(registration, false, status),
            Event::Pong { ping, status } => {
                if let Some(answer) = self.pings.remove(&ping) {
                    // Who no longer waits has an answer of his own.
                    let _ = answer.send(status);
                }
            }
            Event::OfferAnswered { .. } | Event::OfferRefused { .. } => {}
        }
    }

    fn tell(&self, call: CallId, event: LegEvent) {
        if let Some(leg) = self.legs.get(&call) {
            // A leg that was dropped has hung up.
            let _ = leg.send(event);
        }
    }

    fn tell_last(&mut self, call: CallId, event: LegEvent) {
        self.tell(call, event);
        self.legs.remove(&call);
    }

    fn learn(&mut self, trunks: Vec<Trunk>) {
        let now = Instant::now();
        let peers = trunks.iter().flat_map(|trunk| {
            trunk.ways_in.iter().map(|(networks, credentials)| Peer {
                name: trunk.name.clone(),
                networks: networks.clone(),
                credentials: credentials.clone(),
            })
        });
        self.endpoint.set_peers(peers.collect());
        let wants = |trunk: &&Trunk, name: &str| trunk.name == name && trunk.registration.is_some();
        let gone: Vec<String> =
            self.registrations.keys().filter(|name| !trunks.iter().any(|trunk| wants(&trunk, name))).cloned().collect();
        for name in gone {
            if let Some((id, _)) = self.registrations.remove(&name) {
                self.endpoint.unregister(id, now);
            }
        }
        let known = std::mem::replace(&mut self.trunks, trunks);
        for trunk in self.trunks.clone() {
            if trunk.registration.is_some() && !known.contains(&trunk) {
                self.find_registrar(trunk);
            }
        }
        self.tell_registrations();
    }

    /// Names are resolved beside the desk.
    fn find_registrar(&self, trunk: Trunk) {
        let (orders, may_reach, listeners) = (self.orders.clone(), self.may_reach.clone(), self.sockets.listeners());
        let find = async move {
            let Some(wanted) = trunk.registration.clone() else { return };
            let (Ok(registrar), Ok(address)) = (Uri::parse(&wanted.registrar), Uri::parse(&wanted.address_of_record))
            else {
                return;
            };
            let flows = places::flows(&registrar, &trunk, &listeners, &may_reach).await.unwrap_or_default();
            let Some((flow, host)) = flows.into_iter().next() else {
                tracing::warn!(
                    trunk = trunk.name,
                    "the registrar of a trunk is nowhere to be found; it is looked for again"
                );
                tokio::time::sleep(LOOK_AGAIN).await;
                let _ = orders.send(Order::FindRegistrar(trunk));
                return;
            };
            let order = RegistrationOrder {
                registrar,
                address_of_record: address,
                credentials: trunk.credentials.clone(),
                flow,
                expires: wanted.expires,
            };
            let _ = orders.send(Order::Register { trunk, order: Box::new(order), host });
        };
        self.sockets.spawn(find);
    }

    fn register(&mut self, trunk: &Trunk, order: RegistrationOrder) {
        let now = Instant::now();
        if let Some((id, _)) = self.registrations.remove(&trunk.name) {
            self.endpoint.unregister(id, now);
        }
        // The same client to the registrar, also after a restart: one name, and numbers that grow with time.
        let state = RegistrationState {
            call_id: format!("{}-{}", trunk.name, order.flow.local),
            sequence: seconds_since_2024(),
            lasts: None,
        };
        let id = self.endpoint.register(order, Some(state), now);
        let status = RegistrationStatus { trunk: trunk.name.clone(), registered: false, status: 0 };
        self.registrations.insert(trunk.name.clone(), (id, status));
        self.tell_registrations();
    }

    fn registered(&mut self, id: RegistrationId, registered: bool, status: u16) {
        if let Some((_, kept)) = self.registrations.values_mut().find(|(known, _)| *known == id) {
            if kept.registered != registered || kept.status != status {
                tracing::info!(trunk = kept.trunk, registered, status, "a registration changed");
            }
            (kept.registered, kept.status) = (registered, status);
        }
        self.tell_registrations();
    }

    fn tell_registrations(&self) {
        let mut all: Vec<_> = self.registrations.values().map(|(_, status)| status.clone()).collect();
        all.sort_by(|a, b| a.trunk.cmp(&b.trunk));
        self.tell.send_replace(all);
    }
}

#[expect(clippy::disallowed_methods, reason = "only that it grows is asked of it")]
fn seconds_since_2024() -> u32 {
    const BEGAN: u64 = 1_704_067_200;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| u32::try_from(now.as_secs().saturating_sub(BEGAN)).unwrap_or(u32::MAX / 2))
}

/// A target's URI with somebody to be called there.
fn with_user(uri: &Uri, user: &str) -> Option<Uri> {
    let sip = uri.as_sip()?;
    let port = sip.port.map(|port| format!(":{port}")).unwrap_or_default();
    let transport = sip.param("transport").map(|name| format!(";transport={name}")).unwrap_or_default();
    Uri::parse(&format!("sip:{user}@{}{port}{transport}", sip.host)).ok()
}

/// Who calls: what the network asserts counts for more than what the caller says.
fn caller(invite: &Request, is_known: bool) -> String {
    // From whom we don't know it means nothing (RFC 3325 §8).
    let asserted = invite.headers.get(&HeaderName::PAssertedIdentity).filter(|_| is_known);
    let asserted = asserted.and_then(|text| {
        let uri = text.split(['<', '>']).find(|part| part.starts_with("sip:") || part.starts_with("tel:"))?;
        Uri::parse(uri).ok()?.callee()
    });
    let said = || invite.envelope.from.uri.callee().filter(|user| user != "anonymous");
    asserted.or_else(said).unwrap_or_default()
}

/// `Signal=5` (application/dtmf-relay), or the key alone (application/dtmf).
fn key_of(content_type: &str, body: &[u8]) -> Option<char> {
    let text = std::str::from_utf8(body).ok()?;
    let key = match content_type.to_ascii_lowercase().as_str() {
        "application/dtmf-relay" => {
            let line = text.lines().find(|line| line.to_ascii_lowercase().starts_with("signal"))?;
            line.split_once('=')?.1.trim().chars().next()?
        }
        "application/dtmf" => text.trim().chars().next()?,
        _ => return None,
    };
    let key = key.to_ascii_uppercase();
    matches!(key, '0'..='9' | '*' | '#' | 'A'..='D').then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_in_two_spellings() {
        assert_eq!(key_of("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n"), Some('5'));
        assert_eq!(key_of("application/dtmf-relay", b"Signal= #\r\n"), Some('#'));
        assert_eq!(key_of("application/dtmf", b"7"), Some('7'));
        assert_eq!(key_of("text/plain", b"7"), None);
        assert_eq!(key_of("application/dtmf", b"x"), None);
    }
}
