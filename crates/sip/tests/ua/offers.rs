//! Re-INVITE and UPDATE: hold, refusals, and two at once.

use std::time::Duration;

use offhook_sip::Transport;
use offhook_sip::endpoint::{Ended, Event, OrderError};
use offhook_sip::message::{HeaderName, Method};

use crate::network::{ANSWER, Network, OFFER, PEER, order, peer_follows, target};

const HOLD: &[u8] = b"v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=-\r\na=sendonly\r\n";

#[test]
fn a_call_is_held_and_resumed_from_either_side() {
    for (who, other) in [(1, 2), (2, 1)] {
        let mut network = Network::pair();
        let calls = network.talking(1, 2, Transport::Udp);
        let (asks, answers) = if who == 1 { calls } else { (calls.1, calls.0) };
        for _ in 0..2 {
            let (endpoint, now) = network.endpoint(who);
            endpoint.offer(asks, HOLD.to_vec(), now).unwrap();
            assert_eq!(endpoint.offer(asks, HOLD.to_vec(), now), Err(OrderError::Pending));
            network.soon();
            assert_eq!(network.event(other), Event::Offer { call: answers, offer: Some(HOLD.to_vec()) });
            let (endpoint, now) = network.endpoint(other);
            endpoint.answer_offer(answers, ANSWER.to_vec(), now).unwrap();
            network.soon();
            assert_eq!(network.event(who), Event::OfferAnswered { call: asks, answer: Some(ANSWER.to_vec()) });
            assert_eq!(network.event(other), Event::Confirmed { call: answers, answer: None });
            let expected = ["INVITE", "100 INVITE", "200 INVITE", "ACK"];
            let ladder: Vec<String> = network.ladder().iter().map(|step| step[3..].to_owned()).collect();
            assert_eq!(ladder, expected);
        }
        let (endpoint, now) = network.endpoint(other);
        endpoint.hang_up(answers, now).unwrap();
        network.is_over();
    }
}

#[test]
fn a_refused_offer_changes_nothing() {
    let mut network = Network::pair();
    let (ours, theirs) = network.talking(1, 2, Transport::Udp);
    let (us, now) = network.endpoint(1);
    us.offer(ours, HOLD.to_vec(), now).unwrap();
    network.soon();
    network.events(2);
    let (them, now) = network.endpoint(2);
    them.refuse_offer(theirs, 488, now).unwrap();
    assert_eq!(them.answer_offer(theirs, Vec::new(), now), Err(OrderError::WrongState));
    network.soon();
    assert_eq!(network.event(1), Event::OfferRefused { call: ours, status: 488 });
    let (us, now) = network.endpoint(1);
    us.hang_up(ours, now).unwrap();
    network.is_over();
}

/// Both offer in the same moment: both are told 491, and each tries again in a time of its own (§14.1).
#[test]
fn two_offers_that_meet_are_made_again_one_after_the_other() {
    let mut network = Network::pair();
    let (ours, theirs) = network.talking(1, 2, Transport::Udp);
    let (us, now) = network.endpoint(1);
    us.offer(ours, HOLD.to_vec(), now).unwrap();
    let (them, now) = network.endpoint(2);
    them.offer(theirs, HOLD.to_vec(), now).unwrap();
    network.soon();
    let ladder = network.ladder();
    assert_eq!(ladder.iter().filter(|step| step.ends_with("491 INVITE")).count(), 2, "{ladder:?}");
    let mut answered = 0;
    for _ in 0..60 {
        network.pass(Duration::from_millis(100));
        for (n, call) in [(1, ours), (2, theirs)] {
            for event in network.events(n) {
                match event {
                    Event::Offer { .. } => {
                        let (endpoint, now) = network.endpoint(n);
                        endpoint.answer_offer(call, ANSWER.to_vec(), now).unwrap();
                    }
                    Event::OfferAnswered { .. } => answered += 1,
                    Event::Confirmed { .. } => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    assert_eq!(answered, 2);
    let (us, now) = network.endpoint(1);
    us.hang_up(ours, now).unwrap();
    network.is_over();
}

#[test]
fn hanging_up_takes_an_open_offer_along() {
    let mut network = Network::pair();
    let (ours, theirs) = network.talking(1, 2, Transport::Udp);
    let (us, now) = network.endpoint(1);
    us.offer(ours, HOLD.to_vec(), now).unwrap();
    network.soon();
    network.events(2);
    let (them, now) = network.endpoint(2);
    them.hang_up(theirs, now).unwrap();
    network.soon();
    assert_eq!(network.events(1).last(), Some(&Event::Ended { call: ours, why: Ended::ByThem(None) }));
    let ladder = network.ladder();
    assert!(ladder.contains(&"2: 487 INVITE".to_owned()), "{ladder:?}");
    network.is_over();
}

#[test]
fn a_dialog_that_they_have_forgotten_is_over() {
    let mut network = Network::pair();
    let (us, now) = network.endpoint(1);
    let call = us.place_call(order(vec![target(Transport::Udp, 1, PEER.parse().unwrap())]), now).unwrap();
    network.soon();
    let invite = network.peer_got(&Method::Invite);
    network.peer_says(1, invite.respond_tagged(200, "t").with(HeaderName::Contact, format!("<sip:x@{PEER}>")));
    let (us, now) = network.endpoint(1);
    us.offer(call, HOLD.to_vec(), now).unwrap();
    network.soon();
    let again = network.peer_got(&Method::Invite);
    assert_eq!((again.envelope.cseq.sequence, again.envelope.to_tag()), (2, Some("t")));
    network.peer_says(1, again.respond(481));
    assert_eq!(network.events(1).last(), Some(&Event::Ended { call, why: Ended::Lost }));
    network.is_over();
}

/// An offerless re-INVITE asks for our offer; UPDATE changes the media or nothing; a second offer has to wait.
#[test]
fn their_offers_of_every_kind() {
    let mut network = Network::pair();
    let (us, now) = network.endpoint(1);
    let call = us.place_call(order(vec![target(Transport::Udp, 1, PEER.parse().unwrap())]), now).unwrap();
    network.soon();
    let ok =
        network.peer_got(&Method::Invite).respond_tagged(200, "t").with(HeaderName::Contact, format!("<sip:x@{PEER}>"));
    network.peer_says(1, ok.clone());
    network.events(1);
    let theirs = |method: Method, sequence: u32, branch: &str| {
        let mut request = peer_follows(&ok, method, sequence, branch);
        std::mem::swap(&mut request.envelope.from, &mut request.envelope.to);
        request
    };
    network.peer_says(1, theirs(Method::Invite, 1, "a"));
    assert_eq!(network.event(1), Event::Offer { call, offer: None });
    network.peer_says(1, theirs(Method::Invite, 2, "b"));
    let second = network.peer_was_told();
    assert_eq!(second.status, 500);
    assert!(second.headers.has(&HeaderName::RetryAfter));
    let (us, now) = network.endpoint(1);
    us.answer_offer(call, OFFER.to_vec(), now).unwrap();
    network.soon();
    let told = network.peer_was_told();
    assert_eq!((told.status, &told.body[..]), (200, OFFER));
    let mut ack = theirs(Method::Ack, 1, "c");
    ack.set_body("application/sdp", ANSWER);
    network.peer_says(1, ack);
    assert_eq!(network.event(1), Event::Confirmed { call, answer: Some(ANSWER.to_vec()) });

    let update = theirs(Method::Update, 3, "d");
    network.peer_says(1, update);
    assert_eq!(network.peer_was_told().status, 200, "answered by ourselves");
    let mut update = theirs(Method::Update, 4, "e");
    update.headers.set(HeaderName::Contact, "<sip:moved@192.0.2.99:5060>");
    update.set_body("application/sdp", HOLD);
    network.peer_says(1, update);
    assert_eq!(network.event(1), Event::Offer { call, offer: Some(HOLD.to_vec()) });
    let (us, now) = network.endpoint(1);
    us.answer_offer(call, ANSWER.to_vec(), now).unwrap();
    network.soon();
    assert_eq!(&network.peer_was_told().body[..], ANSWER);
    let mut update = theirs(Method::Update, 5, "f");
    update.set_body("text/plain", "hello");
    network.peer_says(1, update);
    assert_eq!(network.peer_was_told().status, 415);

    let (us, now) = network.endpoint(1);
    us.hang_up(call, now).unwrap();
    network.soon();
    assert_eq!(network.peer_got(&Method::Bye).uri.to_string(), "sip:moved@192.0.2.99:5060", "the target was refreshed");
}

#[test]
fn a_re_invite_can_be_taken_back() {
    let mut network = Network::pair();
    let (ours, theirs) = network.talking(1, 2, Transport::Udp);
    let _ = (ours, theirs);
    let (us, now) = network.endpoint(1);
    let call = us.place_call(order(vec![target(Transport::Udp, 1, PEER.parse().unwrap())]), now).unwrap();
    network.soon();
    let ok =
        network.peer_got(&Method::Invite).respond_tagged(200, "t").with(HeaderName::Contact, format!("<sip:x@{PEER}>"));
    network.peer_says(1, ok.clone());
    network.events(1);
    for method in [Method::Invite, Method::Cancel] {
        let mut request = peer_follows(&ok, method, 1, "same");
        std::mem::swap(&mut request.envelope.from, &mut request.envelope.to);
        network.peer_says(1, request);
    }
    assert_eq!(network.peer_was_told().status, 487);
    let (us, now) = network.endpoint(1);
    assert_eq!(us.answer_offer(call, ANSWER.to_vec(), now), Err(OrderError::WrongState));
    us.offer(call, HOLD.to_vec(), now).unwrap();
}
