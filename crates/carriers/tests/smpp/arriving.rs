//! Texts that come to us.

use std::time::Duration;

use offhook_carriers::smpp::Coding;
use offhook_smpp::{Body, Message, Pdu, Status, Tlvs, encode, esm_class, tag, with_udh};

use super::{OURS, Stage, THEIRS, text};

fn part(reference: u8, total: u8, number: u8, body: &str) -> Message {
    let octets = encode(body, Coding::Ucs2, 6);
    let short_message = with_udh(reference, total, number, &octets);
    Message { esm_class: esm_class::UDHI, data_coding: 8, short_message, ..text("") }
}

fn sar(reference: u16, total: u8, number: u8, body: &str) -> Message {
    let tlvs = Tlvs::default()
        .with(tag::SAR_MSG_REF_NUM, &reference.to_be_bytes())
        .with(tag::SAR_TOTAL_SEGMENTS, &[total])
        .with(tag::SAR_SEGMENT_SEQNUM, &[number]);
    Message { tlvs, ..text(body) }
}

#[tokio::test]
async fn a_text_arrives_once_and_is_answered_when_it_is_kept() {
    let stage = Stage::new().await;
    stage.platform.fail(2);
    let number = stage.smsc.bring(text("Grüße {€}"));
    assert_eq!(stage.smsc.answer_to(number).await, Status::ROK);
    assert_eq!(stage.smsc.brought(), 3, "what could not be kept was brought again");
    let all = stage.platform.messages(1).await;
    assert_eq!((all[0].from.as_str(), all[0].to.as_str(), all[0].body.as_str()), (THEIRS, OURS, "Grüße {€}"));
    stage.platform.all_forgotten().await;
}

#[tokio::test]
async fn every_alphabet_is_read() {
    let stage = Stage::new().await;
    for (data_coding, octets, expected) in [
        (0, encode("plain", Coding::Gsm7, 0), "plain"),
        (1, b"ascii".to_vec(), "ascii"),
        (1, encode("{$5}", Coding::Gsm7, 0), "{$5}"),
        (3, encode("forêt", Coding::Latin1, 0), "forêt"),
        (4, "bytes ☎".as_bytes().to_vec(), "bytes ☎"),
        (8, encode("☎😀", Coding::Ucs2, 0), "☎😀"),
        (0x18, encode("flash ☎", Coding::Ucs2, 0), "flash ☎"),
        (0xF0, encode("flash", Coding::Gsm7, 0), "flash"),
        (8, vec![0xD8, 0x3D, 0x00], "\u{FFFD}"),
    ] {
        let number = stage.smsc.bring(Message { data_coding, short_message: octets, ..text("") });
        assert_eq!(stage.smsc.answer_to(number).await, Status::ROK);
        assert_eq!(stage.platform.messages_so_far().pop().unwrap().body, expected);
    }
}

#[tokio::test]
async fn parts_are_joined_however_they_come() {
    let stage = Stage::new().await;
    let body = "☎ 0123456789 ".repeat(40);
    let pieces: Vec<String> = body.chars().collect::<Vec<_>>().chunks(67).map(String::from_iter).collect();
    let total = pieces.len() as u8;
    for number in (1..=total).rev() {
        stage.smsc.bring(part(7, total, number, &pieces[usize::from(number) - 1]));
        // Another text of the same sender in between.
        stage.smsc.bring(sar(7, total, number, &format!("{number} ")));
    }
    stage.smsc.all_answered().await;
    let mut bodies: Vec<String> = stage.platform.messages(2).await.into_iter().map(|message| message.body).collect();
    bodies.sort();
    let other: String = (1..=total).map(|number| format!("{number} ")).collect();
    assert_eq!(bodies, [other, body]);
}

#[tokio::test]
async fn a_character_torn_in_two_is_put_together() {
    let stage = Stage::new().await;
    let octets = encode("ab😀cd", Coding::Ucs2, 6);
    for (number, half) in [(1, &octets[..6]), (2, &octets[6..])] {
        let short_message = with_udh(9, 2, number, half);
        stage.smsc.bring(Message { esm_class: esm_class::UDHI, data_coding: 8, short_message, ..text("") });
    }
    assert_eq!(stage.platform.messages(1).await[0].body, "ab😀cd");
}

#[tokio::test]
async fn a_text_may_come_in_one_large_piece() {
    let stage = Stage::new().await;
    let body = "long ".repeat(200);
    let tlvs = Tlvs::default().with(tag::MESSAGE_PAYLOAD, body.as_bytes());
    stage.smsc.bring(Message { tlvs, ..text("") });
    assert_eq!(stage.platform.messages(1).await[0].body, body);
}

#[tokio::test]
async fn parts_wait_across_connections_and_restarts() {
    let stage = Stage::new().await;
    let number = stage.smsc.bring(part(3, 3, 2, "two "));
    assert_eq!(stage.smsc.answer_to(number).await, Status::ROK);
    stage.smsc.cut_all();
    stage.smsc.deserted().await;
    let number = stage.smsc.bring(part(3, 3, 3, "three"));
    assert_eq!(stage.smsc.answer_to(number).await, Status::ROK);
    let (smsc, platform) = stage.crash().await;
    let stage = Stage::over(smsc, platform, |_| {});
    stage.smsc.bring(part(3, 3, 1, "one "));
    assert_eq!(stage.platform.messages(1).await[0].body, "one two three");
}

#[tokio::test]
async fn what_never_becomes_whole_is_brought_as_far_as_it_goes() {
    let stage = Stage::with(|settings| settings.parts_expire = Duration::from_millis(200)).await;
    stage.smsc.bring(part(3, 4, 2, "two"));
    stage.smsc.bring(part(3, 4, 4, "four"));
    assert_eq!(stage.platform.messages(1).await[0].body, "[…]two[…]four");
    stage.platform.all_forgotten().await;
}

#[tokio::test]
async fn a_reference_may_be_used_again() {
    let stage = Stage::new().await;
    for (one, two) in [("a", "b"), ("c", "d")] {
        stage.smsc.bring(part(3, 2, 1, one));
        stage.smsc.bring(part(3, 2, 2, two));
    }
    let bodies: Vec<String> = stage.platform.messages(2).await.into_iter().map(|message| message.body).collect();
    assert_eq!(bodies, ["ab", "cd"]);
}

#[tokio::test]
async fn a_reference_may_be_used_again_for_the_same_words() {
    let stage = Stage::new().await;
    let bodies = |all: Vec<offhook_carriers::InboundMessage>| -> Vec<String> {
        all.into_iter().map(|message| message.body).collect()
    };
    // At once, while the peer may not have our answers yet.
    for two in ["b", "b", "c"] {
        stage.smsc.bring(part(3, 2, 1, "a"));
        stage.smsc.bring(part(3, 2, 2, two));
        stage.smsc.all_answered().await;
    }
    assert_eq!(bodies(stage.platform.messages(3).await), ["ab", "ab", "ac"]);
    // And once it has them, over another connection too.
    stage.platform.settled(6).await;
    stage.smsc.cut_all();
    stage.smsc.deserted().await;
    for two in ["d", "a"] {
        stage.smsc.bring(part(3, 2, 1, "a"));
        stage.smsc.bring(part(3, 2, 2, two));
        stage.smsc.all_answered().await;
    }
    assert_eq!(bodies(stage.platform.messages(5).await)[3..], ["ad", "aa"]);
}

#[tokio::test]
async fn a_whole_text_whose_answers_were_lost_is_the_same_again() {
    let stage = Stage::new().await;
    for (number, words) in [(1, "a"), (2, "b")] {
        stage.smsc.bring(part(3, 2, number, words));
    }
    stage.platform.messages(1).await;
    let (smsc, platform) = stage.crash().await;
    let stage = Stage::over(smsc, platform, |_| {});
    for (number, words) in [(1, "a"), (2, "b")] {
        let number = stage.smsc.bring(part(3, 2, number, words));
        assert_eq!(stage.smsc.answer_to(number).await, Status::ROK);
    }
    assert_eq!(stage.platform.messages_so_far().len(), 1);
}

#[tokio::test]
async fn the_same_words_twice_are_two_texts() {
    let stage = Stage::new().await;
    for _ in 0..3 {
        let first = stage.smsc.bring(text("yes"));
        stage.smsc.bring(text("yes"));
        stage.smsc.answer_to(first).await;
    }
    stage.smsc.all_answered().await;
    assert_eq!(stage.platform.messages_so_far().len(), 6);
}

#[tokio::test]
async fn the_same_words_after_a_cut_are_one_text() {
    let stage = Stage::new().await;
    // Kept, and the answer lost: the third boundary is that before the answer is looked at.
    stage.smsc.cut_at(2);
    let number = stage.smsc.bring(text("yes"));
    assert_eq!(stage.smsc.answer_to(number).await, Status::ROK);
    assert_eq!((stage.smsc.brought(), stage.platform.messages_so_far().len()), (2, 1));
}

#[tokio::test]
async fn the_same_words_after_a_crash_are_one_text() {
    let stage = Stage::new().await;
    stage.smsc.bring(text("yes"));
    stage.platform.messages(1).await;
    let (smsc, platform) = stage.crash().await;
    let stage = Stage::over(smsc, platform, |_| {});
    stage.smsc.all_answered().await;
    assert_eq!(stage.platform.messages_so_far().len(), 1);
}

#[tokio::test]
async fn nonsense_harms_nothing() {
    let stage = Stage::new().await;
    let mut octets = Vec::new();
    Pdu::request(7, Body::AlertNotification).write(&mut octets);
    Pdu::request(8, Body::Other { command_id: 0x99 }).write(&mut octets);
    octets.extend([0, 0, 0, 20, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9, 1, 2, 3, 4]);
    stage.smsc.babble(&octets);
    stage.smsc.bring(Message { destination: offhook_smpp::Address::new(5, 0, "ACME"), ..text("Hi") });
    stage.smsc.bring(Message { esm_class: esm_class::RECEIPT, ..text("id") });
    let number = stage.smsc.bring(text("still there"));
    assert_eq!(stage.smsc.answer_to(number).await, Status::ROK);
    assert_eq!((stage.platform.messages(1).await.len(), stage.smsc.complaints()), (1, 1));
    // What is not SMPP at all ends the connection, and the next one works.
    stage.smsc.babble(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    stage.smsc.deserted().await;
    let number = stage.smsc.bring(text("and again"));
    assert_eq!(stage.smsc.answer_to(number).await, Status::ROK);
}
