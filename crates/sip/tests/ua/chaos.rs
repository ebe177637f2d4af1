//! Random stories over a network that loses a part of everything: whatever happens, both sides end, and nothing is left.

use std::time::{Duration, Instant};

use offhook_sip::Transport;
use offhook_sip::endpoint::{CallId, Endpoint, Event};
use offhook_sip::message::Uri;
use proptest::prelude::*;

use crate::network::{ANSWER, Network, OFFER, address, cases, order, target};

#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(u16),
    Call(bool),
    /// The right or the left side does something with its last call.
    Act(bool, Act),
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Ring,
    Accept,
    Reject,
    HangUp,
    Offer,
    AnswerOffer,
    RefuseOffer,
    Transfer,
    AcceptReferral,
    Report,
}

/// Whether that was possible does not matter here.
fn act(endpoint: &mut Endpoint, act: Act, call: CallId, now: Instant) {
    let somebody = Uri::parse("sip:+15550000001@them.example.com").unwrap();
    let _ = match act {
        Act::Ring => endpoint.ring(call, 180, None, now),
        Act::Accept => endpoint.accept(call, ANSWER.to_vec(), now),
        Act::Reject => endpoint.reject(call, 486, now),
        Act::HangUp => endpoint.hang_up(call, now),
        Act::Offer => endpoint.offer(call, OFFER.to_vec(), now),
        Act::AnswerOffer => endpoint.answer_offer(call, ANSWER.to_vec(), now),
        Act::RefuseOffer => endpoint.refuse_offer(call, 488, now),
        Act::Transfer => endpoint.transfer(call, &somebody, now),
        Act::AcceptReferral => endpoint.accept_referral(call, now),
        Act::Report => endpoint.report_referral(call, 200, now),
    };
}

fn step() -> impl Strategy<Value = Step> {
    let an_act = prop_oneof![
        1 => Just(Act::Ring),
        3 => Just(Act::Accept),
        1 => Just(Act::Reject),
        1 => Just(Act::HangUp),
        2 => Just(Act::Offer),
        2 => Just(Act::AnswerOffer),
        1 => Just(Act::RefuseOffer),
        1 => Just(Act::Transfer),
        1 => Just(Act::AcceptReferral),
        1 => Just(Act::Report),
    ];
    prop_oneof![
        3 => (0_u16..3000).prop_map(Step::Pass),
        3 => any::<bool>().prop_map(Step::Call),
        14 => (any::<bool>(), an_act).prop_map(|(right, act)| Step::Act(right, act)),
    ]
}

/// The calls of one side, as its events tell.
#[derive(Default)]
struct Side {
    open: Vec<CallId>,
    ended: Vec<CallId>,
}

impl Side {
    fn note(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Incoming { call, .. } => self.open.push(call),
                Event::Ended { call, .. } | Event::Failed { call, .. } => {
                    assert!(!self.ended.contains(&call), "{call:?} ends twice");
                    self.ended.push(call);
                }
                Event::Answered { call, .. } | Event::Confirmed { call, .. } | Event::Offer { call, .. } => {
                    assert!(!self.ended.contains(&call), "{call:?} goes on after its end");
                }
                _ => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_story_ends(
        steps in proptest::collection::vec(step(), 1..40),
        loss in prop_oneof![Just(0_u32), Just(100), Just(300)],
        delay in 0_u64..400,
        transport in prop_oneof![2 => Just(Transport::Udp), 1 => Just(Transport::Tcp)],
        luck: u8,
    ) {
        let mut network = Network::pair();
        network.loss = loss;
        network.delay = Duration::from_millis(delay);
        network.luck = offhook_sip::Tokens::new([luck; 32]);
        let mut sides = [Side::default(), Side::default()];
        for step in steps {
            let n = |right: bool| if right { 2_u8 } else { 1 };
            match step {
                Step::Pass(milliseconds) => {
                    network.pass(Duration::from_millis(u64::from(milliseconds)));
                    for (at, side) in sides.iter_mut().enumerate() {
                        side.note(network.events(u8::try_from(at).unwrap() + 1));
                    }
                }
                Step::Call(right) => {
                    let (from, to) = (n(right), n(!right));
                    let (endpoint, now) = network.endpoint(from);
                    let target = target(transport, from, address(to));
                    sides[usize::from(right)].open.push(endpoint.place_call(order(vec![target]), now).unwrap());
                }
                Step::Act(right, what) => {
                    if let Some(&call) = sides[usize::from(right)].open.last() {
                        let (endpoint, now) = network.endpoint(n(right));
                        act(endpoint, what, call, now);
                    }
                }
            }
        }
        network.pass(Duration::from_secs(5));
        for (at, side) in sides.iter_mut().enumerate() {
            let n = u8::try_from(at).unwrap() + 1;
            side.note(network.events(n));
            for call in side.open.clone() {
                let (endpoint, now) = network.endpoint(n);
                let _ = endpoint.hang_up(call, now);
            }
        }
        // A side that never heard of the end finds out by its session timer.
        network.pass(Duration::from_secs(4000));
        for (at, side) in sides.iter_mut().enumerate() {
            side.note(network.events(u8::try_from(at).unwrap() + 1));
        }
        for (at, endpoint) in &network.endpoints {
            prop_assert!(endpoint.is_idle(), "{} keeps something: {} calls", at, endpoint.calls());
        }
    }
}
