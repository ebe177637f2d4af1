use proptest::prelude::*;

use super::*;
use crate::pdu::Address;

const SECOND: Duration = Duration::from_secs(1);

fn settings() -> SessionSettings {
    let bind = Bind {
        mode: Mode::Transceiver,
        system_id: "us".to_owned(),
        password: "secret".to_owned(),
        system_type: String::new(),
        interface_version: 0x34,
        address_range: String::new(),
    };
    SessionSettings { bind, window: 2, response_timeout: 10 * SECOND, enquire_every: 30 * SECOND, most_arrived: 2 }
}

fn octets(pdu: &Pdu) -> Vec<u8> {
    let mut out = Vec::new();
    pdu.write(&mut out);
    out
}

/// What the session put out, read and written.
fn said(session: &mut Esme) -> Vec<Pdu> {
    let mut reader = FrameReader::default();
    reader.push(session.output());
    session.wrote(session.output().len());
    std::iter::from_fn(|| reader.next_frame().unwrap()).map(|frame| frame.read().unwrap()).collect()
}

fn bound(now: Instant) -> Esme {
    let mut session = Esme::new(settings(), now);
    let bind = said(&mut session).remove(0);
    assert!(matches!(bind.body, Body::Bind(_)));
    let body = Body::BindResp { mode: Mode::Transceiver, system_id: "them".to_owned() };
    session.receive(&octets(&Pdu::response(1, Status::ROK, body)), now).unwrap();
    assert_eq!(session.next_event(), Some(Event::Bound { system_id: "them".to_owned() }));
    session
}

fn answer(sequence: u32, status: Status, id: &str) -> Vec<u8> {
    octets(&Pdu::response(sequence, status, Body::SubmitSmResp { message_id: id.to_owned() }))
}

fn brought(sequence: u32) -> Vec<u8> {
    let message = Message { destination: Address::new(1, 1, "14155550100"), ..Message::default() };
    octets(&Pdu::request(sequence, Body::DeliverSm(Box::new(message))))
}

#[test]
fn answers_come_in_any_order_and_make_room() {
    let now = Instant::now();
    let mut session = bound(now);
    session.submit(70, Message::default(), now);
    session.submit(71, Message::default(), now);
    assert_eq!(session.room(), 0);
    session.receive(&answer(3, Status::ROK, "b"), now).unwrap();
    session.receive(&answer(2, Status::RTHROTTLED, ""), now).unwrap();
    let answered =
        |token, status, id: &str| Some(Event::Answered { token, status, message_id: id.to_owned(), late: false });
    assert_eq!(session.next_event(), answered(71, Status::ROK, "b"));
    assert_eq!(session.next_event(), answered(70, Status::RTHROTTLED, ""));
    assert_eq!(session.room(), 2);
}

#[test]
fn what_was_not_wholly_written_can_not_have_been_taken() {
    let now = Instant::now();
    let mut session = bound(now);
    session.submit(1, Message::default(), now);
    let first = session.output().len();
    session.submit(2, Message::default(), now);
    session.wrote(first);
    session.wrote(session.output().len() - 1);
    let lost = session.lost();
    assert_eq!(lost, [Lost { token: 1, was_written: true }, Lost { token: 2, was_written: false }]);
    session.wrote(1);
    assert!(session.lost().iter().all(|lost| lost.was_written));
}

#[test]
fn an_answer_may_come_when_nobody_waits_for_it_any_more() {
    let now = Instant::now();
    let mut session = bound(now);
    session.submit(5, Message::default(), now);
    session.tick(now + 10 * SECOND).unwrap();
    assert_eq!(session.next_event(), Some(Event::Overdue { token: 5 }));
    assert_eq!(session.room(), 2, "the window is not clogged by it");
    session.receive(&answer(2, Status::ROK, "x"), now + 11 * SECOND).unwrap();
    let late = Event::Answered { token: 5, status: Status::ROK, message_id: "x".to_owned(), late: true };
    assert_eq!(session.next_event(), Some(late));
    session.receive(&answer(2, Status::ROK, "x"), now + 11 * SECOND).unwrap();
    assert_eq!(session.next_event(), None, "and only once");
}

#[test]
fn a_silent_peer_is_asked_and_then_given_up() {
    let now = Instant::now();
    let mut session = bound(now);
    assert_eq!(session.next_deadline(), now + 30 * SECOND);
    session.tick(now + 30 * SECOND).unwrap();
    assert!(matches!(said(&mut session)[..], [Pdu { body: Body::EnquireLink, sequence: 2, .. }]));
    session.receive(&octets(&Pdu::response(2, Status::ROK, Body::EnquireLinkResp)), now + 31 * SECOND).unwrap();
    session.tick(now + 61 * SECOND).unwrap();
    assert_eq!(said(&mut session).len(), 1);
    assert_eq!(session.tick(now + 71 * SECOND), Err(Broken::Silent));
}

#[test]
fn what_is_brought_is_answered_when_we_have_it() {
    let now = Instant::now();
    let mut session = bound(now);
    for sequence in 7..10 {
        session.receive(&brought(sequence), now).unwrap();
    }
    let turned_away = said(&mut session);
    assert_eq!(turned_away.iter().map(|pdu| (pdu.sequence, pdu.status)).collect::<Vec<_>>(), [(9, Status::RX_T_APPN)]);
    let Some(Event::Arrived { request, .. }) = session.next_event() else { panic!("it arrived") };
    session.answer(request, Status::ROK);
    assert!(matches!(said(&mut session)[..], [Pdu { sequence: 7, status: Status::ROK, .. }]));
}

#[test]
fn the_peer_proves_what_it_has_read() {
    let now = Instant::now();
    for leaving in [false, true] {
        let mut session = bound(now);
        session.receive(&brought(7), now).unwrap();
        let Some(Event::Arrived { request, .. }) = session.next_event() else { panic!("it arrived") };
        session.answer(request, Status::ROK);
        let end = session.put_out();
        session.receive(&brought(8), now).unwrap();
        assert!(session.proven() < end, "that it says something proves nothing");
        if leaving {
            session.unbind(now)
        } else {
            session.probe(now)
        }
        let body = if leaving { Body::UnbindResp } else { Body::EnquireLinkResp };
        session.receive(&octets(&Pdu::response(2, Status::ROK, body)), now).unwrap();
        assert!(session.proven() >= end);
    }
}

#[test]
fn what_makes_no_sense_is_refused_and_harms_nothing_else() {
    let now = Instant::now();
    let mut session = bound(now);
    let mut cut_short = brought(7);
    cut_short.truncate(30);
    cut_short[3] = 30;
    session.receive(&cut_short, now).unwrap();
    session.receive(&octets(&Pdu::request(8, Body::Other { command_id: 0x77 })), now).unwrap();
    session.receive(&octets(&Pdu::request(9, Body::AlertNotification)), now).unwrap();
    session.receive(&octets(&Pdu::request(10, Body::EnquireLink)), now).unwrap();
    let answers = said(&mut session);
    let answers: Vec<_> = answers.iter().map(|pdu| (pdu.sequence, pdu.status, pdu.body.command_id())).collect();
    let expected =
        [(7, Status::RX_P_APPN, 0x8000_0005), (8, Status::RINVCMDID, 0x8000_0000), (10, Status::ROK, 0x8000_0015)];
    assert_eq!(answers, expected);
    assert_eq!(session.receive(b"HTTP/1.1 400 Bad Request\r\n", now), Err(Broken::Garbage(Garbage(0x4854_5450))));
}

#[test]
fn either_side_may_take_leave() {
    let now = Instant::now();
    let mut session = bound(now);
    session.unbind(now);
    assert_eq!(session.room(), 0);
    session.receive(&octets(&Pdu::response(2, Status::ROK, Body::UnbindResp)), now).unwrap();
    assert_eq!(session.next_event(), Some(Event::Unbound));
    let mut session = bound(now);
    session.receive(&octets(&Pdu::request(5, Body::Unbind)), now).unwrap();
    assert_eq!(session.next_event(), Some(Event::Unbound));
    assert!(matches!(said(&mut session)[..], [Pdu { body: Body::UnbindResp, sequence: 5, .. }]));
}

proptest! {
    /// However the peer's octets are cut and whatever they are, the session answers or ends; it does not panic.
    #[test]
    fn any_octets_are_survived(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..20)) {
        let now = Instant::now();
        let mut session = bound(now);
        for piece in pieces {
            if session.receive(&piece, now).is_err() {
                break;
            }
        }
    }

    /// Nor does it where every frame is whole and what stands in it is noise.
    #[test]
    fn any_bodies_are_survived(
        frames in proptest::collection::vec(
            (0_u32..0x120, any::<bool>(), 0_u32..3, proptest::collection::vec(any::<u8>(), 0..80)), 0..20
        )
    ) {
        let now = Instant::now();
        let mut session = bound(now);
        session.submit(1, Message::default(), now);
        for (id, is_response, status, body) in frames {
            let id = if is_response { id | command::RESPONSE } else { id };
            let mut frame = Vec::new();
            frame.extend((16 + body.len() as u32).to_be_bytes());
            [id, status, 2].iter().for_each(|word| frame.extend(word.to_be_bytes()));
            frame.extend(body);
            session.receive(&frame, now).unwrap();
        }
        while session.next_event().is_some() {}
    }
}
