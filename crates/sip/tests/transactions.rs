//! The four machines of §17, each by its timers, and then all of them under whatever order of messages and time.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::time::{Duration, Instant};

use offhook_sip::message::{Message, Method, NameAddr, Params, Request, Response, Uri, Via, parse};
use offhook_sip::transaction::{ClientId, Event, ServerId, Timers, Transactions};
use offhook_sip::{Flow, Transport};
use proptest::prelude::*;

fn flow(transport: Transport) -> Flow {
    Flow { transport, local: "192.0.2.1:5060".parse().unwrap(), remote: "192.0.2.2:5060".parse().unwrap() }
}

fn via(transport: Transport, branch: &str) -> Via {
    let mut params = Params::default();
    params.set("branch", Some(branch));
    params.set("rport", None);
    Via {
        transport: transport.as_str().to_owned(),
        host: "192.0.2.1".parse::<std::net::IpAddr>().unwrap().into(),
        port: Some(5060),
        params,
    }
}

fn request(method: Method) -> Request {
    let uri = Uri::parse("sip:bob@192.0.2.2").unwrap();
    let from = NameAddr::new(Uri::parse("sip:alice@192.0.2.1").unwrap()).with_tag("a");
    Request::new(method, uri.clone(), from, NameAddr::new(uri), "call@192.0.2.1", 1)
}

/// A layer, its clock, and what came out of it.
struct Layer {
    transactions: Transactions,
    start: Instant,
    now: Instant,
}

impl Layer {
    fn new() -> Self {
        let now = Instant::now();
        Self { transactions: Transactions::new(Timers::default()), start: now, now }
    }

    fn ask(&mut self, method: Method, transport: Transport) -> ClientId {
        self.transactions.request(request(method), via(transport, "z9hG4bKone"), flow(transport), self.now)
    }

    fn sent(&mut self) -> Vec<Message> {
        std::iter::from_fn(|| self.transactions.poll_transmit()).map(|t| parse(&t.bytes).unwrap()).collect()
    }

    /// The times, in milliseconds since the start, at which something was sent until nothing is left to do.
    fn run_out(&mut self) -> Vec<u128> {
        let mut times = Vec::new();
        while let Some(at) = self.transactions.poll_timeout() {
            self.now = at;
            self.transactions.handle_timeout(at);
            for _ in self.sent() {
                times.push((at - self.start).as_millis());
            }
        }
        times
    }

    fn events(&mut self) -> Vec<Event> {
        let all = std::iter::from_fn(|| self.transactions.poll_event());
        all.filter(|event| !matches!(event, Event::Over(_))).collect()
    }

    fn answer(&mut self, request: &Request, status: u16, transport: Transport) {
        let response = request.respond_tagged(status, "b");
        self.transactions.receive(response.into(), flow(transport), self.now);
    }

    fn get(&mut self, request: &Request, transport: Transport) {
        self.transactions.receive(request.clone().into(), flow(transport), self.now);
    }

    fn pass(&mut self, duration: Duration) {
        self.now += duration;
        self.transactions.handle_timeout(self.now);
    }

    fn is_idle(&self) -> bool {
        self.transactions.open() == 0 && self.transactions.poll_timeout().is_none()
    }
}

fn first_request(sent: Vec<Message>) -> Request {
    match sent.into_iter().next() {
        Some(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn statuses(sent: &[Message]) -> Vec<u16> {
    sent.iter()
        .map(|message| match message {
            Message::Response(response) => response.status,
            Message::Request(request) => panic!("{request:?}"),
        })
        .collect()
}

fn incoming(method: Method, branch: &str, transport: Transport) -> Request {
    let mut request = request(method);
    request.envelope.via.push(via(transport, branch));
    request
}

fn only_request(events: &[Event]) -> ServerId {
    match events {
        [Event::Request { id, .. }] => *id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_invite_over_udp_is_repeated_more_and_more_rarely_for_32_seconds() {
    let mut layer = Layer::new();
    let id = layer.ask(Method::Invite, Transport::Udp);
    assert_eq!(layer.sent().len(), 1);
    assert_eq!(layer.run_out(), [500, 1500, 3500, 7500, 15_500, 31_500]);
    assert_eq!(layer.events(), [Event::TimedOut(id)]);
    assert_eq!((layer.now - layer.start).as_secs(), 32);
    assert!(layer.is_idle());
}

#[test]
fn any_other_request_is_repeated_every_four_seconds_at_last() {
    let mut layer = Layer::new();
    layer.ask(Method::Options, Transport::Udp);
    layer.sent();
    assert_eq!(layer.run_out(), [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
    let mut layer = Layer::new();
    layer.ask(Method::Bye, Transport::Udp);
    let bye = first_request(layer.sent());
    layer.answer(&bye, 100, Transport::Udp);
    assert_eq!(layer.run_out(), [4000, 8000, 12_000, 16_000, 20_000, 24_000, 28_000], "T2 from the first 1xx on");
}

#[test]
fn a_stream_repeats_nothing() {
    for method in [Method::Invite, Method::Options] {
        let mut layer = Layer::new();
        let id = layer.ask(method, Transport::Tcp);
        layer.sent();
        assert!(layer.run_out().is_empty());
        assert_eq!(layer.events(), [Event::TimedOut(id)]);
    }
}

#[test]
fn a_refusal_is_acknowledged_each_time_it_comes() {
    let mut layer = Layer::new();
    layer.ask(Method::Invite, Transport::Udp);
    let invite = first_request(layer.sent());
    layer.answer(&invite, 180, Transport::Udp);
    layer.answer(&invite, 486, Transport::Udp);
    layer.answer(&invite, 486, Transport::Udp);
    let acks = layer.sent();
    assert_eq!(acks.len(), 2);
    let ack = first_request(acks);
    assert_eq!(ack.method, Method::Ack);
    assert_eq!(ack.envelope.via, invite.envelope.via, "the same branch");
    assert_eq!(ack.envelope.to.tag(), Some("b"));
    assert_eq!(ack.envelope.cseq.sequence, invite.envelope.cseq.sequence);
    assert_eq!(layer.events().len(), 2, "180 and one 486");
    assert!(layer.run_out().is_empty());
    assert!(layer.is_idle());
}

#[test]
fn every_2xx_is_handed_on_for_32_seconds() {
    let mut layer = Layer::new();
    layer.ask(Method::Invite, Transport::Udp);
    let invite = first_request(layer.sent());
    layer.answer(&invite, 200, Transport::Udp);
    layer.pass(Duration::from_secs(31));
    layer.answer(&invite, 200, Transport::Udp);
    assert_eq!(layer.events().len(), 2);
    layer.pass(Duration::from_secs(2));
    layer.answer(&invite, 200, Transport::Udp);
    assert!(layer.events().is_empty(), "a stray response");
    assert!(layer.sent().is_empty() && layer.is_idle());
}

#[test]
fn a_response_with_two_vias_or_of_another_call_is_nobodys() {
    let mut layer = Layer::new();
    layer.ask(Method::Invite, Transport::Udp);
    let invite = first_request(layer.sent());
    let mut response = invite.respond_tagged(200, "b");
    response.envelope.via.push(via(Transport::Udp, "z9hG4bKtwo"));
    layer.transactions.receive(response.into(), flow(Transport::Udp), layer.now);
    let mut response = invite.respond_tagged(200, "b");
    response.envelope.call_id = "guessed".to_owned();
    layer.transactions.receive(response.into(), flow(Transport::Udp), layer.now);
    assert!(layer.events().is_empty());
}

#[test]
fn a_cancel_follows_its_invite_and_waits_no_longer_than_32_seconds() {
    let mut layer = Layer::new();
    let id = layer.ask(Method::Invite, Transport::Udp);
    let invite = first_request(layer.sent());
    layer.answer(&invite, 180, Transport::Udp);
    assert!(layer.transactions.cancel(id, layer.now));
    let cancel = first_request(layer.sent());
    assert_eq!(cancel.envelope.via, invite.envelope.via);
    assert_eq!((cancel.uri.clone(), cancel.envelope.to.clone()), (invite.uri.clone(), invite.envelope.to.clone()));
    assert_eq!(cancel.envelope.cseq.to_string(), "1 CANCEL");
    layer.answer(&cancel, 200, Transport::Udp);
    layer.events();
    layer.run_out();
    assert_eq!(layer.events(), [Event::TimedOut(id)], "nobody answered the INVITE");
    assert!(layer.is_idle());
}

#[test]
fn a_broken_flow_ends_what_waits_on_it() {
    let mut layer = Layer::new();
    let id = layer.ask(Method::Invite, Transport::Tcp);
    layer.transactions.flow_failed(flow(Transport::Udp));
    assert!(layer.events().is_empty());
    layer.transactions.flow_failed(flow(Transport::Tcp));
    assert_eq!(layer.events(), [Event::Unreachable(id)]);
    assert!(layer.is_idle());
}

#[test]
fn an_invite_that_comes_again_gets_what_it_got() {
    let mut layer = Layer::new();
    let invite = incoming(Method::Invite, "z9hG4bKx", Transport::Udp);
    layer.get(&invite, Transport::Udp);
    let id = only_request(&layer.events());
    assert_eq!(statuses(&layer.sent()), [100]);
    layer.get(&invite, Transport::Udp);
    assert_eq!(statuses(&layer.sent()), [100]);
    assert!(layer.transactions.respond(id, &invite.respond_tagged(180, "b"), layer.now));
    layer.get(&invite, Transport::Udp);
    assert_eq!(statuses(&layer.sent()), [180, 180]);
    assert!(layer.events().is_empty());
    assert!(layer.transactions.respond(id, &invite.respond_tagged(200, "b"), layer.now));
    layer.get(&invite, Transport::Udp);
    assert_eq!(statuses(&layer.sent()), [200], "the dialog repeats it, not the transaction");
    assert!(!layer.transactions.respond(id, &invite.respond_tagged(486, "b"), layer.now));
    layer.run_out();
    assert!(layer.is_idle());
}

#[test]
fn a_refusal_is_repeated_until_its_ack() {
    let mut layer = Layer::new();
    let invite = incoming(Method::Invite, "z9hG4bKx", Transport::Udp);
    layer.get(&invite, Transport::Udp);
    let id = only_request(&layer.events());
    layer.transactions.respond(id, &invite.respond_tagged(486, "b"), layer.now);
    layer.sent();
    layer.pass(Duration::from_millis(500));
    layer.pass(Duration::from_secs(1));
    assert_eq!(statuses(&layer.sent()), [486, 486]);
    let mut ack = incoming(Method::Ack, "z9hG4bKx", Transport::Udp);
    ack.envelope.to.params.set("tag", Some("b"));
    layer.get(&ack, Transport::Udp);
    layer.get(&ack, Transport::Udp);
    layer.get(&invite, Transport::Udp);
    assert!(layer.run_out().is_empty());
    assert!(layer.events().is_empty(), "the ACK is the transaction's own");
    assert!(layer.is_idle());
}

#[test]
fn without_an_ack_a_refusal_is_given_up_after_32_seconds() {
    let mut layer = Layer::new();
    let invite = incoming(Method::Invite, "z9hG4bKx", Transport::Udp);
    layer.get(&invite, Transport::Udp);
    let id = only_request(&layer.events());
    layer.transactions.respond(id, &invite.respond_tagged(486, "b"), layer.now);
    layer.sent();
    assert_eq!(layer.run_out(), [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
    assert!(layer.is_idle());
}

#[test]
fn a_cancel_is_answered_at_once_and_handed_on_only_while_it_means_something() {
    let mut layer = Layer::new();
    let invite = incoming(Method::Invite, "z9hG4bKx", Transport::Udp);
    let cancel = incoming(Method::Cancel, "z9hG4bKx", Transport::Udp);
    layer.get(&cancel, Transport::Udp);
    assert_eq!(statuses(&layer.sent()), [481]);
    let mut layer = Layer::new();
    layer.get(&invite, Transport::Udp);
    let id = only_request(&layer.events());
    layer.sent();
    layer.get(&cancel, Transport::Udp);
    layer.get(&cancel, Transport::Udp);
    assert_eq!(statuses(&layer.sent()), [200, 200]);
    assert_eq!(layer.events(), [Event::Cancelled(id)]);
    layer.transactions.respond(id, &invite.respond_tagged(487, "b"), layer.now);
    let mut layer = Layer::new();
    layer.get(&invite, Transport::Udp);
    let id = only_request(&layer.events());
    layer.transactions.respond(id, &invite.respond_tagged(200, "b"), layer.now);
    layer.get(&cancel, Transport::Udp);
    assert!(layer.events().is_empty(), "it came too late");
}

#[test]
fn the_same_request_on_another_way_is_a_loop() {
    let mut layer = Layer::new();
    layer.get(&incoming(Method::Invite, "z9hG4bKx", Transport::Udp), Transport::Udp);
    layer.get(&incoming(Method::Invite, "z9hG4bKy", Transport::Udp), Transport::Udp);
    assert_eq!(statuses(&layer.sent()), [100, 482]);
    assert_eq!(layer.events().len(), 1);
}

/// 3.2.1 of RFC 4475: a branch that is nothing but the cookie makes no two requests the same.
#[test]
fn a_bare_cookie_is_no_name() {
    let mut layer = Layer::new();
    layer.get(&incoming(Method::Options, "z9hG4bK", Transport::Udp), Transport::Udp);
    let mut other = incoming(Method::Options, "z9hG4bK", Transport::Udp);
    other.envelope.call_id = "another".to_owned();
    layer.get(&other, Transport::Udp);
    assert_eq!(layer.events().len(), 2);
    layer.get(&other, Transport::Udp);
    assert!(layer.events().is_empty(), "but the same one is the same");
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Response(u16),
    Request(u8, u8),
    Respond(u16),
    Cancel,
    Fail,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u64..40_000).prop_map(Step::Pass),
        (100_u16..700).prop_map(Step::Response),
        (0_u8..4, 0_u8..3).prop_map(|(method, branch)| Step::Request(method, branch)),
        (100_u16..700).prop_map(Step::Respond),
        Just(Step::Cancel),
        Just(Step::Fail),
    ]
}

proptest! {
    /// Whatever happens in whatever order: every request of ours ends with one event at most, and nothing is left behind once
    /// all requests of theirs are answered.
    #[test]
    fn everything_ends(
        steps in proptest::collection::vec(step(), 0..40),
        is_invite: bool,
        transport in prop_oneof![Just(Transport::Udp), Just(Transport::Tcp)],
    ) {
        let mut layer = Layer::new();
        let method = if is_invite { Method::Invite } else { Method::Options };
        let asked = layer.ask(method, transport);
        let ours = first_request(layer.sent());
        let mut open: Vec<(ServerId, Request)> = Vec::new();
        let (mut finals, mut ends) = (0, 0);
        let mut note = |events: Vec<Event>, open: &mut Vec<(ServerId, Request)>| {
            for event in events {
                match event {
                    Event::Request { id, request, .. } => open.push((id, *request)),
                    Event::Response { id, response, .. } if id == asked && response.status >= 300 => finals += 1,
                    Event::TimedOut(id) | Event::Unreachable(id) if id == asked => ends += 1,
                    _ => {}
                }
            }
        };
        for step in steps {
            match step {
                Step::Pass(milliseconds) => layer.pass(Duration::from_millis(milliseconds)),
                Step::Response(status) => layer.answer(&ours, status, transport),
                Step::Request(method, branch) => {
                    let method = [Method::Invite, Method::Ack, Method::Cancel, Method::Bye][usize::from(method)].clone();
                    layer.get(&incoming(method, &format!("z9hG4bKin{branch}"), transport), transport);
                }
                Step::Respond(status) => {
                    if let Some((id, request)) = open.last() {
                        layer.transactions.respond(*id, &request.respond_tagged(status, "b"), layer.now);
                    }
                }
                Step::Cancel => {
                    layer.transactions.cancel(asked, layer.now);
                }
                Step::Fail => layer.transactions.flow_failed(flow(transport)),
            }
            note(layer.events(), &mut open);
        }
        for (id, request) in open.clone() {
            let response: Response = request.respond_tagged(500, "b");
            layer.transactions.respond(id, &response, layer.now);
        }
        layer.run_out();
        note(layer.events(), &mut open);
        prop_assert!(layer.is_idle());
        prop_assert!(finals + ends <= 1, "{finals} finals, {ends} ends");
    }
}
