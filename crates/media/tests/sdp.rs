//! Offers and answers, as phones, trunks and PBXs make them.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::net::SocketAddr;
use std::time::Duration;

use offhook_media::codec::Codec;
use offhook_media::sdp::format::Format;
use offhook_media::sdp::{Ability, Agreed, Direction, Negotiation, Security, Unusable};
use offhook_media::srtp::Suite;
use offhook_media::srtp::keys::MasterKey;
use proptest::prelude::*;

const KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";

fn able(codecs: &[Codec], security: Security) -> Ability {
    Ability { codecs: codecs.to_vec(), comfort_noise: true, security }
}

fn call(codecs: &[Codec], security: Security) -> Negotiation {
    let local = "203.0.113.7:40000".parse().unwrap();
    Negotiation::new(able(codecs, security), local, 77, MasterKey::new([3; 30]))
}

fn at(address: &str) -> Option<SocketAddr> {
    Some(address.parse().unwrap())
}

/// A description with these lines of sound behind the usual beginning.
fn described(lines: &[&str]) -> String {
    let mut text = String::from("v=0\r\no=- 1 1 IN IP4 198.51.100.9\r\ns=-\r\nc=IN IP4 198.51.100.9\r\nt=0 0\r\n");
    for line in lines {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text
}

const TRUNK: &[&str] = &[
    "m=audio 12000 RTP/AVP 0 8 101",
    "a=rtpmap:0 PCMU/8000",
    "a=rtpmap:8 PCMA/8000",
    "a=rtpmap:101 telephone-event/8000",
    "a=fmtp:101 0-16",
    "a=ptime:20",
    "a=sendrecv",
];

#[test]
fn a_trunks_offer_is_answered_with_one_codec_and_digits() {
    let mut call = call(&[Codec::G722, Codec::Pcmu, Codec::Pcma], Security::IfOffered);
    let (text, agreed) = call.answer(&described(TRUNK), Direction::SendRecv).unwrap();
    assert_eq!((agreed.remote, agreed.remote_reports), (at("198.51.100.9:12000"), at("198.51.100.9:12001")));
    assert_eq!((agreed.codec, agreed.payload_type, agreed.digits), (Codec::Pcmu, 0, Some((101, 8000))));
    assert_eq!((agreed.direction, agreed.packet_time), (Direction::SendRecv, Duration::from_millis(20)));
    assert_eq!(
        text,
        "v=0\r\no=- 77 0 IN IP4 203.0.113.7\r\ns=-\r\nc=IN IP4 203.0.113.7\r\nt=0 0\r\n\
         m=audio 40000 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
         a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    );
}

#[test]
fn our_preference_decides_and_their_numbers_are_used() {
    let offer = described(&[
        "m=audio 12000 RTP/AVP 0 9 96 97 98 13",
        "a=rtpmap:96 OPUS/48000/2",
        "a=rtpmap:97 telephone-event/8000",
        "a=rtpmap:98 telephone-event/48000",
    ]);
    let mut wide = call(&Codec::ALL, Security::Never);
    let (text, agreed) = wide.answer(&offer, Direction::SendRecv).unwrap();
    assert_eq!((agreed.codec, agreed.payload_type, agreed.digits), (Codec::Opus, 96, Some((98, 48_000))));
    assert!(text.contains("m=audio 40000 RTP/AVP 96 98 13\r\n"), "{text}");

    // Without an a=rtpmap line, 9 is G.722 all the same.
    let mut narrow = call(&[Codec::G722, Codec::Pcmu], Security::Never);
    let agreed = narrow.answer(&offer, Direction::SendRecv).unwrap().1;
    assert_eq!((agreed.codec, agreed.payload_type, agreed.digits), (Codec::G722, 9, Some((97, 8000))));
    assert!(agreed.receives.iter().any(|mapped| mapped.format == Format::ComfortNoise));
}

#[test]
fn two_of_us_agree() {
    for security in [Security::Never, Security::Always] {
        let mut caller = call(&Codec::ALL, security);
        let mut callee = call(&[Codec::Pcma, Codec::G722], security);
        let offer = caller.offer(Direction::SendRecv);
        let (answer, theirs) = callee.answer(&offer, Direction::SendRecv).unwrap();
        let theirs = theirs.clone();
        let ours = caller.answered(&answer).unwrap();
        assert_eq!((ours.codec, theirs.codec), (Codec::Pcma, Codec::Pcma));
        assert_eq!(ours.digits, theirs.digits);
        assert_eq!(ours.sealed.is_some(), security == Security::Always);
        assert_eq!(ours.sealed, theirs.sealed);
    }
}

#[test]
fn an_answer_may_number_otherwise_than_the_offer() {
    let mut caller = call(&[Codec::Opus, Codec::Pcmu], Security::Never);
    caller.offer(Direction::SendRecv);
    let answer = described(&[
        "m=audio 12000 RTP/AVP 120 121",
        "a=rtpmap:120 opus/48000/2",
        "a=rtpmap:121 telephone-event/48000",
        "a=ptime:40",
    ]);
    let agreed = caller.answered(&answer).unwrap();
    assert_eq!((agreed.payload_type, agreed.digits), (120, Some((121, 48_000))));
    assert_eq!(agreed.packet_time, Duration::from_millis(40));
    for number in [111, 120] {
        assert!(agreed.receives.iter().any(|m| m.payload_type == number && m.format == Format::Codec(Codec::Opus)));
    }
}

#[test]
fn hold_in_each_of_its_ways_and_back() {
    for (line, connection, direction) in [
        ("a=sendonly", "198.51.100.9", Direction::RecvOnly),
        ("a=inactive", "198.51.100.9", Direction::Inactive),
        ("a=recvonly", "198.51.100.9", Direction::SendOnly),
        ("a=sendrecv", "0.0.0.0", Direction::RecvOnly),
        ("a=ptime:20", "0.0.0.0", Direction::RecvOnly),
    ] {
        let mut call = call(&[Codec::Pcmu], Security::Never);
        call.answer(&described(TRUNK), Direction::SendRecv).unwrap();
        let hold = described(&["m=audio 12000 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/8000", line])
            .replace("c=IN IP4 198.51.100.9", &format!("c=IN IP4 {connection}"));
        let (text, agreed) = call.answer(&hold, Direction::SendRecv).unwrap();
        assert_eq!(agreed.direction, direction, "{line} {connection}");
        assert_eq!(agreed.remote.is_none(), connection == "0.0.0.0");
        assert!(text.contains("o=- 77 1 "), "the version rises: {text}");
        let resumed = call.answer(&described(TRUNK), Direction::SendRecv).unwrap().1;
        assert_eq!((resumed.direction, resumed.remote), (Direction::SendRecv, at("198.51.100.9:12000")));
    }
}

#[test]
fn we_may_hold_and_resume() {
    let mut call = call(&[Codec::Pcmu, Codec::G722], Security::Never);
    call.answer(&described(TRUNK), Direction::SendRecv).unwrap();
    let offer = call.offer(Direction::SendOnly);
    assert!(offer.contains("a=sendonly") && offer.contains("RTP/AVP 0 9 101"), "{offer}");
    let agreed = call.answered(&described(&["m=audio 12000 RTP/AVP 0", "a=recvonly"])).unwrap();
    assert_eq!(agreed.direction, Direction::SendOnly);
    assert_eq!(agreed.digits, None, "they answered none");
}

#[test]
fn an_offer_in_the_midst_may_move_and_change_the_codec() {
    let mut call = call(&[Codec::G722, Codec::Pcmu, Codec::Pcma], Security::Never);
    call.answer(&described(TRUNK), Direction::SendRecv).unwrap();
    // The codec in use is kept, though a better one is offered now.
    let both = described(&["m=audio 12000 RTP/AVP 9 0"]);
    assert_eq!(call.answer(&both, Direction::SendRecv).unwrap().1.codec, Codec::Pcmu);
    let other = described(&["m=audio 14000 RTP/AVP 8", "c=IN IP4 192.0.2.4"]);
    let agreed = call.answer(&other, Direction::SendRecv).unwrap().1;
    assert_eq!((agreed.codec, agreed.remote), (Codec::Pcma, at("192.0.2.4:14000")));
    // What can't be agreed with changes nothing.
    assert!(call.answer(&described(&["m=audio 1 RTP/AVP 3"]), Direction::SendRecv).is_err());
    assert_eq!(call.agreed().unwrap().codec, Codec::Pcma);
}

#[test]
fn every_media_line_is_answered() {
    let offer = described(&[
        "m=video 9000 RTP/AVP 99",
        "a=rtpmap:99 H264/90000",
        "m=audio 0 RTP/AVP 0",
        "m=audio 12000 RTP/AVP 0",
        "m=application 9001 UDP/BFCP *",
    ]);
    let mut call = call(&[Codec::Pcmu], Security::Never);
    let (text, agreed) = call.answer(&offer, Direction::SendRecv).unwrap();
    assert_eq!(agreed.remote, at("198.51.100.9:12000"));
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(
        lines,
        ["m=video 0 RTP/AVP 99", "m=audio 0 RTP/AVP 0", "m=audio 40000 RTP/AVP 0", "m=application 0 UDP/BFCP *"]
    );
}

#[test]
fn sound_is_sealed_where_it_is_offered() {
    let long = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20");
    let short = format!("a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:{KEY}");
    let unknown = format!("a=crypto:3 AEAD_AES_256_GCM inline:{KEY}");
    let sealed = |lines: &[&str]| {
        let mut all = vec!["m=audio 12000 RTP/SAVP 0"];
        all.extend(lines);
        described(&all)
    };
    let mut call = call(&[Codec::Pcmu], Security::IfOffered);
    let (text, agreed) = call.answer(&sealed(&[&unknown, &short, &long]), Direction::SendRecv).unwrap();
    // Their order is their preference.
    assert_eq!(agreed.sealed.as_ref().unwrap().suite, Suite::Tag32);
    assert!(text.contains("RTP/SAVP 0") && text.contains("a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:"), "{text}");
    assert!(!text.contains(KEY), "our key is our own");

    let refused = |security, text: &str| {
        let mut call = self::call(&[Codec::Pcmu], security);
        call.answer(text, Direction::SendRecv).unwrap_err()
    };
    assert_eq!(refused(Security::Never, &sealed(&[&long])), Unusable::Sealed);
    assert_eq!(refused(Security::Always, &described(TRUNK)), Unusable::NotSealed);
    assert_eq!(refused(Security::IfOffered, &sealed(&[&unknown])), Unusable::NoCommonCrypto);
}

#[test]
fn sound_that_is_offered_sealed_and_open_is_taken_as_we_like() {
    let crypto = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}");
    let offer = described(&["m=audio 12000 RTP/AVP 0", "m=audio 12002 RTP/SAVP 0", &crypto]);
    for (security, port) in [(Security::Never, 12_000), (Security::IfOffered, 12_002), (Security::Always, 12_002)] {
        let mut call = call(&[Codec::Pcmu], security);
        let (text, agreed) = call.answer(&offer, Direction::SendRecv).unwrap();
        assert_eq!(agreed.remote.unwrap().port(), port);
        assert_eq!(agreed.sealed.is_some(), port == 12_002);
        assert!(text.contains("m=audio 0 "), "the other is refused: {text}");
    }
}

#[test]
fn reports_go_where_they_are_wanted() {
    let reports = |line: &str| {
        let mut call = call(&[Codec::Pcmu], Security::Never);
        let offer = described(&["m=audio 12000 RTP/AVP 0", line]);
        call.answer(&offer, Direction::SendRecv).unwrap().1.remote_reports
    };
    assert_eq!(reports("a=rtcp:13000"), at("198.51.100.9:13000"));
    assert_eq!(reports("a=rtcp:13000 IN IP4 192.0.2.8"), at("192.0.2.8:13000"));
    assert_eq!(reports("a=rtcp:nonsense"), at("198.51.100.9:12001"));
    // We don't offer to mix them, so an answer says nothing of it.
    let mut call = call(&[Codec::Pcmu], Security::Never);
    let offer = described(&["m=audio 12000 RTP/AVP 0", "a=rtcp-mux"]);
    assert!(!call.answer(&offer, Direction::SendRecv).unwrap().0.contains("rtcp"));
}

#[test]
fn what_can_not_be_agreed_with_says_why() {
    let refused = |text: &str| {
        let mut call = call(&[Codec::Pcmu], Security::Never);
        call.answer(text, Direction::SendRecv).unwrap_err().to_string()
    };
    assert!(refused("hello").starts_with("not SDP"), "{}", refused("hello"));
    assert_eq!(refused(""), "not SDP: No version line");
    assert_eq!(refused(&described(&[])), "no audio over RTP is offered");
    assert_eq!(refused(&described(&["m=audio 0 RTP/AVP 0"])), "no audio over RTP is offered");
    assert_eq!(refused(&described(&["m=image 9000 udptl t38"])), "no audio over RTP is offered");
    assert_eq!(
        refused(&described(&["m=audio 1 RTP/AVP 3 18", "a=rtpmap:3 GSM/8000", "a=rtpmap:18 G729/8000"])),
        "no codec in common; offered were 3 GSM/8000, 18 G729/8000"
    );
    assert_eq!(refused(&described(&["m=audio 1 RTP/AVP 3 18"])), "no codec in common; offered were 3 18");
    let named = described(TRUNK).replace("c=IN IP4 198.51.100.9", "c=IN IP4 pbx.example");
    assert_eq!(refused(&named), "\"pbx.example\" is not an IP address");
    let multicast = described(TRUNK).replace("c=IN IP4 198.51.100.9", "c=IN IP4 224.2.1.1");
    assert_eq!(refused(&multicast), "\"224.2.1.1\" is not an IP address");
    let nowhere = described(TRUNK).replace("c=IN IP4 198.51.100.9\r\n", "");
    assert_eq!(refused(&nowhere), "no c= line says where audio goes");
    assert_eq!(refused(&"v=0\r\n".repeat(9000)), "an SDP body of 45000 bytes is too long");
    assert_eq!(call(&[Codec::Pcmu], Security::Never).answered(&described(TRUNK)), Err(Unusable::NoOffer));
}

#[test]
fn ipv6_and_bare_line_feeds_are_as_good() {
    let text = described(TRUNK).replace("IN IP4 198.51.100.9", "IN IP6 2001:db8::9").replace("\r\n", "\n");
    let mut call = call(&[Codec::Pcmu], Security::Never);
    let agreed = call.answer(&text, Direction::SendRecv).unwrap().1;
    assert_eq!(agreed.remote, at("[2001:db8::9]:12000"));
}

/// Whatever was agreed makes sense.
fn sensible(agreed: &Agreed) {
    assert!(agreed.payload_type < 128);
    assert!((20..=60).contains(&agreed.packet_time.as_millis()));
    assert!(agreed.receives.iter().any(|mapped| mapped.format == Format::Codec(agreed.codec)));
}

proptest! {
    #[test]
    fn lines_in_any_order_and_number_are_agreed_with_or_refused(
        lines in prop::collection::vec(prop_oneof![
            "m=audio [0-9]{1,6} RTP/S?AVPF? ([0-9]{1,3} ){0,6}[0-9]{0,3}",
            "m=(audio|video) [0-9]{1,4}(/[0-9])? [A-Z/]{3,8} [a-z0-9 *]{0,8}",
            "a=rtpmap:[0-9]{1,3} (PCMU|opus|G722|telephone-event|CN|x)/[0-9]{1,6}(/[0-9])?",
            "a=fmtp:[0-9]{1,3} .{0,20}",
            "a=(ptime|maxptime|rtcp):[-0-9.e]{0,8}( IN IP4 [0-9.]{0,12})?",
            "a=(sendrecv|sendonly|recvonly|inactive)",
            "a=crypto:[0-9] AES_CM_128_HMAC_SHA1_80 inline:[A-Za-z0-9+/]{38,42}",
            "c=IN IP[46] [0-9a-f.:/]{0,16}",
            "[a-z]=\\PC{0,30}",
        ], 0..14),
    ) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let text = described(&lines);
        for security in [Security::Never, Security::IfOffered, Security::Always] {
            let mut call = call(&Codec::ALL, security);
            if let Ok((answer, agreed)) = call.answer(&text, Direction::SendRecv) {
                sensible(agreed);
                let offered = text.lines().filter(|line| line.starts_with("m=")).count();
                prop_assert_eq!(answer.lines().filter(|line| line.starts_with("m=")).count(), offered);
            }
            call.offer(Direction::SendRecv);
            if let Ok(agreed) = call.answered(&text) {
                sensible(agreed);
            }
        }
    }

    #[test]
    fn anything_may_come(text in "\\PC{0,300}") {
        let mut call = call(&Codec::ALL, Security::IfOffered);
        prop_assert!(call.answer(&text, Direction::SendRecv).is_err());
        let begun = format!("v=0\r\n{text}");
        prop_assert!(call.answer(&begun, Direction::SendRecv).is_err());
    }
}
