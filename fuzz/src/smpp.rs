//! What comes over SMPP.

use std::time::{Duration, Instant};

use offhook_smpp::{
    Bind, Body, Coding, Esme, Event, Fragment, Frame, FrameReader, Message, Mode, Pdu, Receipt, SessionSettings,
    Status, Tlvs, Udh, decode, encode,
};

/// Frames are the same however the stream is cut, and what is read and written again reads the same.
pub fn pdu(bytes: &[u8]) {
    let whole = frames(bytes, bytes.len().max(1));
    assert_eq!(frames(bytes, 7), whole, "the pieces of a stream made a difference");
    for frame in whole {
        let Ok(pdu) = frame.read() else { continue };
        let again = reread(&pdu);
        // Texts too long for their field are cut when they are written, and an error leaves its body out; once more must
        // change nothing.
        assert_eq!(reread(&again), again, "{pdu:?}");
        if let Body::SubmitSm(message) | Body::DeliverSm(message) | Body::DataSm(message) = &pdu.body {
            let _ = (message.payload(), message.is_receipt(), Fragment::of(message), Receipt::read(message));
        }
    }
}

fn frames(bytes: &[u8], piece: usize) -> Vec<Frame> {
    let (mut reader, mut all) = (FrameReader::default(), Vec::new());
    for piece in bytes.chunks(piece) {
        reader.push(piece);
        while let Ok(Some(frame)) = reader.next_frame() {
            all.push(frame);
        }
    }
    all
}

fn reread(pdu: &Pdu) -> Pdu {
    let mut octets = Vec::new();
    pdu.write(&mut octets);
    let mut reader = FrameReader::default();
    reader.push(&octets);
    let frame = reader.next_frame().expect("what we write is a frame").expect("and whole");
    let read = frame.read().expect("what we write can be read");
    assert!(matches!(reader.next_frame(), Ok(None)), "something stands behind what we wrote");
    read
}

/// A session that is told anything: it never has more submissions lost than were given to it, and stays usable.
pub fn session(bytes: &[u8]) {
    let bind = Bind {
        mode: Mode::Transceiver,
        system_id: "us".to_owned(),
        password: "secret".to_owned(),
        system_type: String::new(),
        interface_version: 0x34,
        address_range: String::new(),
    };
    let settings = SessionSettings {
        bind,
        window: 4,
        response_timeout: Duration::from_secs(10),
        enquire_every: Duration::from_secs(30),
        most_arrived: 4,
    };
    let mut now = Instant::now();
    let mut session = Esme::new(settings, now);
    let mut open = 0_u64;
    let mut token = 0;
    'pieces: for piece in bytes.chunks(61) {
        now += Duration::from_millis(u64::from(piece[0]) * 20);
        if session.receive(piece, now).is_err() || session.tick(now).is_err() {
            break 'pieces;
        }
        let put = session.output().len();
        session.wrote(put.min(usize::from(piece[0])));
        while let Some(event) = session.next_event() {
            match event {
                Event::Answered { token: of, .. } => assert!(of < token, "an answer to what was never asked"),
                Event::Overdue { token: of } => assert!(of < token, "what was never asked is overdue"),
                Event::Arrived { request, .. } => session.answer(request, Status::ROK),
                _ => {}
            }
        }
        while session.room() > 0 && open < 64 {
            session.submit(token, Message::default(), now);
            (token, open) = (token + 1, open + 1);
        }
    }
    let lost = session.lost();
    assert!(lost.len() as u64 <= token && lost.iter().all(|one| one.token < token), "{lost:?}");
}

/// A header ends within its text, and a part has a place in its whole.
pub fn udh(bytes: &[u8]) {
    let read = Udh::read(bytes);
    assert_eq!(read.length + read.text.len(), bytes.len());
    let message = Message { esm_class: 0x40, short_message: bytes.to_vec(), ..Message::default() };
    let in_tags = Message { tlvs: Tlvs::read(bytes), ..Message::default() };
    for part in [read.concatenation, Fragment::of(&message), Fragment::of(&in_tags)].into_iter().flatten() {
        assert!(part.total > 1 && (1..=part.total).contains(&part.number), "{part:?}");
    }
}

/// The first octet decides how much of the rest is text; what stands behind that is tags.
pub fn receipt(bytes: &[u8]) {
    let Some((cut, rest)) = bytes.split_first() else { return };
    let (text, tags) = rest.split_at(usize::from(*cut).min(rest.len()));
    for esm_class in [0x04, 0x20] {
        let tlvs = Tlvs::read(tags);
        let message = Message { esm_class, short_message: text.to_vec(), tlvs, ..Message::default() };
        if let Some(receipt) = Receipt::read(&message) {
            assert!(!receipt.message_id.is_empty());
        }
    }
}

/// The first octet is the length of a header. What is read of the alphabet can be said in it again, and reads the same.
pub fn gsm7(bytes: &[u8]) {
    let Some((header, octets)) = bytes.split_first() else { return };
    let header = usize::from(*header);
    for coding in [Coding::Gsm7, Coding::Gsm7Packed, Coding::Latin1, Coding::Ucs2] {
        let text = decode(octets, coding, header);
        if coding.has_all(&text) {
            let again = decode(&encode(&text, coding, header), coding, header);
            // A last `@` or carriage return can't be told from padding where septets are packed.
            let end: &[char] = if coding == Coding::Gsm7Packed { &['@', '\r'] } else { &[] };
            assert_eq!(again.trim_end_matches(end), text.trim_end_matches(end), "{coding:?}");
        }
    }
}
