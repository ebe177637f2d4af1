//! Session timers (RFC 4028) over whole calls.

use std::time::Duration;

use offhook_sip::Transport;
use offhook_sip::dialog::SessionPolicy;
use offhook_sip::endpoint::{Config, Ended, Event};
use offhook_sip::message::{HeaderName, Method};

use crate::network::{Network, OFFER, PEER, config, order, peer_follows, peer_request, target};

fn brief() -> Config {
    let session = SessionPolicy { interval: Duration::from_secs(200), least: Duration::from_secs(90) };
    Config { session, ..config() }
}

#[test]
fn a_call_is_refreshed_for_as_long_as_it_lasts() {
    let mut network = Network::of(vec![brief(), brief()]);
    let (ours, theirs) = network.talking(1, 2, Transport::Udp);
    network.pass(Duration::from_secs(3600));
    assert!(network.events(1).is_empty() && network.events(2).is_empty());
    let ladder = network.ladder();
    assert!((30..40).contains(&ladder.iter().filter(|step| step.ends_with(": UPDATE")).count()), "{}", ladder.len());
    assert!(ladder.iter().all(|step| step.ends_with("UPDATE")), "nothing else");
    let (them, now) = network.endpoint(2);
    them.hang_up(theirs, now).unwrap();
    network.soon();
    assert_eq!(network.event(1), Event::Ended { call: ours, why: Ended::ByThem(None) });
}

/// The other side is gone without a word: whoever refreshes notices by the silence, the other by the missing refresh.
#[test]
fn a_call_whose_other_side_is_gone_ends() {
    for gone in [1, 2] {
        let mut network = Network::of(vec![brief(), brief()]);
        let (ours, theirs) = network.talking(1, 2, Transport::Udp);
        let (left, call) = if gone == 1 { (2, theirs) } else { (1, ours) };
        network.endpoints.remove(&crate::network::address(gone));
        network.pass(Duration::from_secs(260));
        assert_eq!(network.event(left), Event::Ended { call, why: Ended::Lost });
        network.is_over();
    }
}

#[test]
fn without_update_the_media_are_offered_as_they_are() {
    let mut network = Network::of(vec![brief()]);
    let (us, now) = network.endpoint(1);
    let call = us.place_call(order(vec![target(Transport::Udp, 1, PEER.parse().unwrap())]), now).unwrap();
    network.soon();
    let ok = network
        .peer_got(&Method::Invite)
        .respond_tagged(200, "t")
        .with(HeaderName::Contact, format!("<sip:x@{PEER}>"))
        .with(HeaderName::Allow, "INVITE, ACK, BYE, CANCEL")
        .with(HeaderName::SessionExpires, "200;refresher=uac")
        .with(HeaderName::Require, "timer");
    network.peer_says(1, ok.clone());
    network.pass(Duration::from_secs(101));
    let refresh = network.peer_got(&Method::Invite);
    assert_eq!((refresh.envelope.cseq.sequence, &refresh.body[..]), (2, OFFER));
    assert_eq!(refresh.headers.get(&HeaderName::SessionExpires), Some("200;refresher=uac"));
    let ok = refresh.respond(200).with(HeaderName::SessionExpires, "200;refresher=uac");
    network.peer_says(1, ok);
    assert_eq!(network.peer_got(&Method::Ack).envelope.cseq.sequence, 2);
    // A refusal shows that they are there: it is tried again, and the call goes on.
    network.pass(Duration::from_secs(101));
    let refresh = network.peer_got(&Method::Invite);
    network.peer_says(1, refresh.respond(491));
    network.pass(Duration::from_secs(14));
    let again = network.peer_got(&Method::Invite);
    assert!(again.envelope.cseq.sequence > refresh.envelope.cseq.sequence);
    let events = network.events(1);
    assert!(matches!(events[..], [Event::Answered { .. }]), "{events:?}");
    network.peer_says(1, again.respond(408));
    assert_eq!(network.event(1), Event::Ended { call, why: Ended::Lost });
}

#[test]
fn too_brief_an_interval_is_refused_and_who_refreshes_is_said() {
    let mut network = Network::of(vec![brief()]);
    let mut invite = peer_request(Method::Invite, 1, "a");
    invite.headers.push(HeaderName::Supported, "timer");
    invite.headers.push(HeaderName::SessionExpires, "60");
    network.peer_says(1, invite.clone());
    let refusal = network.peer_was_told();
    assert_eq!((refusal.status, refusal.headers.get(&HeaderName::MinSe)), (422, Some("90")));
    assert!(network.events(1).is_empty());
    let mut ack = peer_follows(&refusal, Method::Ack, 1, "a");
    ack.envelope.via.clone_from(&invite.envelope.via);
    network.peer_says(1, ack);

    let mut invite = peer_request(Method::Invite, 1, "b");
    invite.envelope.cseq.sequence = 2;
    invite.headers.push(HeaderName::Supported, "timer");
    invite.headers.push(HeaderName::SessionExpires, "120");
    network.peer_says(1, invite);
    let Event::Incoming { call, .. } = network.event(1) else { panic!() };
    let (us, now) = network.endpoint(1);
    us.accept(call, OFFER.to_vec(), now).unwrap();
    network.soon();
    let ok = network.peer_was_told();
    assert_eq!(ok.headers.get(&HeaderName::SessionExpires), Some("120;refresher=uac"));
    assert!(ok.headers.lists(&HeaderName::Require, "timer"));
    network.peer_says(1, peer_follows(&ok, Method::Ack, 2, "c"));
    network.events(1);
    network.pass(Duration::from_secs(60));
    let mut update = peer_follows(&ok, Method::Update, 3, "d");
    update.headers.push(HeaderName::Supported, "timer");
    update.headers.push(HeaderName::SessionExpires, "120;refresher=uac");
    network.peer_says(1, update);
    network.pass(Duration::from_secs(70));
    assert!(network.events(1).is_empty(), "it was refreshed");
    network.pass(Duration::from_secs(200));
    assert_eq!(network.event(1), Event::Ended { call, why: Ended::Lost });
    assert!(network.peer_got(&Method::Bye).headers.get(&HeaderName::Reason).unwrap().contains("Session Expired"));
}
