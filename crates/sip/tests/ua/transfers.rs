//! REFER out and in, with the NOTIFYs (RFC 3515).

use std::time::Duration;

use offhook_sip::Transport;
use offhook_sip::endpoint::{Event, OrderError};
use offhook_sip::message::{HeaderName, Method, Uri};

use crate::network::{Network, PEER, order, peer_follows, target};

fn somebody() -> Uri {
    Uri::parse("sip:+15550000001@them.example.com").unwrap()
}

#[test]
fn a_call_is_handed_over_and_we_are_told_how_it_goes() {
    let mut network = Network::pair();
    let (ours, theirs) = network.talking(1, 2, Transport::Udp);
    let (us, now) = network.endpoint(1);
    us.transfer(ours, &somebody(), now).unwrap();
    assert_eq!(us.transfer(ours, &somebody(), now), Err(OrderError::Pending));
    network.soon();
    let Event::Referred { call, refer_to, referred_by } = network.event(2) else { panic!() };
    assert_eq!((call, refer_to.uri), (theirs, somebody()));
    assert!(referred_by.unwrap().contains("+15551234567"));
    let (them, now) = network.endpoint(2);
    assert_eq!(them.report_referral(theirs, 180, now), Err(OrderError::WrongState));
    them.accept_referral(theirs, now).unwrap();
    them.report_referral(theirs, 180, now).unwrap();
    them.report_referral(theirs, 200, now).unwrap();
    assert_eq!(them.report_referral(theirs, 200, now), Err(OrderError::WrongState));
    network.soon();
    let told: Vec<(u16, bool)> = network
        .events(1)
        .into_iter()
        .map(|event| match event {
            Event::Transfer { status, is_final, .. } => (status, is_final),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, [(100, false), (180, false), (200, true)]);
    let (us, now) = network.endpoint(1);
    us.transfer(ours, &somebody(), now).unwrap();
    us.hang_up(ours, now).unwrap();
    network.is_over();
}

#[test]
fn a_transfer_can_be_refused_or_told_nothing_of() {
    let mut network = Network::pair();
    let (ours, theirs) = network.talking(1, 2, Transport::Udp);
    let (us, now) = network.endpoint(1);
    us.transfer(ours, &somebody(), now).unwrap();
    network.soon();
    network.events(2);
    let (them, now) = network.endpoint(2);
    them.refuse_referral(theirs, 603, now).unwrap();
    network.soon();
    assert_eq!(network.event(1), Event::Transfer { call: ours, status: 603, is_final: true });
    let (us, now) = network.endpoint(1);
    us.transfer(ours, &somebody(), now).unwrap();
    network.soon();
    let (them, now) = network.endpoint(2);
    them.accept_referral(theirs, now).unwrap();
    network.pass(Duration::from_secs(181));
    let events = network.events(1);
    assert_eq!(events.last(), Some(&Event::Transfer { call: ours, status: 408, is_final: true }), "{events:?}");
}

#[test]
fn what_a_peer_gets_wrong_about_a_transfer() {
    let mut network = Network::pair();
    let (us, now) = network.endpoint(1);
    let call = us.place_call(order(vec![target(Transport::Udp, 1, PEER.parse().unwrap())]), now).unwrap();
    network.soon();
    let ok =
        network.peer_got(&Method::Invite).respond_tagged(200, "t").with(HeaderName::Contact, format!("<sip:x@{PEER}>"));
    network.peer_says(1, ok.clone());
    network.events(1);
    let mut sequence = 0;
    let mut theirs = |method: Method| {
        sequence += 1;
        let mut request = peer_follows(&ok, method, sequence, &format!("s{sequence}"));
        std::mem::swap(&mut request.envelope.from, &mut request.envelope.to);
        request
    };
    network.peer_says(1, theirs(Method::Refer));
    assert_eq!(network.peer_was_told().status, 400);
    let mut notify = theirs(Method::Notify);
    notify.headers.push(HeaderName::Event, "message-summary");
    network.peer_says(1, notify);
    assert_eq!(network.peer_was_told().status, 489);
    let mut notify = theirs(Method::Notify);
    notify.headers.push(HeaderName::Event, "refer");
    network.peer_says(1, notify.clone());
    assert_eq!(network.peer_was_told().status, 481, "we asked for nothing");

    // RFC 4488: no NOTIFYs are wanted.
    let mut refer = theirs(Method::Refer);
    refer.headers.push(HeaderName::ReferTo, "<sip:+15550000001@them.example.com?Replaces=a%3Bto-tag%3Db>");
    refer.headers.push(HeaderName::Extension("Refer-Sub".to_owned()), "false");
    network.peer_says(1, refer);
    assert!(matches!(network.event(1), Event::Referred { .. }));
    let (us, now) = network.endpoint(1);
    us.accept_referral(call, now).unwrap();
    network.soon();
    assert_eq!(network.peer_was_told().status, 202);
    let (us, now) = network.endpoint(1);
    assert_eq!(us.report_referral(call, 200, now), Err(OrderError::WrongState));

    let (us, now) = network.endpoint(1);
    us.transfer(call, &somebody(), now).unwrap();
    network.soon();
    let refer = network.peer_got(&Method::Refer);
    network.peer_says(1, refer.respond(202));
    let mut notify = theirs(Method::Notify);
    notify.headers.push(HeaderName::Event, "refer");
    notify.set_body("message/sipfrag", "garbage");
    network.peer_says(1, notify);
    assert_eq!(network.peer_was_told().status, 400);
}
