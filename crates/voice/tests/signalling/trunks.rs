//! Trunks: who is let in, where calls go, and what does not work.

use offhook_voice::signalling::{
    Credentials, LegEvent, LegOrder, PlaceError, PlaceOrder, Strangers, Transport, Trunk, TrunkRegistration,
};

use crate::{Node, SDP, next, trunk_to, within};

fn login(password: &str) -> Credentials {
    Credentials { username: "pbx".to_owned(), password: password.to_owned() }
}

/// A trunk of the callee that wants a login.
fn guarded() -> Trunk {
    Trunk { name: "pbx".to_owned(), ways_in: vec![(Vec::new(), Some(login("secret")))], ..trunk_to(&[]) }
}

#[tokio::test]
async fn who_proves_himself_is_let_in() {
    let mut callee = Node::open(Strangers::Ignored).await;
    callee.signalling.set_trunks(vec![guarded()]);
    let caller = Node::open(Strangers::Ignored).await;
    let out = Trunk { credentials: Some(login("secret")), ..callee.trunk(Transport::Udp) };
    let _ours = caller.place(out).await;
    assert_eq!(callee.arrives().await.trunks, ["pbx"]);

    let wrong = Trunk { credentials: Some(login("guess")), ..callee.trunk(Transport::Udp) };
    let mut refused = caller.place(wrong).await;
    let event = next(&mut refused).await;
    assert!(matches!(event, LegEvent::Failed { status: 401 | 403 }), "{event:?}");
}

#[tokio::test]
async fn the_next_address_is_called_where_the_first_is_broken() {
    let mut broken = Node::open(Strangers::Welcome).await;
    let mut good = Node::open(Strangers::Welcome).await;
    let caller = Node::open(Strangers::Ignored).await;
    let mut ours = caller.place(trunk_to(&[&broken.uri(Transport::Udp), &good.uri(Transport::Udp)])).await;
    broken.arrives().await.leg.order(LegOrder::Reject(503));
    let arrived = good.arrives().await;
    arrived.leg.order(LegOrder::Accept(SDP.into()));
    assert_eq!(next(&mut ours).await, LegEvent::Answered { answer: Some(SDP.into()) });
}

#[tokio::test]
async fn a_trunk_that_leads_nowhere_says_so() {
    let caller = Node::open(Strangers::Ignored).await;
    for uri in ["sip:nobody.invalid", "tel:+14155550142", "garbage"] {
        let (from, to) = ("+14155550100".to_owned(), "+14155550142".to_owned());
        let order = PlaceOrder { trunk: trunk_to(&[uri]), from, to, ring_for: std::time::Duration::from_secs(5) };
        let placed = within(caller.signalling.place(order, |_, _| SDP.into())).await;
        assert!(matches!(placed, Err(PlaceError::NoTarget(_))), "{uri}");
    }
}

#[tokio::test]
async fn an_address_is_asked_whether_anybody_is_there() {
    let (there, silent) = (Node::open(Strangers::Welcome).await, std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    let caller = Node::open(Strangers::Ignored).await;
    let nobody = format!("sip:{}", silent.local_addr().unwrap());
    let uris = [&*there.uri(Transport::Udp), &there.uri(Transport::Tls), &nobody, "sip:nobody.invalid"];
    let pinged = caller.signalling.ping(&trunk_to(&uris), std::time::Duration::from_secs(2)).await;
    let mut told: Vec<_> = pinged.iter().map(|one| (&*one.uri, one.remote.is_some(), one.status)).collect();
    // A name may have addresses of a family on which nobody listens.
    told.dedup();
    let wanted =
        [(uris[0], true, Some(200)), (uris[1], true, Some(200)), (uris[2], true, None), (uris[3], false, None)];
    assert_eq!(told, wanted);
}

#[tokio::test]
async fn a_registrar_that_refuses_is_told_of() {
    let registrar = Node::open(Strangers::Refused).await;
    let client = Node::open(Strangers::Ignored).await;
    let registration = TrunkRegistration {
        registrar: registrar.uri(Transport::Udp),
        address_of_record: "sip:pbx@127.0.0.1".to_owned(),
        expires: std::time::Duration::from_secs(300),
    };
    client.signalling.set_trunks(vec![Trunk { registration: Some(registration), ..registrar.trunk(Transport::Udp) }]);
    within(async {
        loop {
            let known = client.signalling.registrations();
            if known.first().is_some_and(|status| status.status >= 400) {
                assert!(!known[0].registered);
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}
