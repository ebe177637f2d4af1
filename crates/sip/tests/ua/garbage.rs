//! Messages of a real call, mutilated and in any order: nothing panics, and when the dust has settled nothing is left.

use std::time::Duration;

use offhook_sip::Transport;
use offhook_sip::endpoint::{Endpoint, Event};
use proptest::prelude::*;

use crate::network::{ANSWER, Network, PEER, address, cases, flow};

/// What goes over the wire in a call with everything in it.
fn recorded() -> Vec<Vec<u8>> {
    let mut network = Network::pair();
    let (ours, theirs) = network.ringing(1, 2, Transport::Udp);
    let (them, now) = network.endpoint(2);
    them.ring(theirs, 183, Some(ANSWER.to_vec()), now).unwrap();
    them.accept(theirs, ANSWER.to_vec(), now).unwrap();
    network.soon();
    let (us, now) = network.endpoint(1);
    us.offer(ours, ANSWER.to_vec(), now).unwrap();
    network.soon();
    let (them, now) = network.endpoint(2);
    them.answer_offer(theirs, ANSWER.to_vec(), now).unwrap();
    network.soon();
    let (us, now) = network.endpoint(1);
    us.transfer(ours, &offhook_sip::message::Uri::parse("sip:x@192.0.2.9").unwrap(), now).unwrap();
    network.soon();
    let (them, now) = network.endpoint(2);
    them.accept_referral(theirs, now).unwrap();
    them.report_referral(theirs, 200, now).unwrap();
    network.soon();
    let (us, now) = network.endpoint(1);
    us.hang_up(ours, now).unwrap();
    network.soon();
    network.log.iter().map(|(_, message)| message.to_bytes()).collect()
}

fn drain(endpoint: &mut Endpoint, calls: &mut Vec<offhook_sip::endpoint::CallId>) {
    while endpoint.poll_transmit().is_some() {}
    while let Some(event) = endpoint.poll_event() {
        if let Event::Incoming { call, .. } = event {
            calls.push(call);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_nothing_is_left(
        picks in proptest::collection::vec((any::<prop::sample::Index>(), proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), 0_u64..3000), 1..60),
        transport in prop_oneof![Just(Transport::Udp), Just(Transport::Tcp)],
        accepts: bool,
    ) {
        thread_local! { static RECORDED: Vec<Vec<u8>> = recorded(); }
        let recorded = RECORDED.with(Clone::clone);
        let mut network = Network::pair();
        let (us, mut now) = network.endpoint(1);
        let from = flow(transport, address(1), PEER.parse().unwrap());
        let mut calls = Vec::new();
        for (pick, changes, wait) in picks {
            let mut bytes = pick.get(&recorded).clone();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if transport.is_reliable() {
                us.receive_stream(from, &bytes, now);
            } else {
                us.receive(from, &bytes, now);
            }
            drain(us, &mut calls);
            if let (true, Some(call)) = (accepts, calls.last()) {
                let _ = us.accept(*call, ANSWER.to_vec(), now);
            }
            now += Duration::from_millis(wait);
            us.handle_timeout(now);
        }
        for call in &calls {
            let _ = us.hang_up(*call, now);
        }
        for _ in 0..200 {
            drain(us, &mut calls);
            now += Duration::from_secs(1);
            us.handle_timeout(now);
        }
        prop_assert!(us.is_idle(), "{} calls are left", us.calls());
    }
}
