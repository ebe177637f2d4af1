//! A user agent (§8, §13 to §15): what the call engine uses. In: datagrams, stream bytes, the time, and orders. Out:
//! [`crate::Transmit`]s and [`Event`]s. Names are resolved and sockets opened by the host; SDP passes through unread.
//!
//! After any call of a `&mut self` method: drain [`Endpoint::poll_transmit`] and [`Endpoint::poll_event`], and call
//! [`Endpoint::handle_timeout`] when [`Endpoint::poll_timeout`] says.

mod body;
mod call;
mod event;
mod gate;
mod incoming;
mod offers;
mod outgoing;
mod receiving;
mod referral;
mod registering;
mod screening;
mod sending;
mod session;
mod targets;

pub use event::{CallId, CallOrder, Ended, Event, OrderError, PingId, RegistrationId, Target};
pub use gate::{Pace, Peer, PeerName, Strangers};

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use call::{Call, Fate, Phase};
use gate::Gate;
use registering::Kept;
use sending::{Asked, Purpose};

use crate::dialog::{Dialog, DialogId, SessionPolicy};
use crate::digest::Guard;
use crate::message::{Framer, Method, Request};
use crate::nat::Advertised;
use crate::transaction::{self, ClientId, ServerId, Timers, Transactions};
use crate::{Flow, Tokens, Transmit, Transport};

/// How an endpoint behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// User-Agent and Server.
    pub product: String,
    /// By which address we are known outside.
    pub advertised: Advertised,
    /// Our sockets.
    pub listeners: Vec<(Transport, SocketAddr)>,
    /// The clocks of §17.
    pub timers: Timers,
    /// Session timers.
    pub session: SessionPolicy,
    /// Whose calls we take.
    pub peers: Vec<Peer>,
    /// What becomes of the others.
    pub strangers: Strangers,
    /// How much the others may send.
    pub pace: Pace,
    /// As which we challenge.
    pub realm: String,
    /// More calls than these are told 503.
    pub most_calls: usize,
    /// A call of theirs that is not answered for so long is refused.
    pub ring_at_most: Duration,
    /// A target that says nothing at all for so long is passed over, if there is another.
    pub first_response_within: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            product: "Offhook".to_owned(),
            advertised: Advertised::PLAIN,
            listeners: Vec::new(),
            timers: Timers::default(),
            session: SessionPolicy::default(),
            peers: Vec::new(),
            strangers: Strangers::Ignored,
            pace: Pace::default(),
            realm: "offhook".to_owned(),
            most_calls: 10_000,
            ring_at_most: Duration::from_secs(300),
            first_response_within: Duration::from_secs(5),
        }
    }
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Call(CallId),
    Registration(RegistrationId),
}

/// A user agent.
pub struct Endpoint {
    config: Config,
    tokens: Tokens,
    transactions: Transactions,
    gate: Gate,
    guard: Guard,
    framers: HashMap<Flow, Framer>,
    calls: HashMap<CallId, Call>,
    dialogs: HashMap<DialogId, CallId>,
    asked: HashMap<ClientId, Asked>,
    invites: HashMap<ServerId, CallId>,
    registrations: HashMap<RegistrationId, Kept>,
    deadlines: BTreeSet<(Instant, Due)>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    next: u64,
}

impl Endpoint {
    /// The seed makes tags and nonces: it must come from the operating system.
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32], now: Instant) -> Self {
        let mut tokens = Tokens::new(seed);
        let guard = Guard::new(&config.realm, &mut tokens, now);
        Self {
            transactions: Transactions::new(config.timers),
            gate: Gate::new(config.peers.clone(), config.pace),
            guard,
            tokens,
            config,
            framers: HashMap::new(),
            calls: HashMap::new(),
            dialogs: HashMap::new(),
            asked: HashMap::new(),
            invites: HashMap::new(),
            registrations: HashMap::new(),
            deadlines: BTreeSet::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            next: 0,
        }
    }

    /// Other peers from now on; calls that stand are not touched.
    pub fn set_peers(&mut self, peers: Vec<Peer>) {
        self.gate.set_peers(peers);
    }

    /// What is to be sent.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transactions.poll_transmit().or_else(|| self.transmits.pop_front())
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let ours = self.deadlines.first().map(|(at, _)| *at);
        [ours, self.transactions.poll_timeout()].into_iter().flatten().min()
    }

    /// No further calls of theirs are taken (503), while those that stand go on: a stop drains.
    pub fn drain(&mut self) {
        self.config.most_calls = 0;
    }

    /// The Call-ID of a call, under which others know it; of a call of ours, that of the target that is being tried.
    #[must_use]
    pub fn sip_call_id(&self, call: CallId) -> Option<&str> {
        match &self.calls.get(&call)?.phase {
            Phase::Calling(outgoing) => Some(&self.asked.get(&outgoing.attempt.client)?.request.envelope.call_id),
            Phase::Ringing(incoming) => Some(&incoming.dialog.id.call_id),
            Phase::Talking(session) => Some(&session.dialog.id.call_id),
        }
    }

    /// The dialog of an answered call: what Replaces names in an attended transfer.
    #[must_use]
    pub fn dialog(&self, call: CallId) -> Option<&Dialog> {
        match &self.calls.get(&call)?.phase {
            Phase::Talking(session) => Some(&session.dialog),
            Phase::Calling(_) | Phase::Ringing(_) => None,
        }
    }

    /// How many calls there are.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Whether nothing is left of anything: no call, no transaction, no name kept.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty()
            && self.dialogs.is_empty()
            && self.asked.is_empty()
            && self.invites.is_empty()
            && self.transactions.open() == 0
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.transactions.handle_timeout(now);
        self.settle(now);
        while let Some(&(at, due)) = self.deadlines.first() {
            if at > now {
                break;
            }
            match due {
                Due::Call(id) => self.with_call(id, |endpoint, call| endpoint.call_timeout(id, call, now)),
                Due::Registration(id) => self.registration_due(id, now),
            }
            self.settle(now);
        }
    }

    /// A stream was closed, or can't be opened.
    pub fn flow_failed(&mut self, flow: Flow, now: Instant) {
        self.framers.remove(&flow);
        self.leave_stream(flow);
        self.transactions.flow_failed(flow);
        self.settle(now);
    }

    /// Hands on what the transactions have to say.
    fn settle(&mut self, now: Instant) {
        while let Some(event) = self.transactions.poll_event() {
            match event {
                transaction::Event::Request { id, request, flow } => self.on_request(id, *request, flow, now),
                transaction::Event::Ack { request, flow } => self.on_ack(&request, flow, now),
                transaction::Event::Cancelled(id) => self.on_cancelled(id, now),
                transaction::Event::Response { id, response, flow } => self.on_response(id, &response, flow, now),
                transaction::Event::TimedOut(id) => self.on_silence(id, 408, now),
                transaction::Event::Unreachable(id) => self.on_silence(id, 503, now),
                transaction::Event::Over(id) => {
                    self.asked.remove(&id);
                }
            }
        }
    }

    /// Takes a call out, works on it, and puts it back with its new deadline, or not.
    fn with_call(&mut self, id: CallId, work: impl FnOnce(&mut Self, &mut Call) -> Fate) {
        let Some(mut call) = self.calls.remove(&id) else { return };
        if let Some(at) = call.scheduled.take() {
            self.deadlines.remove(&(at, Due::Call(id)));
        }
        match work(self, &mut call) {
            Fate::Stays => self.keep_call(id, call),
            Fate::Ends => {
                for dialog in call.dialogs {
                    self.dialogs.remove(&dialog);
                }
            }
        }
    }

    fn keep_call(&mut self, id: CallId, mut call: Call) {
        call.scheduled = call.phase.deadline();
        if let Some(at) = call.scheduled {
            self.deadlines.insert((at, Due::Call(id)));
        }
        self.calls.insert(id, call);
    }

    fn remember_dialog(&mut self, id: CallId, call: &mut Call, dialog: &DialogId) {
        if self.dialogs.insert(dialog.clone(), id).is_none() {
            call.dialogs.push(dialog.clone());
        }
    }

    fn ended(&mut self, call: CallId, why: Ended) -> Fate {
        self.events.push_back(Event::Ended { call, why });
        Fate::Ends
    }

    /// Asks whether somebody is there (§11).
    pub fn ping(&mut self, target: &Target, now: Instant) -> PingId {
        let ping = PingId(self.next_id());
        let us = self.config.advertised.contact(None, target.flow);
        let from = crate::message::NameAddr::new(us).with_tag(&self.tokens.tag());
        let to = crate::message::NameAddr::new(target.uri.clone());
        let call_id = self.tokens.call_id();
        let mut request = Request::new(Method::Options, target.uri.clone(), from, to, &call_id, 1);
        request.headers.push(crate::message::HeaderName::Accept, body::SDP);
        self.send(request, target.flow, Purpose::Ping(ping), now);
        self.settle(now);
        ping
    }

    fn next_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
