//! Targets one after the other, and what is demanded of us on the way.

use std::time::Duration;

use offhook_sip::Transport;
use offhook_sip::digest::Credentials;
use offhook_sip::endpoint::{Event, Target};
use offhook_sip::message::{HeaderName, Method};

use crate::network::{Network, PEER, address, config, order, target};

fn prefer(mut target: Target, priority: u16) -> Target {
    target.priority = priority;
    target
}

fn three() -> Network {
    Network::of(vec![config(), config(), config()])
}

#[test]
fn a_server_that_is_out_of_order_is_passed_over() {
    for status in [408, 500, 503] {
        let mut network = three();
        let targets = vec![
            prefer(target(Transport::Udp, 1, address(3)), 20),
            prefer(target(Transport::Udp, 1, PEER.parse().unwrap()), 10),
        ];
        let (us, now) = network.endpoint(1);
        us.place_call(order(targets), now).unwrap();
        network.soon();
        let invite = network.peer_got(&Method::Invite);
        network.peer_says(1, invite.respond_tagged(status, "t"));
        assert!(network.events(1).is_empty());
        assert!(matches!(network.event(3), Event::Incoming { .. }), "{status}");
    }
}

#[test]
fn a_callee_who_is_busy_is_busy_everywhere() {
    for status in [404, 486, 603] {
        let mut network = three();
        let targets =
            vec![target(Transport::Udp, 1, PEER.parse().unwrap()), prefer(target(Transport::Udp, 1, address(3)), 20)];
        let (us, now) = network.endpoint(1);
        us.place_call(order(targets), now).unwrap();
        network.soon();
        let invite = network.peer_got(&Method::Invite);
        network.peer_says(1, invite.respond_tagged(status, "t"));
        assert!(matches!(network.event(1), Event::Failed { status: told, .. } if told == status));
        assert!(network.events(3).is_empty());
        network.is_over();
    }
}

#[test]
fn silence_is_passed_over_after_a_few_seconds_and_the_late_answer_hung_up() {
    let mut network = three();
    let targets =
        vec![target(Transport::Udp, 1, PEER.parse().unwrap()), prefer(target(Transport::Udp, 1, address(3)), 20)];
    let (us, now) = network.endpoint(1);
    let call = us.place_call(order(targets), now).unwrap();
    network.pass(Duration::from_secs(6));
    assert!(matches!(network.event(3), Event::Incoming { .. }));
    let invite = network.peer_got(&Method::Invite);
    network.peer_says(1, invite.respond_tagged(180, "t"));
    assert_eq!(network.peer_got(&Method::Cancel).envelope.via, invite.envelope.via);
    network.peer_says(1, invite.respond_tagged(200, "t").with(HeaderName::Contact, format!("<sip:late@{PEER}>")));
    assert_eq!(network.peer_got(&Method::Bye).envelope.to_tag(), Some("t"));
    let events = network.events(1);
    assert!(events.is_empty(), "{events:?}");
    let (us, now) = network.endpoint(1);
    us.hang_up(call, now).unwrap();
    network.is_over();
}

#[test]
fn a_connection_that_cannot_be_opened_is_passed_over_at_once() {
    let mut network = three();
    let nowhere = "192.0.2.77:5060".parse().unwrap();
    let targets = vec![target(Transport::Tcp, 1, nowhere), prefer(target(Transport::Tcp, 1, address(3)), 20)];
    let (us, now) = network.endpoint(1);
    us.place_call(order(targets), now).unwrap();
    network.soon();
    assert!(matches!(network.event(3), Event::Incoming { .. }));
    let (us, now) = network.endpoint(1);
    us.place_call(order(vec![target(Transport::Tcp, 1, nowhere)]), now).unwrap();
    network.soon();
    assert!(matches!(network.event(1), Event::Failed { status: 503, .. }));
}

#[test]
fn nobody_at_all_is_408() {
    let mut network = three();
    let (us, now) = network.endpoint(1);
    us.place_call(order(vec![target(Transport::Udp, 1, "192.0.2.77:5060".parse().unwrap())]), now).unwrap();
    network.pass(Duration::from_secs(33));
    assert!(matches!(network.event(1), Event::Failed { status: 408, .. }));
    network.is_over();
}

#[test]
fn a_trunk_that_asks_gets_its_proof_once() {
    let mut network = three();
    let mut order = order(vec![target(Transport::Udp, 1, PEER.parse().unwrap())]);
    order.credentials = Some(Credentials { username: "trunk".to_owned(), password: "secret".to_owned() });
    let (us, now) = network.endpoint(1);
    let call = us.place_call(order, now).unwrap();
    network.soon();
    let first = network.peer_got(&Method::Invite);
    let challenge = "Digest realm=\"t\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256";
    network.peer_says(1, first.respond_tagged(407, "t").with(HeaderName::ProxyAuthenticate, challenge));
    let second = network.peer_got(&Method::Invite);
    assert_eq!(second.envelope.cseq.sequence, 2);
    assert_eq!(second.envelope.call_id, first.envelope.call_id);
    assert_eq!(second.envelope.to_tag(), None);
    assert!(second.headers.get(&HeaderName::ProxyAuthorization).unwrap().contains("username=\"trunk\""));
    let ok = second.respond_tagged(200, "u").with(HeaderName::Contact, format!("<sip:x@{PEER}>"));
    network.peer_says(1, ok);
    let ack = network.peer_got(&Method::Ack);
    assert_eq!(ack.headers.get(&HeaderName::ProxyAuthorization), second.headers.get(&HeaderName::ProxyAuthorization));
    let (us, now) = network.endpoint(1);
    us.hang_up(call, now).unwrap();
    network.soon();
    let bye = network.peer_got(&Method::Bye);
    assert!(bye.headers.get(&HeaderName::ProxyAuthorization).unwrap().contains("nc=00000002"), "unasked");
    let stale = "Digest realm=\"t\", nonce=\"n2\", qop=\"auth\", stale=true";
    network.peer_says(1, bye.respond(407).with(HeaderName::ProxyAuthenticate, stale));
    assert!(network.peer_got(&Method::Bye).headers.get(&HeaderName::ProxyAuthorization).unwrap().contains("\"n2\""));
}

#[test]
fn a_wrong_password_fails() {
    let mut network = three();
    let mut order = order(vec![target(Transport::Udp, 1, PEER.parse().unwrap())]);
    order.credentials = Some(Credentials { username: "trunk".to_owned(), password: "wrong".to_owned() });
    let (us, now) = network.endpoint(1);
    us.place_call(order, now).unwrap();
    network.soon();
    for _ in 0..2 {
        let invite = network.peer_got(&Method::Invite);
        let challenge = "Digest realm=\"t\", nonce=\"n\", qop=\"auth\"";
        network.peer_says(1, invite.respond_tagged(401, "t").with(HeaderName::WwwAuthenticate, challenge));
    }
    assert!(matches!(network.event(1), Event::Failed { status: 401, .. }));
    network.is_over();
}

#[test]
fn a_longer_session_interval_is_granted() {
    let mut network = three();
    let (us, now) = network.endpoint(1);
    us.place_call(order(vec![target(Transport::Udp, 1, PEER.parse().unwrap())]), now).unwrap();
    network.soon();
    let invite = network.peer_got(&Method::Invite);
    assert_eq!(invite.headers.get(&HeaderName::SessionExpires), Some("1800"));
    network.peer_says(1, invite.respond_tagged(422, "t").with(HeaderName::MinSe, "3600"));
    let invite = network.peer_got(&Method::Invite);
    assert_eq!(invite.headers.get(&HeaderName::SessionExpires), Some("3600"));
    assert_eq!(invite.headers.get(&HeaderName::MinSe), Some("3600"));
}
