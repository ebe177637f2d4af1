//! All messages of RFC 4475. The valid ones are read as the RFC says; the invalid ones are refused with the status that it
//! names, or ignored where nothing may be sent. What needs more than a parser (§3.2 to §3.4) is tried in `torture_ua.rs`.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::path::PathBuf;

use offhook_sip::message::{
    Contacts, Framer, Framing, HeaderName, Message, Method, Refused, Request, Response, Uri, parse,
};

fn bytes(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/torture").join(format!("{name}.dat"));
    std::fs::read(path).unwrap()
}

fn request(name: &str) -> Request {
    match parse(&bytes(name)) {
        Ok(Message::Request(request)) => request,
        other => panic!("{name}: {other:?}"),
    }
}

fn response(name: &str) -> Response {
    match parse(&bytes(name)) {
        Ok(Message::Response(response)) => response,
        other => panic!("{name}: {other:?}"),
    }
}

fn extension(name: &str) -> HeaderName {
    HeaderName::parse(name).unwrap()
}

#[test]
fn there_are_all_of_them() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/torture");
    let dat = |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|ext| ext == "dat");
    assert_eq!(std::fs::read_dir(folder).unwrap().map(Result::unwrap).filter(dat).count(), 49);
}

#[test]
fn what_is_read_is_written_and_reads_the_same() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/torture");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if let Ok(message) = parse(&std::fs::read(&path).unwrap()) {
            assert_eq!(parse(&message.to_bytes()).unwrap(), message, "{}", path.display());
            read += 1;
        }
    }
    assert!(read >= 13, "only {read} were read");
}

/// 3.1.1.1
#[test]
fn a_short_tortuous_invite() {
    let invite = request("wsinv");
    assert_eq!(invite.uri.as_sip().unwrap().param("unknownparam"), Some(""));
    assert_eq!(invite.envelope.to.tag(), Some("1918181833n"));
    assert_eq!(invite.envelope.from.display.as_deref(), Some("J Rosenberg \\\""));
    assert_eq!(invite.envelope.from.tag(), Some("98asjd8"));
    assert_eq!(invite.headers.max_forwards(), Ok(Some(68)));
    assert_eq!(invite.envelope.cseq.sequence, 9);
    let hops: Vec<String> = invite.envelope.via.iter().map(ToString::to_string).collect();
    assert_eq!(
        hops,
        [
            "SIP/2.0/UDP 192.0.2.2;branch=390skdjuw",
            "SIP/2.0/TCP spindle.example.com;branch=z9hG4bK9ikj8",
            "SIP/2.0/UDP 192.168.255.111;branch=z9hG4bK30239",
        ]
    );
    assert_eq!(invite.headers.get(&HeaderName::Subject), Some(""));
    assert_eq!(invite.headers.get(&extension("newfangledheader")), Some("newfangled value continued newfangled value"));
    assert_eq!(invite.headers.get(&extension("UnknownHeaderWithUnusualValue")), Some(";;,,;;,;"));
    let routes = invite.headers.routes(&HeaderName::Route).unwrap();
    assert_eq!(routes[0].uri.as_sip().unwrap().param("lr"), Some(""));
    let contacts = invite.headers.contacts().unwrap();
    let contact = contacts.only().unwrap();
    assert_eq!(contact.display.as_deref(), Some("Quoted string \"\""));
    assert_eq!(contact.params.get("newparam"), Some("newvalue"));
    assert_eq!(contact.params.get("secondparam"), Some(""));
    assert_eq!(contact.params.get("q"), Some("0.33"));
    assert_eq!(invite.body.len(), 150);
}

/// 3.1.1.2
#[test]
fn a_wide_range_of_valid_characters() {
    let odd = request("intmeth");
    assert_eq!(odd.method.as_str(), "!interesting-Method0123456789_*+`.%indeed'~");
    let uri = odd.uri.as_sip().unwrap();
    assert_eq!(uri.user.as_deref(), Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"));
    assert_eq!(uri.password.as_deref(), Some("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"));
    assert_eq!(odd.envelope.to.display.as_deref(), Some("BEL:\u{7} NUL:\0 DEL:\u{7f}"));
    assert_eq!(odd.envelope.from.display.as_deref(), Some("token1~` token2'+_ token3*%!.-"));
    assert_eq!(odd.envelope.from.params.get("fromParam''~+*_!.-%"), Some("работающий"));
    assert_eq!(odd.envelope.from.tag(), Some("_token~1'+`*%!-."));
    assert_eq!(odd.headers.max_forwards(), Ok(Some(255)));
    assert_eq!(odd.headers.get(&extension("extensionHeader-!.%*+_`'~")), Some("\u{feff}大停電"));
}

/// 3.1.1.3
#[test]
fn escapes_are_part_of_what_they_escape() {
    let invite = request("esc01");
    let uri = invite.uri.as_sip().unwrap();
    assert!(!uri.secure);
    assert_eq!(uri.user_text().as_deref(), Some("sips:user@example.com"));
    assert_eq!(invite.envelope.to.uri.as_sip().unwrap().user_text().as_deref(), Some("user"));
    assert_eq!(invite.envelope.from.uri.as_sip().unwrap().user_text().as_deref(), Some("I have spaces"));
    let contacts = invite.headers.contacts().unwrap();
    let contact = contacts.only().unwrap().uri.as_sip().unwrap();
    // %6C%72 is "lr", and n%61me=v%61lue%25%34%31 is name=value%41; neither is resolved before it is asked for.
    assert_eq!(contact.params[0].0, "%6C%72");
    assert_eq!(contact.params[1].1.as_deref(), Some("v%61lue%25%34%31"));
}

/// 3.1.1.4
#[test]
fn escaped_nulls() {
    let register = request("escnull");
    assert_eq!(register.envelope.to.uri.as_sip().unwrap().user_text().as_deref(), Some("null-\0-null"));
    let Contacts::List(contacts) = register.headers.contacts().unwrap() else { panic!() };
    let users: Vec<_> = contacts.iter().map(|contact| contact.uri.as_sip().unwrap().user_text().unwrap()).collect();
    assert_eq!(users, ["\0", "\0\0"]);
}

/// 3.1.1.5
#[test]
fn a_percent_that_escapes_nothing() {
    let odd = request("esc02");
    assert_eq!(odd.method, Method::Extension("RE%47IST%45R".to_owned()));
    assert_eq!(odd.envelope.to.display.as_deref(), Some("%Z%45"));
    assert_eq!(odd.envelope.via[0].branch(), Some("z9hG4bK209%fzsnel234"));
    let Contacts::List(contacts) = odd.headers.contacts().unwrap() else { panic!() };
    assert_eq!(contacts.len(), 2, "C%6Fntact is another header field");
}

/// 3.1.1.6
#[test]
fn no_white_space_before_the_bracket() {
    assert_eq!(request("lwsdisp").envelope.from.display.as_deref(), Some("caller"));
}

/// 3.1.1.7
#[test]
fn long_values() {
    let invite = request("longreq");
    assert_eq!(invite.envelope.via.len(), 34);
    assert_eq!(invite.envelope.from.tag().unwrap().len(), 2 + 150 + 3);
    assert_eq!(invite.body.len(), 150);
}

/// 3.1.1.8
#[test]
fn what_follows_in_the_datagram_is_ignored() {
    let register = request("dblreq");
    assert_eq!(register.method, Method::Register);
    assert!(register.body.is_empty());
    // In a stream the second one is a message.
    let mut framer = Framer::default();
    framer.push(&bytes("dblreq"));
    let Framing::Message(first) = framer.next_frame() else { panic!() };
    assert!(first.starts_with(b"REGISTER"));
    assert_eq!(framer.next_frame(), Framing::Ping);
    let Framing::Message(second) = framer.next_frame() else { panic!() };
    assert!(second.starts_with(b"INVITE sip:joe@example.com"));
}

/// 3.1.1.9
#[test]
fn semicolons_in_the_user_part() {
    let options = request("semiuri");
    let uri = options.uri.as_sip().unwrap();
    assert_eq!(uri.user_text().as_deref(), Some("user;par=u@example.net"));
    assert_eq!(uri.host.to_string(), "example.com");
    assert!(uri.params.is_empty());
}

/// 3.1.1.10
#[test]
fn all_transports_and_unknown_ones() {
    let options = request("transports");
    let transports: Vec<_> = options.envelope.via.iter().map(|via| via.transport.as_str()).collect();
    assert_eq!(transports, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);
}

/// 3.1.1.11
#[test]
fn a_multipart_body_with_nulls() {
    let message = request("mpart01");
    assert_eq!(message.body.len(), 553);
    let media_type = message.headers.content_type().unwrap().unwrap();
    assert_eq!(media_type.essence, "multipart/mixed");
    assert_eq!(media_type.params.get("boundary"), Some("7a9cbec02ceef655"));
}

/// 3.1.1.12
#[test]
fn an_unusual_reason_phrase() {
    let ok = response("unreason");
    assert_eq!((ok.status, ok.reason.as_str()), (200, "= 2**3 * 5**2 но сто девяносто девять - простое"));
}

/// 3.1.1.13
#[test]
fn no_reason_phrase() {
    let trying = response("noreason");
    assert_eq!((trying.status, trying.reason.as_str()), (100, ""));
}

/// 3.1.2, but for the responses
#[test]
fn invalid_requests_are_refused_with_the_status_that_the_rfc_names() {
    for (name, status) in [
        ("badinv01", 400),
        ("clerr", 400),
        ("ncl", 400),
        ("scalar02", 400),
        ("quotbal", 400),
        ("ltgtruri", 400),
        ("lwsruri", 400),
        ("lwsstart", 400),
        ("trws", 400),
        ("escruri", 400),
        ("baddate", 400),
        ("regbadct", 400),
        ("badaspec", 400),
        ("baddn", 400),
        ("badvers", 505),
        ("mismatch01", 400),
        ("mismatch02", 400),
        // 3.3.1, 3.3.8 and 3.3.9: what is missing, and what can't be there twice.
        ("insuf", 400),
        ("multi01", 400),
        ("mcl01", 400),
    ] {
        let Err(Refused::Answered(refused)) = parse(&bytes(name)) else {
            panic!("{name}: {:?}", parse(&bytes(name)));
        };
        assert_eq!(refused.status, status, "{name}: {}", refused.reason);
        let answer = String::from_utf8(refused.answer().unwrap()).unwrap();
        assert!(answer.starts_with(&format!("SIP/2.0 {status} ")), "{name}: {answer}");
        assert!(answer.contains("\r\nVia: SIP/"), "{name}: {answer}");
    }
}

/// 3.1.2.5 and 3.1.2.19
#[test]
fn invalid_responses_are_dropped() {
    for name in ["scalarlg", "bigcode"] {
        assert!(matches!(parse(&bytes(name)), Err(Refused::Ignored(_))), "{name}");
    }
}

/// 3.1.2.2: in a stream there is no other end of a message.
#[test]
fn a_stream_waits_for_what_content_length_promised() {
    let mut framer = Framer::default();
    framer.push(&bytes("clerr"));
    assert_eq!(framer.next_frame(), Framing::Unfinished);
    // 3.1.2.3 and 3.3.9: where the next one begins can't be known, so the connection ends.
    for name in ["ncl", "mcl01"] {
        let mut framer = Framer::default();
        framer.push(&bytes(name));
        assert!(matches!(framer.next_frame(), Framing::Broken(_)), "{name}");
    }
}

/// 3.2 to 3.4: these are well-formed; what is wrong with them is a matter of the layers above.
#[test]
fn the_others_can_be_read() {
    for name in [
        "badbranch",
        "unkscm",
        "novelsc",
        "unksm2",
        "bext01",
        "invut",
        "regaut01",
        "zeromf",
        "cparam01",
        "cparam02",
        "regescrt",
        "sdp01",
        "inv2543",
    ] {
        request(name);
    }
    assert_eq!(response("bcast").envelope.via.len(), 2);
    assert!(matches!(request("unkscm").uri, Uri::Other(_)));
    let Contacts::List(contacts) = request("cparam01").headers.contacts().unwrap() else { panic!() };
    assert_eq!(contacts[0].params.get("unknownparam"), Some(""), "without brackets it is the field's");
    let Contacts::List(contacts) = request("cparam02").headers.contacts().unwrap() else { panic!() };
    assert_eq!(contacts[0].uri.as_sip().unwrap().param("unknownparam"), Some(""), "with them it is the URI's");
    let Contacts::List(contacts) = request("regescrt").headers.contacts().unwrap() else { panic!() };
    assert_eq!(contacts[0].uri.as_sip().unwrap().headers[0].0, "Route");
}
