//! Who is let in: peers by address or by name, strangers by the policy, and nobody's burst taken for an attack.

use std::time::Duration;

use offhook_sip::digest::Credentials;
use offhook_sip::endpoint::{Config, Event, Peer, Strangers};
use offhook_sip::message::{HeaderName, Message, Method};
use offhook_sip::{Tokens, Transport, digest};

use crate::network::{Network, OFFER, PEER, config, order, peer_follows, peer_request, target};

fn peer(networks: &[&str], credentials: Option<Credentials>) -> Peer {
    let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
    Peer { name: "trunk".to_owned(), networks, credentials }
}

fn secret() -> Credentials {
    Credentials { username: "trunk".to_owned(), password: "secret".to_owned() }
}

fn invited(config: Config) -> (Network, Vec<Event>) {
    let mut network = Network::of(vec![config]);
    network.peer_says(1, peer_request(Method::Invite, 1, "a"));
    let events = network.events(1);
    (network, events)
}

#[test]
fn a_peer_is_known_by_its_address() {
    let (_, events) = invited(Config { peers: vec![peer(&["192.0.2.96/28"], None)], ..Config::default() });
    let [Event::Incoming { peers, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(peers, &["trunk"]);
}

#[test]
fn strangers_get_no_answer_or_403() {
    let elsewhere = vec![peer(&["198.51.100.0/24"], None)];
    let (network, events) = invited(Config { peers: elsewhere.clone(), ..Config::default() });
    assert!(events.is_empty() && network.at_peer.is_empty(), "not even 100");
    let (network, events) = invited(Config { peers: elsewhere, strangers: Strangers::Refused, ..Config::default() });
    assert!(events.is_empty());
    assert_eq!(network.peer_was_told().status, 403);
}

#[test]
fn a_peer_from_anywhere_proves_who_it_is() {
    let (mut network, events) = invited(Config { peers: vec![peer(&[], Some(secret()))], ..Config::default() });
    assert!(events.is_empty());
    let refusal = network.peer_was_told();
    assert_eq!(refusal.status, 401);
    for (password, expected) in [("wrong", 403), ("secret", 100)] {
        let mut proofs = digest::Session::default();
        let mut invite = peer_request(Method::Invite, 1, password);
        invite.envelope.cseq.sequence = 2;
        invite.envelope.from.params.set("tag", Some(password));
        assert!(proofs.challenged(&invite, &refusal));
        let credentials = Credentials { password: password.to_owned(), ..secret() };
        proofs.authorize(&mut invite, &credentials, &mut Tokens::new([9; 32]));
        network.peer_says(1, invite);
        // Not the last word: refusals are repeated until they are acknowledged.
        let told = network.at_peer.iter().rev().find_map(|message| match message {
            Message::Response(response) if response.envelope.from_tag() == Some(password) => Some(response.status),
            _ => None,
        });
        assert_eq!(told, Some(expected), "{password}");
    }
    let events = network.events(1);
    let [Event::Incoming { peers, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(peers, &["trunk"]);
}

#[test]
fn a_burst_of_calls_from_a_peer_is_answered_and_one_from_a_stranger_is_cut() {
    for (networks, expected) in [("192.0.2.0/24", 500), ("198.51.100.0/24", 40)] {
        let peers = vec![peer(&[networks], None)];
        let mut network = Network::of(vec![Config { peers: peers.clone(), ..config() }]);
        let (us, now) = network.endpoint(1);
        // Without the generous pace that tests have otherwise.
        *us = offhook_sip::endpoint::Endpoint::new(Config { peers, ..config() }, [5; 32], now);
        for n in 0..500 {
            let mut invite = peer_request(Method::Invite, 1, &format!("n{n}"));
            invite.envelope.call_id = format!("call-{n}");
            let flow = crate::network::flow(Transport::Udp, crate::network::address(1), PEER.parse().unwrap());
            us.receive(flow, &Message::from(invite).to_bytes(), now);
        }
        assert_eq!(us.calls(), expected, "{networks}");
    }
}

/// Whom we called may answer and hang up from wherever he is, whatever the lists say.
#[test]
fn our_own_calls_are_nobodys_attack() {
    let mut network = Network::of(vec![Config::default()]);
    let (us, now) = network.endpoint(1);
    let call = us.place_call(order(vec![target(Transport::Udp, 1, PEER.parse().unwrap())]), now).unwrap();
    network.soon();
    let ok =
        network.peer_got(&Method::Invite).respond_tagged(200, "t").with(HeaderName::Contact, format!("<sip:x@{PEER}>"));
    network.peer_says(1, ok.clone());
    assert!(matches!(network.event(1), Event::Answered { .. }));
    let mut bye = peer_follows(&ok, Method::Bye, 1, "b");
    std::mem::swap(&mut bye.envelope.from, &mut bye.envelope.to);
    network.peer_says(1, bye);
    assert!(matches!(network.event(1), Event::Ended { call: ended, .. } if ended == call));
}

#[test]
fn a_full_house_says_so() {
    let mut network = Network::of(vec![Config { most_calls: 1, ..config() }]);
    network.peer_says(1, peer_request(Method::Invite, 1, "a"));
    let mut second = peer_request(Method::Invite, 1, "b");
    second.envelope.call_id = "second".to_owned();
    network.peer_says(1, second);
    let told = network.peer_was_told();
    assert_eq!((told.status, told.headers.has(&HeaderName::RetryAfter)), (503, true));
}

#[test]
fn who_stops_takes_no_further_calls_and_ends_none() {
    let mut network = Network::pair();
    let (ours, theirs) = network.talking(1, 2, Transport::Udp);
    let (them, _) = network.endpoint(2);
    them.drain();
    let call_id = them.sip_call_id(theirs).unwrap().to_owned();
    assert_eq!(them.dialog(theirs).unwrap().id.call_id, call_id);
    let (us, now) = network.endpoint(1);
    assert_eq!(us.sip_call_id(ours), Some(call_id.as_str()));
    let second = us.place_call(order(vec![target(Transport::Udp, 1, crate::network::address(2))]), now).unwrap();
    assert!(us.sip_call_id(second).is_some());
    network.soon();
    assert!(matches!(network.event(1), Event::Failed { status: 503, call, .. } if call == second));
    assert!(network.events(2).is_empty());
}

#[test]
fn keep_alives_mean_nothing_and_pings_on_streams_are_answered() {
    let mut network = Network::of(vec![config()]);
    let (us, now) = network.endpoint(1);
    let udp = crate::network::flow(Transport::Udp, crate::network::address(1), PEER.parse().unwrap());
    us.receive(udp, b"\r\n\r\n", now);
    us.receive(udp, b"\0\0", now);
    us.receive(udp, b"", now);
    us.receive(udp, b"GET / HTTP/1.1\r\n\r\n", now);
    assert!(us.poll_transmit().is_none());
    let tcp = crate::network::flow(Transport::Tcp, crate::network::address(1), PEER.parse().unwrap());
    us.receive_stream(tcp, b"\r\n\r\n", now);
    assert_eq!(us.poll_transmit().unwrap().bytes, b"\r\n");
    us.receive_stream(tcp, b"OPTIONS sip:x@192.0.2.1 SIP/2.0\r\nContent-Length: x\r\n\r\n", now);
    assert!(us.poll_transmit().unwrap().close);
}

/// What an extension or a method asks of us that we do not know.
#[test]
fn what_we_do_not_understand_is_refused_by_name() {
    let mut network = Network::of(vec![config()]);
    for (n, method, status) in [
        (0, Method::Subscribe, 405),
        (1, Method::Register, 405),
        (2, Method::Message, 405),
        (3, Method::Refer, 405),
        (4, Method::Extension("DANCE".to_owned()), 501),
    ] {
        network.peer_says(1, peer_request(method.clone(), 1, &format!("m{n}")));
        let told = network.peer_was_told();
        assert_eq!(told.status, status, "{method}");
        assert!(told.headers.get(&HeaderName::Allow).unwrap().contains("INVITE"));
        assert!(told.envelope.to_tag().is_some());
    }
    network.pass(Duration::from_secs(60));
    let mut invite = peer_request(Method::Invite, 1, "r");
    invite.headers.push(HeaderName::Require, "100rel, replaces, norefersub");
    invite.set_body("application/sdp", OFFER);
    network.peer_says(1, invite);
    let told = network.peer_was_told();
    assert_eq!((told.status, told.headers.get(&HeaderName::Unsupported)), (420, Some("replaces, norefersub")));
    network.is_over();
}
