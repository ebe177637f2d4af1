//! Calls from one node to another.

use offhook_voice::signalling::{LegEvent, LegOrder, SipEnded, Strangers, Transport};

use crate::{Node, SDP, next, until};

async fn a_call_over(transport: Transport) {
    let mut callee = Node::open(Strangers::Welcome).await;
    let caller = Node::open(Strangers::Ignored).await;
    let mut ours = caller.place(callee.trunk(transport)).await;
    let mut arrived = callee.arrives().await;
    assert_eq!((arrived.from.as_str(), arrived.to.as_str()), ("+14155550100", "+14155550142"));
    assert_eq!(arrived.offer.as_deref(), Some(SDP.as_bytes()));
    arrived.leg.order(LegOrder::Ring);
    assert_eq!(next(&mut ours).await, LegEvent::Progress { status: 180, answer: None });
    arrived.leg.order(LegOrder::Accept(SDP.into()));
    assert_eq!(next(&mut ours).await, LegEvent::Answered { answer: Some(SDP.into()) });
    assert_eq!(next(&mut arrived.leg).await, LegEvent::Confirmed { answer: None });
    ours.order(LegOrder::HangUp);
    assert_eq!(next(&mut ours).await, LegEvent::Ended(SipEnded::ByUs));
    assert_eq!(next(&mut arrived.leg).await, LegEvent::Ended(SipEnded::ByThem(None)));
}

#[tokio::test]
async fn a_call_over_datagrams() {
    a_call_over(Transport::Udp).await;
}

#[tokio::test]
async fn a_call_over_a_stream() {
    a_call_over(Transport::Tcp).await;
}

#[tokio::test]
async fn a_call_over_a_stream_that_nobody_else_reads() {
    // The callee's certificate must be known before the caller is opened.
    a_call_over(Transport::Tls).await;
}

#[tokio::test]
async fn a_call_is_refused_and_taken_back() {
    let mut callee = Node::open(Strangers::Welcome).await;
    let caller = Node::open(Strangers::Ignored).await;
    let mut refused = caller.place(callee.trunk(Transport::Udp)).await;
    let arrived = callee.arrives().await;
    arrived.leg.order(LegOrder::Reject(486));
    assert_eq!(next(&mut refused).await, LegEvent::Failed { status: 486 });

    let taken_back = caller.place(callee.trunk(Transport::Udp)).await;
    let mut arrived = callee.arrives().await;
    arrived.leg.order(LegOrder::Ring);
    drop(taken_back);
    assert_eq!(next(&mut arrived.leg).await, LegEvent::Ended(SipEnded::Cancelled));
}

#[tokio::test]
async fn a_leg_that_nobody_leads_is_refused_or_hung_up() {
    let mut callee = Node::open(Strangers::Welcome).await;
    let caller = Node::open(Strangers::Ignored).await;
    let mut ours = caller.place(callee.trunk(Transport::Udp)).await;
    drop(callee.arrives().await);
    assert_eq!(next(&mut ours).await, LegEvent::Failed { status: 500 });

    let mut ours = caller.place(callee.trunk(Transport::Udp)).await;
    let mut arrived = callee.arrives().await;
    arrived.leg.order(LegOrder::Accept(SDP.into()));
    until(&mut arrived.leg, |event| matches!(event, LegEvent::Confirmed { .. })).await;
    drop(arrived);
    until(&mut ours, |event| matches!(event, LegEvent::Answered { .. })).await;
    assert_eq!(next(&mut ours).await, LegEvent::Ended(SipEnded::ByThem(None)));
}

#[tokio::test]
async fn a_stop_says_what_is_still_to_be_said() {
    let mut callee = Node::open(Strangers::Welcome).await;
    let caller = Node::open(Strangers::Ignored).await;
    let mut ours = caller.place(callee.trunk(Transport::Udp)).await;
    let mut arrived = callee.arrives().await;
    arrived.leg.order(LegOrder::Accept(SDP.into()));
    until(&mut arrived.leg, |event| matches!(event, LegEvent::Confirmed { .. })).await;
    callee.stop.cancel();
    arrived.leg.order(LegOrder::HangUp);
    until(&mut ours, |event| matches!(event, LegEvent::Answered { .. })).await;
    assert_eq!(next(&mut ours).await, LegEvent::Ended(SipEnded::ByThem(None)));
    drop(arrived);
    callee.tasks.close();
    crate::within(callee.tasks.wait()).await;
}

#[tokio::test]
async fn a_burst_of_calls_is_no_attack() {
    let mut callee = Node::open(Strangers::Ignored).await;
    let caller = Node::open(Strangers::Ignored).await;
    let mut known = callee.trunk(Transport::Udp);
    known.ways_in = vec![(vec!["127.0.0.0/8".parse().unwrap()], None)];
    callee.signalling.set_trunks(vec![known]);
    let mut legs = Vec::new();
    for _ in 0..300 {
        legs.push(caller.place(callee.trunk(Transport::Udp)).await);
    }
    let mut arrived = Vec::new();
    for _ in 0..300 {
        let one = callee.arrives().await;
        assert_eq!(one.trunks, ["out"]);
        one.leg.order(LegOrder::Accept(SDP.into()));
        arrived.push(one);
    }
    for leg in &mut legs {
        until(leg, |event| matches!(event, LegEvent::Answered { .. })).await;
    }
}
