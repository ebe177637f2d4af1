//! Calls that are placed, answered, refused, taken back and hung up.

use std::time::Duration;

use offhook_sip::Transport;
use offhook_sip::endpoint::{Ended, Event, OrderError};
use offhook_sip::message::{HeaderName, Method};

use crate::network::{ANSWER, Network, OFFER, PEER, address, order, peer_follows, peer_request, target};

#[test]
fn a_call_is_placed_answered_and_hung_up() {
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        let mut network = Network::pair();
        let (ours, theirs) = network.ringing(1, 2, transport);
        let (callee, now) = network.endpoint(2);
        callee.accept(theirs, ANSWER.to_vec(), now).unwrap();
        network.soon();
        let Event::Answered { call, answer, .. } = network.event(1) else { panic!() };
        assert_eq!((call, answer.as_deref()), (ours, Some(ANSWER)));
        assert_eq!(network.event(2), Event::Confirmed { call: theirs, answer: None });
        let (caller, now) = network.endpoint(1);
        caller.hang_up(ours, now).unwrap();
        network.soon();
        assert_eq!(network.event(1), Event::Ended { call: ours, why: Ended::ByUs });
        assert_eq!(network.event(2), Event::Ended { call: theirs, why: Ended::ByThem(None) });
        let expected = ["1: INVITE", "2: 100 INVITE", "2: 200 INVITE", "1: ACK", "1: BYE", "2: 200 BYE"];
        assert_eq!(network.ladder(), expected, "{transport:?}");
        network.is_over();
        assert!(network.ladder().is_empty());
    }
}

#[test]
fn the_callee_may_hang_up_as_well() {
    let mut network = Network::pair();
    let (ours, theirs) = network.talking(1, 2, Transport::Udp);
    let (callee, now) = network.endpoint(2);
    callee.hang_up(theirs, now).unwrap();
    network.soon();
    assert_eq!(network.event(1), Event::Ended { call: ours, why: Ended::ByThem(None) });
    assert_eq!(network.ladder(), ["2: BYE", "1: 200 BYE"]);
    network.is_over();
}

#[test]
fn it_rings_with_early_media() {
    let mut network = Network::pair();
    let (ours, theirs) = network.ringing(1, 2, Transport::Udp);
    let (callee, now) = network.endpoint(2);
    callee.ring(theirs, 180, None, now).unwrap();
    network.soon();
    assert_eq!(network.event(1), Event::Progress { call: ours, status: 180, answer: None });
    let (callee, now) = network.endpoint(2);
    callee.ring(theirs, 183, Some(ANSWER.to_vec()), now).unwrap();
    network.soon();
    assert_eq!(network.event(1), Event::Progress { call: ours, status: 183, answer: Some(ANSWER.to_vec()) });
}

#[test]
fn a_refusal_is_told_with_its_status() {
    let mut network = Network::pair();
    let (ours, theirs) = network.ringing(1, 2, Transport::Udp);
    let (callee, now) = network.endpoint(2);
    callee.reject(theirs, 486, now).unwrap();
    assert_eq!(callee.accept(theirs, ANSWER.to_vec(), now), Err(OrderError::Unknown));
    network.soon();
    let expected = Event::Failed { call: ours, status: 486, reason: "Busy Here".to_owned(), elsewhere: Vec::new() };
    assert_eq!(network.event(1), expected);
    assert_eq!(network.ladder(), ["1: INVITE", "2: 100 INVITE", "2: 486 INVITE", "1: ACK"]);
    network.is_over();
}

#[test]
fn a_call_that_rings_is_taken_back() {
    let mut network = Network::pair();
    let (ours, theirs) = network.ringing(1, 2, Transport::Udp);
    let (caller, now) = network.endpoint(1);
    caller.hang_up(ours, now).unwrap();
    network.soon();
    assert_eq!(network.event(1), Event::Ended { call: ours, why: Ended::ByUs });
    assert_eq!(network.event(2), Event::Ended { call: theirs, why: Ended::Cancelled });
    let expected = ["1: INVITE", "2: 100 INVITE", "1: CANCEL", "2: 200 CANCEL", "2: 487 INVITE", "1: ACK"];
    assert_eq!(network.ladder(), expected);
    network.is_over();
}

#[test]
fn a_call_that_nobody_has_heard_of_yet_is_taken_back_when_somebody_has() {
    let mut network = Network::pair();
    let (caller, now) = network.endpoint(1);
    let ours = caller.place_call(order(vec![target(Transport::Udp, 1, address(2))]), now).unwrap();
    caller.hang_up(ours, now).unwrap();
    network.soon();
    assert!(matches!(network.events(2)[..], [Event::Incoming { .. }, Event::Ended { why: Ended::Cancelled, .. }]));
    network.is_over();
}

/// The CANCEL and the answer cross: the call was answered, so it is hung up.
#[test]
fn an_answer_that_crosses_with_the_cancel_is_hung_up() {
    let mut network = Network::pair();
    let (ours, theirs) = network.ringing(1, 2, Transport::Udp);
    let (caller, now) = network.endpoint(1);
    caller.hang_up(ours, now).unwrap();
    let (callee, now) = network.endpoint(2);
    callee.accept(theirs, ANSWER.to_vec(), now).unwrap();
    network.soon();
    assert_eq!(network.event(1), Event::Ended { call: ours, why: Ended::ByUs });
    let events = network.events(2);
    assert_eq!(events.last(), Some(&Event::Ended { call: theirs, why: Ended::ByThem(None) }), "{events:?}");
    let ladder = network.ladder();
    assert!(ladder.contains(&"1: ACK".to_owned()) && ladder.contains(&"1: BYE".to_owned()), "{ladder:?}");
    network.is_over();
}

#[test]
fn it_does_not_ring_for_ever() {
    let mut network = Network::pair();
    let (ours, theirs) = network.ringing(1, 2, Transport::Udp);
    let (callee, now) = network.endpoint(2);
    callee.ring(theirs, 180, None, now).unwrap();
    network.pass(Duration::from_secs(61));
    let events = network.events(1);
    assert!(matches!(events.last(), Some(Event::Failed { call, status: 408, .. }) if *call == ours), "{events:?}");
    let events = network.events(2);
    assert_eq!(events.last(), Some(&Event::Ended { call: theirs, why: Ended::Cancelled }));
    network.is_over();
}

#[test]
fn an_offerless_invite_gets_our_offer_and_its_answer_comes_in_the_ack() {
    let mut network = Network::pair();
    network.peer_says(1, peer_request(Method::Invite, 1, "a"));
    let Event::Incoming { call, offer: None, .. } = network.event(1) else { panic!() };
    let (us, now) = network.endpoint(1);
    us.accept(call, OFFER.to_vec(), now).unwrap();
    network.soon();
    let ok = network.peer_was_told();
    assert_eq!((ok.status, &ok.body[..]), (200, OFFER));
    let mut ack = peer_follows(&ok, Method::Ack, 1, "b");
    ack.set_body("application/sdp", ANSWER);
    network.peer_says(1, ack);
    assert_eq!(network.event(1), Event::Confirmed { call, answer: Some(ANSWER.to_vec()) });
}

#[test]
fn an_answer_that_is_never_confirmed_is_said_again_and_then_hung_up() {
    let mut network = Network::pair();
    network.peer_says(1, peer_request(Method::Invite, 1, "a"));
    let Event::Incoming { call, .. } = network.event(1) else { panic!() };
    let (us, now) = network.endpoint(1);
    us.accept(call, OFFER.to_vec(), now).unwrap();
    network.pass(Duration::from_secs(40));
    assert_eq!(network.event(1), Event::Ended { call, why: Ended::Unconfirmed });
    let ladder = network.ladder();
    assert_eq!(ladder.iter().filter(|step| *step == "1: 200 INVITE").count(), 11, "{ladder:?}");
    assert!(ladder.contains(&"1: BYE".to_owned()));
    network.is_over();
}

/// Two phones answer: the second answer is confirmed and hung up.
#[test]
fn a_fork_that_answers_second_is_hung_up() {
    let mut network = Network::pair();
    let (us, now) = network.endpoint(1);
    let call = us.place_call(order(vec![target(Transport::Udp, 1, PEER.parse().unwrap())]), now).unwrap();
    network.soon();
    let invite = network.peer_got(&Method::Invite);
    let answer = |tag: &str| {
        let contact = format!("<sip:{tag}@{PEER}>");
        invite.respond_tagged(200, tag).with(HeaderName::Contact, contact)
    };
    network.peer_says(1, invite.respond_tagged(180, "one"));
    network.peer_says(1, invite.respond_tagged(180, "two"));
    network.peer_says(1, answer("two"));
    network.at_peer.clear();
    network.peer_says(1, answer("one"));
    let (ack, bye) = (network.peer_got(&Method::Ack), network.peer_got(&Method::Bye));
    assert_eq!((ack.envelope.to_tag(), bye.envelope.to_tag()), (Some("one"), Some("one")));
    network.at_peer.clear();
    network.peer_says(1, answer("two"));
    assert_eq!(network.at_peer.len(), 1, "the first ACK was lost; it is said again");
    assert_eq!(network.peer_got(&Method::Ack).envelope.to_tag(), Some("two"));
    let events = network.events(1);
    assert!(
        matches!(events[..], [Event::Progress { .. }, Event::Progress { .. }, Event::Answered { .. }]),
        "{events:?}"
    );
    let (us, now) = network.endpoint(1);
    us.hang_up(call, now).unwrap();
    network.is_over();
}

#[test]
fn requests_follow_the_route_and_the_contact() {
    let mut network = Network::pair();
    let (us, now) = network.endpoint(1);
    let call = us.place_call(order(vec![target(Transport::Udp, 1, PEER.parse().unwrap())]), now).unwrap();
    network.soon();
    let invite = network.peer_got(&Method::Invite);
    assert_eq!(invite.headers.get(&HeaderName::Contact), Some("<sip:+15551234567@192.0.2.1:5060>"));
    let ok = invite
        .respond_tagged(200, "t")
        .with(HeaderName::Contact, "<sip:gateway@192.0.2.55:5080>")
        .with(HeaderName::RecordRoute, format!("<sip:far.example.com;lr>, <sip:{PEER};lr>"));
    network.peer_says(1, ok);
    let ack = network.peer_got(&Method::Ack);
    assert_eq!(ack.uri.to_string(), "sip:gateway@192.0.2.55:5080");
    let routes: Vec<&str> = ack.headers.all(&HeaderName::Route).collect();
    assert_eq!(routes, [format!("<sip:{PEER};lr>").as_str(), "<sip:far.example.com;lr>"]);
    let (us, now) = network.endpoint(1);
    us.hang_up(call, now).unwrap();
    network.soon();
    assert_eq!(network.peer_got(&Method::Bye).envelope.cseq.sequence, 2);
}

#[test]
fn what_belongs_to_no_call_is_told_so() {
    let mut network = Network::pair();
    for method in [Method::Bye, Method::Update, Method::Info, Method::Prack, Method::Notify] {
        let mut request = peer_request(method.clone(), 1, method.as_str());
        request.envelope.to.params.set("tag", Some("gone"));
        network.peer_says(1, request);
        assert_eq!(network.peer_was_told().status, 481, "{method}");
    }
    let mut ack = peer_request(Method::Ack, 1, "ack");
    ack.envelope.to.params.set("tag", Some("gone"));
    network.at_peer.clear();
    network.peer_says(1, ack);
    assert!(network.at_peer.is_empty());
    network.is_over();
}

#[test]
fn requests_out_of_order_are_refused_and_digits_in_info_are_handed_on() {
    let mut network = Network::pair();
    network.peer_says(1, peer_request(Method::Invite, 1, "a"));
    let Event::Incoming { call, .. } = network.event(1) else { panic!() };
    let (us, now) = network.endpoint(1);
    us.accept(call, OFFER.to_vec(), now).unwrap();
    network.soon();
    let ok = network.peer_was_told();
    network.peer_says(1, peer_follows(&ok, Method::Ack, 1, "b"));
    network.events(1);
    let mut info = peer_follows(&ok, Method::Info, 7, "c");
    info.set_body("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n");
    network.peer_says(1, info);
    let Event::Info { content_type, body, .. } = network.event(1) else { panic!() };
    assert_eq!((content_type.as_str(), &body[..8]), ("application/dtmf-relay", &b"Signal=5"[..]));
    network.peer_says(1, peer_follows(&ok, Method::Info, 6, "d"));
    assert_eq!(network.peer_was_told().status, 500);
    network.peer_says(1, peer_follows(&ok, Method::Options, 8, "e"));
    assert_eq!(network.peer_was_told().status, 200);
    network.peer_says(1, peer_follows(&ok, Method::Extension("DANCE".to_owned()), 9, "f"));
    assert_eq!(network.peer_was_told().status, 501);
    let mut bye = peer_follows(&ok, Method::Bye, 10, "g");
    bye.headers.push(HeaderName::Reason, "Q.850;cause=16");
    network.peer_says(1, bye);
    assert_eq!(network.event(1), Event::Ended { call, why: Ended::ByThem(Some("Q.850;cause=16".to_owned())) });
    network.is_over();
}

#[test]
fn a_redirection_is_told() {
    let mut network = Network::pair();
    let (us, now) = network.endpoint(1);
    us.place_call(order(vec![target(Transport::Udp, 1, PEER.parse().unwrap())]), now).unwrap();
    network.soon();
    let invite = network.peer_got(&Method::Invite);
    network.peer_says(1, invite.respond_tagged(302, "t").with(HeaderName::Contact, "<sip:there@192.0.2.7>"));
    let Event::Failed { status: 302, elsewhere, .. } = network.event(1) else { panic!() };
    assert_eq!(elsewhere[0].uri.to_string(), "sip:there@192.0.2.7");
    network.is_over();
}

/// One of our numbers calls another through a trunk that passes everything on as it is: both ends are here.
#[test]
fn we_can_call_ourselves() {
    let mut network = Network::of(vec![crate::network::config()]);
    let (us, now) = network.endpoint(1);
    let ours = us.place_call(order(vec![target(Transport::Udp, 1, address(1))]), now).unwrap();
    network.soon();
    let Event::Incoming { call: theirs, .. } = network.event(1) else { panic!() };
    let (us, now) = network.endpoint(1);
    us.accept(theirs, ANSWER.to_vec(), now).unwrap();
    network.soon();
    let events = network.events(1);
    assert!(matches!(events[..], [Event::Answered { .. }, Event::Confirmed { .. }]), "{events:?}");
    let (us, now) = network.endpoint(1);
    us.hang_up(ours, now).unwrap();
    network.soon();
    let events = network.events(1);
    assert_eq!(events.last(), Some(&Event::Ended { call: theirs, why: Ended::ByThem(None) }), "{events:?}");
    network.is_over();
}

/// The connection breaks: what is said next goes to where the Contact says, over a new one.
#[test]
fn a_call_outlives_its_connection() {
    let mut network = Network::pair();
    let (ours, theirs) = network.talking(1, 2, Transport::Tcp);
    // The callee heard the caller from a port that nobody listens at.
    let flow = crate::network::flow(Transport::Tcp, address(2), address(1));
    let (them, now) = network.endpoint(2);
    them.flow_failed(flow, now);
    them.hang_up(theirs, now).unwrap();
    let transmit = them.poll_transmit().unwrap();
    assert_eq!(transmit.flow.remote, address(1));
    let back = crate::network::flow(Transport::Tcp, address(1), address(2));
    let (us, now) = network.endpoint(1);
    us.receive_stream(back, &transmit.bytes, now);
    assert_eq!(network.event(1), Event::Ended { call: ours, why: Ended::ByThem(None) });
}

/// The caller may be gone without a word while it rings.
#[test]
fn a_call_that_nobody_answers_is_refused_at_last() {
    let mut network = Network::pair();
    network.peer_says(1, peer_request(Method::Invite, 1, "a"));
    let Event::Incoming { call, .. } = network.event(1) else { panic!() };
    network.pass(Duration::from_secs(301));
    assert_eq!(network.event(1), Event::Ended { call, why: Ended::Unanswered });
    assert_eq!(network.peer_was_told().status, 480);
    network.is_over();
}

/// The callee may not say BYE before the caller has confirmed the answer (§15).
#[test]
fn hanging_up_waits_for_the_ack() {
    let mut network = Network::pair();
    network.peer_says(1, peer_request(Method::Invite, 1, "a"));
    let Event::Incoming { call, .. } = network.event(1) else { panic!() };
    let (us, now) = network.endpoint(1);
    us.accept(call, OFFER.to_vec(), now).unwrap();
    us.hang_up(call, now).unwrap();
    assert_eq!(us.hang_up(call, now), Err(OrderError::Unknown));
    assert_eq!(us.offer(call, OFFER.to_vec(), now), Err(OrderError::Unknown));
    network.soon();
    assert_eq!(network.event(1), Event::Ended { call, why: Ended::ByUs });
    let ok = network.peer_was_told();
    network.peer_says(1, peer_follows(&ok, Method::Info, 2, "i"));
    assert_eq!(network.peer_was_told().status, 481);
    assert!(!network.ladder().contains(&"1: BYE".to_owned()));
    network.peer_says(1, peer_follows(&ok, Method::Ack, 1, "b"));
    assert_eq!(network.peer_got(&Method::Bye).envelope.to_tag(), Some("peer"));
    assert!(network.events(1).is_empty());
    network.is_over();
}
