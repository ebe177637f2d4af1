//! A network of endpoints with a clock of its own: what is sent arrives after a while, or not.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use offhook_sip::endpoint::{CallId, CallOrder, Config, Endpoint, Event, Strangers, Target};
use offhook_sip::message::{Message, Method, NameAddr, Request, Response, Uri, parse};
use offhook_sip::{Flow, Tokens, Transport};

pub const OFFER: &[u8] = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n";
pub const ANSWER: &[u8] = b"v=0\r\no=- 2 1 IN IP4 192.0.2.2\r\ns=-\r\n";

/// Where a scripted peer stands, who is no endpoint of ours.
pub const PEER: &str = "192.0.2.99:5060";

pub fn address(n: u8) -> SocketAddr {
    SocketAddr::new([192, 0, 2, n].into(), 5060)
}

pub fn flow(transport: Transport, from: SocketAddr, to: SocketAddr) -> Flow {
    Flow { transport, local: from, remote: to }
}

/// What is on its way: when it arrives, and in which order it was sent.
type Journey = (Instant, u64);

pub struct Network {
    pub now: Instant,
    pub endpoints: BTreeMap<SocketAddr, Endpoint>,
    in_flight: BTreeMap<Journey, (Flow, Vec<u8>)>,
    sent: u64,
    pub delay: Duration,
    /// Of a thousand datagrams, so many are lost.
    pub loss: u32,
    pub luck: Tokens,
    /// Everything that was sent, in order, by whom.
    pub log: Vec<(SocketAddr, Message)>,
    /// What reached the scripted peer.
    pub at_peer: Vec<Message>,
    events: BTreeMap<SocketAddr, Vec<Event>>,
}

pub fn config() -> Config {
    Config { strangers: Strangers::Welcome, ..Config::default() }
}

impl Network {
    /// Endpoints at `address(1)`, `address(2)`, …
    pub fn of(configs: Vec<Config>) -> Self {
        let now = Instant::now();
        let endpoints = configs.into_iter().enumerate().map(|(at, mut config)| {
            let n = u8::try_from(at + 1).unwrap();
            config.listeners = [Transport::Udp, Transport::Tcp, Transport::Tls].map(|t| (t, address(n))).to_vec();
            config.pace.burst = 1000;
            (address(n), Endpoint::new(config, [n; 32], now))
        });
        Self {
            now,
            endpoints: endpoints.collect(),
            in_flight: BTreeMap::new(),
            sent: 0,
            delay: Duration::from_millis(10),
            loss: 0,
            luck: Tokens::new([42; 32]),
            log: Vec::new(),
            at_peer: Vec::new(),
            events: BTreeMap::new(),
        }
    }

    pub fn pair() -> Self {
        Self::of(vec![config(), config()])
    }

    pub fn endpoint(&mut self, n: u8) -> (&mut Endpoint, Instant) {
        (self.endpoints.get_mut(&address(n)).unwrap(), self.now)
    }

    /// Lets everything happen that happens within this time.
    pub fn pass(&mut self, duration: Duration) {
        let until = self.now + duration;
        self.collect();
        loop {
            let arrival = self.in_flight.keys().next().map(|(at, _)| *at);
            let timeout = self.endpoints.values().filter_map(Endpoint::poll_timeout).min();
            let Some(next) = [arrival, timeout].into_iter().flatten().min().filter(|at| *at <= until) else { break };
            self.now = self.now.max(next);
            while let Some(entry) = self.in_flight.first_entry() {
                if entry.key().0 > self.now {
                    break;
                }
                let (flow, bytes) = entry.remove();
                self.arrive(flow, &bytes);
            }
            let now = self.now;
            for endpoint in self.endpoints.values_mut() {
                if endpoint.poll_timeout().is_some_and(|at| at <= now) {
                    endpoint.handle_timeout(now);
                }
            }
            self.collect();
        }
        self.now = until;
    }

    pub fn soon(&mut self) {
        self.pass(Duration::from_millis(200));
    }

    fn arrive(&mut self, flow: Flow, bytes: &[u8]) {
        let back = Flow { local: flow.remote, remote: flow.local, ..flow };
        let now = self.now;
        if let Some(endpoint) = self.endpoints.get_mut(&flow.remote) {
            if flow.transport.is_reliable() {
                endpoint.receive_stream(back, bytes, now);
            } else {
                endpoint.receive(back, bytes, now);
            }
        } else if flow.remote == PEER.parse().unwrap() {
            // A reminder for the NAT is no message.
            self.at_peer.extend(parse(bytes));
        } else if flow.transport.is_reliable() {
            self.endpoints.get_mut(&flow.local).unwrap().flow_failed(flow, now);
        }
    }

    fn collect(&mut self) {
        for (at, endpoint) in &mut self.endpoints {
            while let Some(transmit) = endpoint.poll_transmit() {
                if let Ok(message) = parse(&transmit.bytes) {
                    self.log.push((*at, message));
                }
                self.sent += 1;
                let is_lost = !transmit.flow.transport.is_reliable() && self.luck.below(1000) < self.loss;
                if !is_lost {
                    self.in_flight.insert((self.now + self.delay, self.sent), (transmit.flow, transmit.bytes));
                }
            }
            let events = std::iter::from_fn(|| endpoint.poll_event());
            self.events.entry(*at).or_default().extend(events);
        }
    }

    /// What an endpoint was told since it was last asked.
    pub fn events(&mut self, n: u8) -> Vec<Event> {
        self.collect();
        std::mem::take(self.events.entry(address(n)).or_default())
    }

    /// The only one of them.
    pub fn event(&mut self, n: u8) -> Event {
        let events = self.events(n);
        let [event] = &events[..] else { panic!("{events:?}") };
        event.clone()
    }

    /// Who sent what, in short: `1: INVITE`, `2: 200 INVITE`.
    pub fn ladder(&mut self) -> Vec<String> {
        self.collect();
        let step = |(from, message): (SocketAddr, Message)| {
            let SocketAddr::V4(from) = from else { panic!() };
            let what = match message {
                Message::Request(request) => request.method.to_string(),
                Message::Response(response) => format!("{} {}", response.status, response.envelope.cseq.method),
            };
            format!("{}: {what}", from.ip().octets()[3])
        };
        std::mem::take(&mut self.log).into_iter().map(step).collect()
    }

    /// The scripted peer says something to an endpoint.
    pub fn peer_says(&mut self, n: u8, message: impl Into<Message>) {
        self.peer_sends(n, Transport::Udp, &message.into().to_bytes());
    }

    pub fn peer_sends(&mut self, n: u8, transport: Transport, bytes: &[u8]) {
        let flow = flow(transport, PEER.parse().unwrap(), address(n));
        self.sent += 1;
        self.in_flight.insert((self.now, self.sent), (flow, bytes.to_vec()));
        self.soon();
    }

    /// The last request of this method that the scripted peer got.
    pub fn peer_got(&self, method: &Method) -> Request {
        let requests = self.at_peer.iter().rev().filter_map(|message| match message {
            Message::Request(request) if request.method == *method => Some(request.clone()),
            _ => None,
        });
        requests.into_iter().next().unwrap_or_else(|| panic!("no {method} in {:?}", self.at_peer))
    }

    /// The last response that the scripted peer got.
    pub fn peer_was_told(&self) -> Response {
        match self.at_peer.last() {
            Some(Message::Response(response)) => response.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// A call from one endpoint to the other, ringing there.
    pub fn ringing(&mut self, from: u8, to: u8, transport: Transport) -> (CallId, CallId) {
        let target = target(transport, from, address(to));
        let (caller, now) = self.endpoint(from);
        let ours = caller.place_call(order(vec![target]), now).unwrap();
        self.soon();
        let Event::Incoming { call: theirs, offer, .. } = self.event(to) else { panic!() };
        assert_eq!(offer.as_deref(), Some(OFFER));
        (ours, theirs)
    }

    /// A call from one endpoint to the other, answered.
    pub fn talking(&mut self, from: u8, to: u8, transport: Transport) -> (CallId, CallId) {
        let (ours, theirs) = self.ringing(from, to, transport);
        let (callee, now) = self.endpoint(to);
        callee.accept(theirs, ANSWER.to_vec(), now).unwrap();
        self.soon();
        let events = self.events(from);
        assert!(matches!(events.last(), Some(Event::Answered { .. })), "{events:?}");
        assert_eq!(self.event(to), Event::Confirmed { call: theirs, answer: None });
        self.log.clear();
        (ours, theirs)
    }

    /// Nothing is left of anything, once all time has run out.
    pub fn is_over(&mut self) {
        self.pass(Duration::from_secs(120));
        for (at, endpoint) in &self.endpoints {
            assert!(endpoint.is_idle(), "{at} keeps something");
        }
    }
}

pub fn target(transport: Transport, from: u8, to: SocketAddr) -> Target {
    let uri = Uri::parse(&format!("sip:+15557654321@{to}")).unwrap();
    Target { uri, flow: flow(transport, address(from), to), priority: 10, weight: 10 }
}

pub fn order(targets: Vec<Target>) -> CallOrder {
    let name = |text: &str| NameAddr::new(Uri::parse(text).unwrap());
    CallOrder {
        targets,
        from: name("sip:+15551234567@us.example.com").with_display("Agent \"7\""),
        to: name("sip:+15557654321@them.example.com"),
        offer: OFFER.to_vec(),
        credentials: None,
        headers: Vec::new(),
        ring_for: Duration::from_secs(60),
    }
}

/// How many random stories: `PROPTEST_CASES` for a long night.
pub fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100)
}

/// A request of the scripted peer, outside of dialogs.
pub fn peer_request(method: Method, n: u8, branch: &str) -> Request {
    let text = format!(
        "{method} sip:+15551234567@{} SIP/2.0\r\nVia: SIP/2.0/UDP {PEER};branch=z9hG4bK{branch};rport\r\n\
         From: <sip:peer@{PEER}>;tag=peer\r\nTo: <sip:+15551234567@{}>\r\nCall-ID: of-the-peer\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:peer@{PEER}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        address(n),
        address(n)
    );
    match parse(text.as_bytes()).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!(),
    }
}

/// A further request of the scripted peer in the dialog that `response` made.
pub fn peer_follows(response: &Response, method: Method, sequence: u32, branch: &str) -> Request {
    let mut request = peer_request(method, 1, branch);
    request.envelope.to = response.envelope.to.clone();
    request.envelope.from = response.envelope.from.clone();
    request.envelope.call_id.clone_from(&response.envelope.call_id);
    request.envelope.cseq.sequence = sequence;
    request
}
