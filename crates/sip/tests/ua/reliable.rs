//! Reliable provisional responses (RFC 3262).

use std::time::Duration;

use offhook_sip::Transport;
use offhook_sip::endpoint::{Ended, Event};
use offhook_sip::message::{HeaderName, Method};

use crate::network::{ANSWER, Network, OFFER, PEER, order, peer_follows, peer_request, target};

#[test]
fn between_two_of_us_ringing_is_reliable_and_the_answer_waits_for_it() {
    let mut network = Network::pair();
    let (ours, theirs) = network.ringing(1, 2, Transport::Udp);
    let (them, now) = network.endpoint(2);
    them.ring(theirs, 180, None, now).unwrap();
    them.ring(theirs, 183, Some(ANSWER.to_vec()), now).unwrap();
    them.accept(theirs, ANSWER.to_vec(), now).unwrap();
    network.soon();
    let expected = [
        "1: INVITE",
        "2: 100 INVITE",
        "2: 180 INVITE",
        "1: PRACK",
        "2: 200 PRACK",
        "2: 183 INVITE",
        "1: PRACK",
        "2: 200 PRACK",
        "2: 200 INVITE",
        "1: ACK",
    ];
    assert_eq!(network.ladder(), expected);
    assert_eq!(network.events(1).len(), 3);
    let (us, now) = network.endpoint(1);
    us.hang_up(ours, now).unwrap();
    network.is_over();
}

#[test]
fn a_caller_that_asks_and_does_not_acknowledge_is_gone() {
    let mut network = Network::pair();
    let mut invite = peer_request(Method::Invite, 1, "a");
    invite.headers.push(HeaderName::Require, "100rel");
    network.peer_says(1, invite);
    let Event::Incoming { call, .. } = network.event(1) else { panic!() };
    let (us, now) = network.endpoint(1);
    us.ring(call, 180, None, now).unwrap();
    network.soon();
    let ringing = network.peer_was_told();
    assert!(ringing.headers.lists(&HeaderName::Require, "100rel"));
    let mut wrong = peer_follows(&ringing, Method::Prack, 2, "b");
    wrong.headers.push(HeaderName::RAck, "1 1 INVITE");
    network.peer_says(1, wrong);
    assert_eq!(network.peer_was_told().status, 481);
    network.pass(Duration::from_secs(33));
    assert_eq!(network.event(1), Event::Ended { call, why: Ended::Unconfirmed });
    let ladder = network.ladder();
    assert_eq!(ladder.iter().filter(|step| *step == "1: 180 INVITE").count(), 7, "{ladder:?}");
    assert!(ladder.contains(&"1: 504 INVITE".to_owned()));
    network.is_over();
}

#[test]
fn a_caller_without_the_extension_gets_plain_ones_again_every_minute() {
    let mut network = Network::pair();
    network.peer_says(1, peer_request(Method::Invite, 1, "a"));
    let Event::Incoming { call, .. } = network.event(1) else { panic!() };
    let (us, now) = network.endpoint(1);
    us.ring(call, 180, None, now).unwrap();
    network.pass(Duration::from_secs(121));
    let ladder = network.ladder();
    assert_eq!(ladder.iter().filter(|step| *step == "1: 180 INVITE").count(), 3, "{ladder:?}");
    assert!(!network.peer_was_told().headers.has(&HeaderName::RSeq));
    let (us, now) = network.endpoint(1);
    us.accept(call, OFFER.to_vec(), now).unwrap();
}

#[test]
fn theirs_are_acknowledged_in_order_and_told_once() {
    let mut network = Network::pair();
    let (us, now) = network.endpoint(1);
    us.place_call(order(vec![target(Transport::Udp, 1, PEER.parse().unwrap())]), now).unwrap();
    network.soon();
    let invite = network.peer_got(&Method::Invite);
    let ringing = |rseq: &str| {
        invite
            .respond_tagged(183, "t")
            .with(HeaderName::Require, "100rel")
            .with(HeaderName::RSeq, rseq)
            .with(HeaderName::Contact, format!("<sip:x@{PEER}>"))
    };
    network.peer_says(1, ringing("10"));
    let prack = network.peer_got(&Method::Prack);
    assert_eq!(prack.headers.get(&HeaderName::RAck), Some("10 1 INVITE"));
    assert_eq!(prack.envelope.cseq.sequence, 2);
    network.at_peer.clear();
    network.peer_says(1, ringing("10"));
    network.peer_says(1, ringing("12"));
    assert_eq!(network.events(1).len(), 1);
    network.peer_says(1, ringing("11"));
    assert_eq!(network.peer_got(&Method::Prack).headers.get(&HeaderName::RAck), Some("11 1 INVITE"));
    assert_eq!(network.events(1).len(), 1);
}
