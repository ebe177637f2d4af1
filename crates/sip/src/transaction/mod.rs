//! The transaction layer (§17, RFC 6026): repeats what gets lost, takes away what comes twice, answers what needs nobody
//! above (CANCEL, merged requests, the ACK of a refusal), and ends whatever it began.

mod client;
mod key;
mod server;
mod timers;

pub(crate) use key::MAGIC_COOKIE;
pub(crate) use timers::Retransmission;
pub use timers::Timers;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Instant;

use key::{ClientKey, MergeKey, ServerKey};

use crate::message::{HeaderName, Message, Method, Request, Response, Via};
use crate::{Flow, Transmit, nat};

/// A request of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(u64);

/// A request of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId(u64);

/// What the layer above must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A new request, to be answered.
    Request {
        /// What the answer names.
        id: ServerId,
        /// With `received` and `rport` filled in.
        request: Box<Request>,
        /// Where it came from.
        flow: Flow,
    },
    /// The ACK to a 2xx.
    Ack {
        /// It has no answer.
        request: Box<Request>,
        /// Where it came from.
        flow: Flow,
    },
    /// The INVITE is no longer wanted. The CANCEL has been answered; the INVITE has not.
    Cancelled(ServerId),
    /// An answer to a request of ours.
    Response {
        /// Which one.
        id: ClientId,
        /// Provisional ones come before a final one; several 2xx may answer one INVITE.
        response: Box<Response>,
        /// Where it came from.
        flow: Flow,
    },
    /// There was no answer to a request of ours, and there will be none.
    TimedOut(ClientId),
    /// A request of ours could not be sent.
    Unreachable(ClientId),
    /// Nothing more will be heard of a request of ours; the last event of each.
    Over(ClientId),
}

struct Client {
    machine: client::Machine,
    key: ClientKey,
    request: Request,
    bytes: Vec<u8>,
    ack: Option<Vec<u8>>,
    flow: Flow,
    scheduled: Option<Instant>,
}

struct Server {
    machine: server::Machine,
    key: ServerKey,
    merge: Option<MergeKey>,
    /// What is said again when the request is.
    last: Option<Vec<u8>>,
    back: Flow,
    /// Where Via wants its answer, should the stream be gone.
    via_port: Option<u16>,
    scheduled: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Which {
    Client(ClientId),
    Server(ServerId),
}

/// All transactions of an endpoint.
#[derive(Default)]
pub struct Transactions {
    timers: Timers,
    next: u64,
    clients: HashMap<ClientId, Client>,
    by_branch: HashMap<ClientKey, ClientId>,
    servers: HashMap<ServerId, Server>,
    by_server_key: HashMap<ServerKey, ServerId>,
    by_merge_key: HashMap<MergeKey, ServerId>,
    deadlines: BTreeSet<(Instant, Which)>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

impl Transactions {
    /// With clocks of its own.
    #[must_use]
    pub fn new(timers: Timers) -> Self {
        Self { timers, ..Self::default() }
    }

    /// The clocks.
    #[must_use]
    pub fn timers(&self) -> &Timers {
        &self.timers
    }

    /// How many are not over yet.
    #[must_use]
    pub fn open(&self) -> usize {
        self.clients.len() + self.servers.len()
    }

    /// What is to be sent.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Sends without a transaction: the ACK to a 2xx, an answer that is not kept.
    pub fn transmit(&mut self, flow: Flow, bytes: Vec<u8>) {
        self.transmits.push_back(Transmit { flow, bytes, close: false });
    }

    /// A message came.
    pub fn receive(&mut self, message: Message, flow: Flow, now: Instant) {
        match message {
            Message::Request(request) => self.receive_request(request, flow, now),
            Message::Response(response) => self.receive_response(response, flow, now),
        }
    }

    /// Sends a request. The topmost Via is put on here; its branch must be unique.
    pub fn request(&mut self, mut request: Request, via: Via, flow: Flow, now: Instant) -> ClientId {
        let id = ClientId(self.next_id());
        let key = ClientKey::of_request(via.branch().unwrap_or_default(), &request.method);
        request.envelope.via.insert(0, via);
        let bytes = request.to_bytes();
        let is_invite = request.method == Method::Invite;
        let machine = client::Machine::start(is_invite, flow.transport.is_reliable(), &self.timers, now);
        self.transmit(flow, bytes.clone());
        self.by_branch.insert(key.clone(), id);
        self.clients.insert(id, Client { machine, key, request, bytes, ack: None, flow, scheduled: None });
        self.reschedule(Which::Client(id));
        id
    }

    /// Takes an INVITE back that has had a provisional response and no final one (§9.1); whether that was so. Before the
    /// first response it may not be done.
    pub fn cancel(&mut self, id: ClientId, now: Instant) -> bool {
        let Some(client) = self.clients.get_mut(&id) else { return false };
        let is_first = !self.by_branch.contains_key(&client.key.with_method(Method::Cancel));
        if !client.machine.is_proceeding() || !is_first {
            return false;
        }
        client.machine.on_cancel(&self.timers, now);
        let (cancel, flow) = (follow_up(&client.request, Method::Cancel), client.flow);
        let Some(via) = client.request.envelope.via.first().cloned() else { return false };
        self.reschedule(Which::Client(id));
        self.request(cancel, via, flow, now);
        true
    }

    /// Answers a request of theirs; whether that was still possible.
    pub fn respond(&mut self, id: ServerId, response: &Response, now: Instant) -> bool {
        let Some(server) = self.servers.get_mut(&id) else { return false };
        if !server.machine.on_answer(response.status, &self.timers, now) {
            return false;
        }
        let bytes = response.to_bytes();
        let back = server.back;
        // A 2xx to an INVITE is repeated by the dialog, and need not be kept.
        server.last = server.machine.on_repeat().then(|| bytes.clone());
        self.transmit(back, bytes);
        self.reschedule(Which::Server(id));
        true
    }

    /// A flow can't be used: what waits for an answer on it waits no more, and what is still to be answered is answered
    /// where Via says (§18.2.2).
    pub fn flow_failed(&mut self, flow: Flow) {
        for server in self.servers.values_mut().filter(|server| server.back == flow && flow.transport.is_reliable()) {
            server.back.remote.set_port(server.via_port.unwrap_or(flow.transport.default_port()));
        }
        let on_flow = |client: &Client| client.flow == flow && client.machine.awaits_answer();
        let failed: Vec<ClientId> =
            self.clients.iter().filter(|(_, client)| on_flow(client)).map(|(id, _)| *id).collect();
        for id in failed {
            if let Some(client) = self.clients.get_mut(&id) {
                client.machine.finish();
            }
            self.events.push_back(Event::Unreachable(id));
            self.reschedule(Which::Client(id));
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(at, which)) = self.deadlines.first() {
            if at > now {
                break;
            }
            match which {
                Which::Client(id) => self.client_timeout(id, now),
                Which::Server(id) => self.server_timeout(id, now),
            }
            self.reschedule(which);
        }
    }

    fn client_timeout(&mut self, id: ClientId, now: Instant) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let todo = client.machine.on_time(&self.timers, now);
        if todo.resend {
            self.transmits.push_back(Transmit { flow: client.flow, bytes: client.bytes.clone(), close: false });
        }
        if todo.timed_out {
            self.events.push_back(Event::TimedOut(id));
        }
    }

    fn server_timeout(&mut self, id: ServerId, now: Instant) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        if server.machine.on_time(&self.timers, now) {
            self.repeat_last(id);
        }
    }

    fn repeat_last(&mut self, id: ServerId) {
        if let Some(Server { last: Some(bytes), back, .. }) = self.servers.get(&id) {
            self.transmits.push_back(Transmit { flow: *back, bytes: bytes.clone(), close: false });
        }
    }

    fn receive_response(&mut self, response: Response, flow: Flow, now: Instant) {
        // Whose request it was we know by the branch alone; a response to nothing is dropped (RFC 6026 §7.3).
        let Some(key) = ClientKey::of_response(&response) else { return };
        let Some(&id) = self.by_branch.get(&key) else { return };
        let Some(client) = self.clients.get_mut(&id) else { return };
        if client.request.envelope.call_id != response.envelope.call_id {
            return;
        }
        let todo = client.machine.on_response(response.status, &self.timers, now);
        if todo.ack {
            let ack = client.ack.get_or_insert_with(|| ack_of_refusal(&client.request, &response).to_bytes());
            let transmit = Transmit { flow: client.flow, bytes: ack.clone(), close: false };
            self.transmits.push_back(transmit);
        }
        if !client.machine.awaits_answer() {
            // It is not sent again.
            client.bytes = Vec::new();
        }
        if todo.deliver && client.key.is_not_cancel() {
            self.events.push_back(Event::Response { id, response: Box::new(response), flow });
        }
        self.reschedule(Which::Client(id));
    }

    fn receive_request(&mut self, mut request: Request, flow: Flow, now: Instant) {
        let Some(key) = ServerKey::of(&request) else { return };
        if let Some(via) = request.envelope.via.first_mut() {
            nat::note_source(via, flow.remote);
        }
        if request.method == Method::Ack {
            return self.receive_ack(&key, request, flow, now);
        }
        if let Some(&id) = self.by_server_key.get(&key) {
            if self.servers.get(&id).is_some_and(|server| server.machine.on_repeat()) {
                self.repeat_last(id);
            }
            return;
        }
        if request.method == Method::Cancel {
            return self.receive_cancel(key, request, flow, now);
        }
        let merge = MergeKey::of(&request);
        if merge.as_ref().is_some_and(|merge| self.by_merge_key.contains_key(merge)) {
            let refusal = request.respond_tagged(482, "merged");
            let id = self.open_server(key, None, &request, flow, now);
            self.respond(id, &refusal, now);
            return;
        }
        let id = self.open_server(key, merge, &request, flow, now);
        if request.method == Method::Invite {
            self.respond(id, &request.respond(100), now);
        }
        self.events.push_back(Event::Request { id, request: Box::new(request), flow });
    }

    fn receive_ack(&mut self, key: &ServerKey, request: Request, flow: Flow, now: Instant) {
        let known = self.by_server_key.get(key).copied();
        let fate =
            known.and_then(|id| self.servers.get_mut(&id)).map(|server| server.machine.on_ack(&self.timers, now));
        if let Some(id) = known {
            self.reschedule(Which::Server(id));
        }
        // The ACK to a 2xx has a branch of its own, so it usually finds no transaction.
        if fate != Some(server::Ack::Absorbed) {
            self.events.push_back(Event::Ack { request: Box::new(request), flow });
        }
    }

    fn receive_cancel(&mut self, key: ServerKey, cancel: Request, flow: Flow, now: Instant) {
        let invite = ServerKey::cancelled_by(&cancel).and_then(|key| self.by_server_key.get(&key).copied());
        let status = if invite.is_some() { 200 } else { 481 };
        let response = cancel.respond_tagged(status, "cancel");
        let id = self.open_server(key, None, &cancel, flow, now);
        self.respond(id, &response, now);
        if let Some(invite) = invite
            && self.servers.get(&invite).is_some_and(|server| server.machine.is_open())
        {
            self.events.push_back(Event::Cancelled(invite));
        }
    }

    fn open_server(
        &mut self,
        key: ServerKey,
        merge: Option<MergeKey>,
        request: &Request,
        flow: Flow,
        now: Instant,
    ) -> ServerId {
        let id = ServerId(self.next_id());
        let is_invite = request.method == Method::Invite;
        let machine = server::Machine::start(is_invite, flow.transport.is_reliable(), &self.timers, now);
        let via = request.envelope.via.first();
        let back = via.map_or(flow, |via| nat::response_flow(via, flow));
        let via_port = via.and_then(|via| via.port);
        self.by_server_key.insert(key.clone(), id);
        if let Some(merge) = &merge {
            self.by_merge_key.insert(merge.clone(), id);
        }
        self.servers.insert(id, Server { machine, key, merge, last: None, back, via_port, scheduled: None });
        self.reschedule(Which::Server(id));
        id
    }

    /// Puts a transaction's next deadline where it is found, or the transaction away if it is over.
    fn reschedule(&mut self, which: Which) {
        let (deadline, is_over, scheduled) = match which {
            Which::Client(id) => {
                let Some(client) = self.clients.get_mut(&id) else { return };
                let deadline = client.machine.deadline();
                (deadline, client.machine.is_over(), std::mem::replace(&mut client.scheduled, deadline))
            }
            Which::Server(id) => {
                let Some(server) = self.servers.get_mut(&id) else { return };
                let deadline = server.machine.deadline();
                (deadline, server.machine.is_over(), std::mem::replace(&mut server.scheduled, deadline))
            }
        };
        if let Some(at) = scheduled {
            self.deadlines.remove(&(at, which));
        }
        if is_over {
            self.forget(which);
        } else if let Some(at) = deadline {
            self.deadlines.insert((at, which));
        }
    }

    fn forget(&mut self, which: Which) {
        match which {
            Which::Client(id) => {
                if let Some(client) = self.clients.remove(&id) {
                    self.by_branch.remove(&client.key);
                    self.events.push_back(Event::Over(id));
                }
            }
            Which::Server(id) => {
                if let Some(server) = self.servers.remove(&id) {
                    self.by_server_key.remove(&server.key);
                    if let Some(merge) = server.merge {
                        self.by_merge_key.remove(&merge);
                    }
                }
            }
        }
    }

    fn next_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// CANCEL and the ACK to a refusal: like the request they belong to, with its topmost Via only (§9.1, §17.1.1.3).
fn follow_up(request: &Request, method: Method) -> Request {
    let envelope = &request.envelope;
    let (from, to) = (envelope.from.clone(), envelope.to.clone());
    let mut follow_up = Request::new(method, request.uri.clone(), from, to, &envelope.call_id, envelope.cseq.sequence);
    for name in [HeaderName::Route, HeaderName::Authorization, HeaderName::ProxyAuthorization] {
        for value in request.headers.all(&name) {
            follow_up.headers.push(name.clone(), value);
        }
    }
    follow_up
}

fn ack_of_refusal(request: &Request, response: &Response) -> Request {
    let mut ack = follow_up(request, Method::Ack);
    ack.envelope.to = response.envelope.to.clone();
    ack.envelope.via = request.envelope.via.first().cloned().into_iter().collect();
    ack
}
