//! Registration and OPTIONS over the wire.

use std::time::Duration;

use offhook_sip::Transport;
use offhook_sip::digest::Credentials;
use offhook_sip::endpoint::Event;
use offhook_sip::message::{HeaderName, Message, Method, Uri, parse};
use offhook_sip::registration::RegistrationOrder;

use crate::network::{Network, PEER, address, flow, target};

fn order() -> RegistrationOrder {
    RegistrationOrder {
        registrar: Uri::parse("sip:trunk.example.com").unwrap(),
        address_of_record: Uri::parse("sip:agent@trunk.example.com").unwrap(),
        credentials: Some(Credentials { username: "agent".to_owned(), password: "secret".to_owned() }),
        flow: flow(Transport::Udp, address(1), PEER.parse().unwrap()),
        expires: Duration::from_secs(300),
    }
}

#[test]
fn a_registration_is_kept_up_over_a_restart_and_taken_back() {
    let mut network = Network::pair();
    let (us, now) = network.endpoint(1);
    let registration = us.register(order(), None, now);
    network.soon();
    let first = network.peer_got(&Method::Register);
    let challenge = "Digest realm=\"trunk\", nonce=\"n\", qop=\"auth\"";
    network.peer_says(1, first.respond_tagged(401, "r").with(HeaderName::WwwAuthenticate, challenge));
    let second = network.peer_got(&Method::Register);
    assert!(second.headers.has(&HeaderName::Authorization));
    let ok = |request: &offhook_sip::message::Request| {
        let contact = format!("{};expires=300", request.headers.get(&HeaderName::Contact).unwrap());
        request.respond_tagged(200, "r").with(HeaderName::Contact, contact)
    };
    network.peer_says(1, ok(&second));
    let lasts = Duration::from_secs(300);
    assert_eq!(network.event(1), Event::Registered { registration, lasts });
    network.at_peer.clear();
    network.pass(Duration::from_secs(235));
    assert!(network.at_peer.is_empty());
    network.pass(Duration::from_secs(10));
    let refresh = network.peer_got(&Method::Register);
    assert_eq!(refresh.envelope.call_id, first.envelope.call_id);
    network.peer_says(1, ok(&refresh));

    let (us, now) = network.endpoint(1);
    let state = us.registration_state(registration, now).unwrap();
    assert!(state.lasts.unwrap() > Duration::from_secs(299));
    let mut after = Network::pair();
    let (us, now) = after.endpoint(1);
    let registration = us.register(order(), Some(state), now);
    after.pass(Duration::from_secs(230));
    assert!(after.at_peer.is_empty(), "it still lasts");
    after.pass(Duration::from_secs(15));
    let refresh = after.peer_got(&Method::Register);
    assert_eq!(refresh.envelope.call_id, first.envelope.call_id);
    after.peer_says(1, ok(&refresh));
    after.events(1);
    let (us, now) = after.endpoint(1);
    us.unregister(registration, now);
    after.soon();
    let leave = after.peer_got(&Method::Register);
    assert_eq!(leave.headers.get(&HeaderName::Expires), Some("0"));
    after.peer_says(1, leave.respond_tagged(200, "r"));
    assert_eq!(after.event(1), Event::Unregistered { registration, status: 200 });
    after.is_over();
}

#[test]
fn the_nat_on_the_way_is_reminded_while_we_are_registered() {
    let mut network = Network::pair();
    let (us, mut now) = network.endpoint(1);
    us.register(order(), None, now);
    let Message::Request(register) = parse(&us.poll_transmit().unwrap().bytes).unwrap() else { panic!() };
    us.receive(order().flow, &register.respond_tagged(200, "r").to_bytes(), now);
    let mut reminders = 0;
    let end = now + Duration::from_secs(200);
    while let Some(at) = us.poll_timeout().filter(|at| *at < end) {
        now = at;
        us.handle_timeout(now);
        while let Some(transmit) = us.poll_transmit() {
            assert_eq!((&transmit.bytes[..], transmit.flow), (&b"\r\n\r\n"[..], order().flow));
            reminders += 1;
        }
    }
    assert_eq!(reminders, 8, "every 25 s, and nothing else");
}

#[test]
fn silence_and_refusals_are_tried_again_later() {
    let mut network = Network::pair();
    let (us, now) = network.endpoint(1);
    let registration = us.register(order(), None, now);
    network.pass(Duration::from_secs(33));
    assert_eq!(network.event(1), Event::Unregistered { registration, status: 408 });
    network.at_peer.clear();
    network.pass(Duration::from_secs(35));
    let again = network.peer_got(&Method::Register);
    network.peer_says(1, again.respond_tagged(403, "r"));
    assert_eq!(network.event(1), Event::Unregistered { registration, status: 403 });
}

#[test]
fn whoever_is_there_answers_a_ping() {
    let mut network = Network::pair();
    for (to, expected) in [(address(2), Some(200)), ("192.0.2.77:5060".parse().unwrap(), None)] {
        let (us, now) = network.endpoint(1);
        let ping = us.ping(&target(Transport::Udp, 1, to), now);
        network.pass(Duration::from_secs(33));
        assert_eq!(network.event(1), Event::Pong { ping, status: expected });
    }
    network.is_over();
}
