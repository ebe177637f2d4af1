//! The parser against whatever may come: it never panics, what it writes it reads, and streams are cut where they should.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use offhook_sip::message::{
    Framer, Framing, HeaderName, Host, Limits, Message, Method, NameAddr, Request, SipUri, Uri, Via, parse,
};
use proptest::prelude::*;

const INVITE: &str = "INVITE sip:bob@biloxi.example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP pc33.atlanta.example.com;branch=z9hG4bKnashds8;rport\r\n\
    Max-Forwards: 70\r\n\
    To: Bob <sip:bob@biloxi.example.com>\r\n\
    From: Alice <sip:alice@atlanta.example.com>;tag=1928301774\r\n\
    Call-ID: a84b4c76e66710\r\n\
    CSeq: 314159 INVITE\r\n\
    Contact: <sip:alice@pc33.atlanta.example.com>\r\n\
    Content-Type: application/sdp\r\n\
    Content-Length: 4\r\n\r\nv=0\n";

#[test]
fn ipv6_addresses_are_read_and_written() {
    let text =
        INVITE.replace("pc33.atlanta.example.com;branch", "[2001:db8::9:1]:5062;received=2001:db8::9:255;branch");
    let message = parse(text.as_bytes()).unwrap();
    let via = &message.envelope().via[0];
    assert_eq!((via.host.to_string().as_str(), via.port), ("[2001:db8::9:1]", Some(5062)));
    assert_eq!(via.received(), Some("2001:db8::9:255".parse().unwrap()));
    assert!(Uri::parse("sip:[2001:db8::10").is_err());
    assert!(Uri::parse("sip:2001:db8::10").is_err());
}

#[test]
fn uris_compare_as_the_rfc_says() {
    let same = |left: &str, right: &str| {
        let (left, right) = (Uri::parse(left).unwrap(), Uri::parse(right).unwrap());
        left.as_sip().unwrap().is_equivalent(right.as_sip().unwrap())
    };
    // The examples of §19.1.4.
    assert!(same("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"));
    assert!(same("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"));
    assert!(same("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"));
    assert!(same(
        "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
        "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com"
    ));
    assert!(!same("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"));
    assert!(!same("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"));
    assert!(!same("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"));
    assert!(!same("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"));
    assert!(!same("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"));
    assert!(!same("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"));
}

#[test]
fn the_callee_is_a_number_however_it_is_written() {
    for text in [
        "sip:+15551234567@trunk.example.com",
        "sip:+15551234567;npdi@trunk.example.com;user=phone",
        "tel:+15551234567",
        "tel:+15551234567;phone-context=example.com",
        "sips:%2B15551234567@trunk.example.com",
    ] {
        assert_eq!(Uri::parse(text).unwrap().callee().as_deref(), Some("+15551234567"), "{text}");
    }
    assert_eq!(Uri::parse("sip:trunk.example.com").unwrap().callee(), None);
}

#[test]
fn no_value_of_ours_can_begin_a_line() {
    let Message::Request(mut invite) = parse(INVITE.as_bytes()).unwrap() else { panic!() };
    invite.headers.push(HeaderName::Subject, "hello\r\nVia: SIP/2.0/UDP evil.example.com");
    invite.envelope.from = invite.envelope.from.clone().with_display("a\r\nb\"\\");
    let text = String::from_utf8(invite.to_bytes()).unwrap();
    assert_eq!(text.matches("\r\nVia:").count(), 1, "{text}");
    assert!(text.contains("Subject: hello  Via"), "{text}");
    let head = text.split("\r\n\r\n").next().unwrap();
    assert!(!head.replace("\r\n", "").contains(['\r', '\n']), "{text}");
}

#[test]
fn a_stream_is_cut_where_content_length_says() {
    for step in [1, 2, 3, 7, 100, 5000] {
        let mut framer = Framer::default();
        let twice = [INVITE, "\r\n\r\n", INVITE, INVITE].concat();
        let mut found = Vec::new();
        for piece in twice.as_bytes().chunks(step) {
            framer.push(piece);
            loop {
                match framer.next_frame() {
                    Framing::Message(bytes) => found.push(bytes),
                    Framing::Ping => found.push(Vec::new()),
                    Framing::Unfinished => break,
                    Framing::Broken(_) => panic!("in steps of {step}"),
                }
            }
        }
        let lengths: Vec<usize> = found.iter().map(Vec::len).collect();
        assert_eq!(lengths, [INVITE.len(), 0, INVITE.len(), INVITE.len()], "in steps of {step}");
        assert!(framer.is_empty());
    }
}

#[test]
fn a_stream_that_never_ends_is_cut_off() {
    let mut framer = Framer::new(Limits { head: 1000, body: 1000 });
    framer.push("OPTIONS sip:x@example.com SIP/2.0\r\nSubject: ".as_bytes());
    assert_eq!(framer.next_frame(), Framing::Unfinished);
    framer.push(&[b'a'; 1000]);
    assert!(matches!(framer.next_frame(), Framing::Broken(_)));
    let mut framer = Framer::new(Limits { head: 1000, body: 1000 });
    framer.push(INVITE.replace("Content-Length: 4", "Content-Length: 4000").as_bytes());
    assert!(matches!(framer.next_frame(), Framing::Broken(_)));
    let mut framer = Framer::default();
    framer.push(INVITE.replace("Content-Length: 4\r\n", "").as_bytes());
    assert!(matches!(framer.next_frame(), Framing::Broken(_)));
}

fn printable() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>().prop_filter("no line breaks", |c| *c != '\r' && *c != '\n'), 0..12)
        .prop_map(|chars| chars.into_iter().collect())
}

fn token() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9.!%*_+`'~-]{1,12}"
}

fn host() -> impl Strategy<Value = Host> {
    prop_oneof![
        "[a-z][a-z0-9]{0,8}(\\.[a-z][a-z0-9]{0,5}){0,2}".prop_map(Host::Name),
        any::<[u8; 4]>().prop_map(|octets| Host::Ip(std::net::Ipv4Addr::from(octets).into())),
        any::<[u8; 16]>().prop_map(|octets| Host::Ip(std::net::Ipv6Addr::from(octets).into())),
    ]
}

prop_compose! {
    fn sip_uri()(
        secure: bool,
        user in proptest::option::of(any::<String>().prop_filter("not empty", |user| !user.is_empty())),
        host in host(),
        port: Option<u16>,
        params in proptest::collection::vec(("[a-z]{1,8}", proptest::option::of("[a-z0-9/:+$-]{1,8}")), 0..3),
    ) -> SipUri {
        SipUri { secure, params, ..SipUri::new(user.as_deref(), host, port) }
    }
}

prop_compose! {
    fn name_addr()(
        uri in sip_uri(),
        display in proptest::option::of(printable()),
        tag in proptest::option::of(token()),
        quoted in proptest::option::of(printable()),
    ) -> NameAddr {
        let mut address = NameAddr::new(uri);
        // A quoted-pair escapes ASCII only, but other control characters need none.
        address.display = display;
        if let Some(tag) = tag {
            address.params.set("tag", Some(&tag));
        }
        if let Some(quoted) = quoted {
            address.params.set("x", Some(&quoted));
        }
        address
    }
}

prop_compose! {
    fn any_request()(
        method in prop_oneof![Just(Method::Invite), Just(Method::Bye), token().prop_map(|t| Method::parse(&t).unwrap())],
        uri in sip_uri(),
        from in name_addr(),
        to in name_addr(),
        contact in name_addr(),
        call_id in token(),
        sequence in 0_u32..(1 << 31),
        via_host in host(),
        subject in "[ -~]{0,30}",
        body in proptest::collection::vec(any::<u8>(), 0..60),
    ) -> Request {
        let mut request = Request::new(method, uri.into(), from, to, &call_id, sequence);
        let via = Via { transport: "UDP".to_owned(), host: via_host, port: Some(5060), params: Default::default() };
        request.envelope.via.push(via);
        request.headers.push(HeaderName::Contact, contact.to_string());
        request.headers.push(HeaderName::Subject, subject);
        request.set_body("application/octet-stream", body);
        request
    }
}

proptest! {
    #[test]
    fn whatever_comes_nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes);
        let mut framer = Framer::default();
        framer.push(&bytes);
        for _ in 0..bytes.len() {
            if framer.next_frame() == Framing::Unfinished {
                break;
            }
        }
    }

    #[test]
    fn a_mutilated_message_is_read_or_refused(
        changes in proptest::collection::vec((0..INVITE.len(), any::<u8>()), 1..6),
        cut in 0..INVITE.len(),
    ) {
        let mut bytes = INVITE.as_bytes().to_vec();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        for bytes in [&bytes[..], &bytes[..cut]] {
            match parse(bytes) {
                Ok(message) => prop_assert_eq!(parse(&message.to_bytes()), Ok(message)),
                Err(offhook_sip::message::Refused::Answered(refused)) => {
                    if let Some(answer) = refused.answer() {
                        prop_assert!(answer.ends_with(b"\r\n\r\n"));
                        prop_assert_eq!(answer.windows(4).filter(|four| *four == b"\r\n\r\n").count(), 1);
                    }
                }
                Err(_) => {}
            }
        }
    }

    #[test]
    fn what_is_written_reads_back(request in any_request()) {
        let bytes = request.to_bytes();
        prop_assert_eq!(parse(&bytes), Ok(Message::Request(request)), "{}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_text_is_a_uri_that_writes_itself_or_none(text in "(sip|sips|tel):[ -~]{0,40}") {
        if let Ok(uri) = Uri::parse(&text) {
            prop_assert_eq!(Uri::parse(&uri.to_string()), Ok(uri));
        }
    }
}
