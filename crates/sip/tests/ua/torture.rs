//! What is wrong with a message of RFC 4475 beyond its syntax: §3.2 to §3.4.

use std::path::PathBuf;

use offhook_sip::Transport;
use offhook_sip::endpoint::Event;
use offhook_sip::message::{HeaderName, Message, parse};

use crate::network::{Network, OFFER, PEER, address, config, flow};

fn bytes(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/torture").join(format!("{name}.dat"));
    std::fs::read(path).unwrap()
}

/// What an endpoint says to it, the last word first, and what it makes of it.
fn told(name: &str, transport: Transport) -> (Option<offhook_sip::message::Response>, Vec<Event>) {
    let mut network = Network::of(vec![config()]);
    let (us, now) = network.endpoint(1);
    let flow = flow(transport, address(1), PEER.parse().unwrap());
    if transport.is_reliable() {
        us.receive_stream(flow, &bytes(name), now);
    } else {
        us.receive(flow, &bytes(name), now);
    }
    let sent: Vec<_> = std::iter::from_fn(|| us.poll_transmit()).collect();
    let last = sent.last().map(|transmit| match parse(&transmit.bytes).unwrap() {
        Message::Response(response) => response,
        Message::Request(request) => panic!("{request:?}"),
    });
    let events = std::iter::from_fn(|| us.poll_event()).collect();
    (last, events)
}

#[test]
fn each_is_answered_as_the_rfc_says() {
    for (name, status) in [
        ("badbranch", 200),
        ("insuf", 400),
        ("unkscm", 416),
        ("novelsc", 416),
        ("bext01", 420),
        ("invut", 415),
        ("multi01", 400),
        ("mcl01", 400),
        ("zeromf", 200),
        ("sdp01", 406),
        // We are no registrar: what REGISTER asks for is not looked at.
        ("unksm2", 405),
        ("regaut01", 405),
        ("cparam01", 405),
        ("cparam02", 405),
        ("regescrt", 405),
        // And of the others those that are well-formed but not for us.
        ("intmeth", 501),
        ("esc02", 501),
        ("mpart01", 405),
        ("dblreq", 405),
        ("semiuri", 200),
        ("transports", 200),
        ("badvers", 505),
        // Its To has a tag: it belongs to a call, and there is none.
        ("wsinv", 481),
    ] {
        // What is copied into these answers is what was wrong with the request: a strict parser can't read it back.
        if ["insuf", "multi01", "badvers"].contains(&name) {
            let mut network = Network::of(vec![config()]);
            let (us, now) = network.endpoint(1);
            us.receive(flow(Transport::Udp, address(1), PEER.parse().unwrap()), &bytes(name), now);
            let answer = us.poll_transmit().unwrap().bytes;
            let expected = format!("SIP/2.0 {status} ");
            assert!(answer.starts_with(expected.as_bytes()), "{name}");
            continue;
        }
        let (answer, events) = told(name, Transport::Udp);
        assert_eq!(answer.map(|answer| answer.status), Some(status), "{name}");
        assert!(events.is_empty(), "{name}: {events:?}");
    }
}

#[test]
fn what_was_not_supported_is_said() {
    let (answer, _) = told("bext01", Transport::Udp);
    assert_eq!(
        answer.unwrap().headers.get(&HeaderName::Unsupported),
        Some("nothingSupportsThis, nothingSupportsThisEither")
    );
    let (answer, _) = told("invut", Transport::Udp);
    assert_eq!(answer.unwrap().headers.get(&HeaderName::Accept), Some("application/sdp"));
}

/// 3.3.10: a response that went astray is nobody's.
#[test]
fn a_broadcast_response_is_dropped() {
    for name in ["bcast", "unreason", "noreason", "scalarlg", "bigcode"] {
        assert_eq!(told(name, Transport::Udp), (None, Vec::new()), "{name}");
    }
}

/// 3.1.1 and 3.4.1: these are calls like any other.
#[test]
fn valid_invites_ring() {
    for name in ["esc01", "longreq", "inv2543"] {
        let (answer, events) = told(name, Transport::Udp);
        assert_eq!(answer.map(|answer| answer.status), Some(100), "{name}");
        assert!(matches!(&events[..], [Event::Incoming { offer: Some(_), .. }]), "{name}: {events:?}");
    }
}

/// 3.4.1: a client of RFC 2543 has no tag, no branch, no Contact and no Max-Forwards. It gets an answer, and can hang up.
#[test]
fn a_client_of_rfc_2543_can_call() {
    let mut network = Network::of(vec![config()]);
    network.peer_sends(1, Transport::Udp, &bytes("inv2543"));
    let Event::Incoming { call, .. } = network.event(1) else { panic!() };
    network.peer_sends(1, Transport::Udp, &bytes("inv2543"));
    assert!(network.events(1).is_empty(), "the same request again");
    let (us, now) = network.endpoint(1);
    us.accept(call, OFFER.to_vec(), now).unwrap();
    network.soon();
    let ladder = network.ladder();
    assert_eq!(ladder.iter().filter(|step| *step == "1: 200 INVITE").count(), 1, "{ladder:?}");
}
