//! Texts that we send.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use offhook_carriers::Carrier;
use offhook_carriers::smpp::{BindAs, Coding, Concatenation, MessageIds, SmppTls};
use offhook_domain::message::{ReceiptStatus, SendOutcome};
use offhook_smpp::{Fragment, Status, Udh, decode};
use offhook_testkit::smsc::{ReceiptStyle, Receipts, Reply, Smsc, Taken, WriteId};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{OURS, Stage, THEIRS, submission};

fn id(outcome: &SendOutcome) -> String {
    match outcome {
        SendOutcome::Accepted { carrier_message_id } => carrier_message_id.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_text_is_submitted_and_its_receipt_comes() {
    let stage = Stage::new().await;
    let outcome = stage.carrier.send(&submission("Grüße €5")).await;
    assert_eq!(id(&outcome), "1000");
    let taken = stage.smsc.taken(1).await.remove(0).message;
    assert_eq!((taken.source.digits.as_str(), taken.destination.digits.as_str()), (&OURS[1..], &THEIRS[1..]));
    assert_eq!(decode(&taken.short_message, Coding::Gsm7, 0), "Grüße €5");
    let receipt = stage.platform.receipts(1).await.remove(0);
    assert_eq!((receipt.carrier_message_id.as_str(), receipt.status), ("1000", ReceiptStatus::Delivered));
    let (smsc, _) = stage.stop().await;
    smsc.deserted().await;
}

#[tokio::test]
async fn receipts_come_in_every_style_and_order() {
    for style in [ReceiptStyle::Text, ReceiptStyle::Tags, ReceiptStyle::Both] {
        for receipts in [Receipts::First, Receipts::AtOnce, Receipts::Later(Duration::from_millis(20))] {
            let stage = Stage::new().await;
            stage.smsc.behave(|manners| {
                manners.receipts = receipts;
                manners.style = style;
                manners.fate = |_| "UNDELIV";
            });
            let outcome = stage.carrier.send(&submission("Hi")).await;
            let receipt = stage.platform.receipts(1).await.remove(0);
            assert_eq!(receipt.carrier_message_id, id(&outcome));
            assert_eq!(receipt.status, ReceiptStatus::Undelivered);
            let code = receipt.failure.unwrap().code;
            assert_eq!(code, if style == ReceiptStyle::Tags { "UNDELIV" } else { "021" });
            stage.smsc.all_answered().await;
        }
    }
}

#[tokio::test]
async fn ids_in_hex_and_decimal_are_the_same() {
    let (hex, decimal): (WriteId, WriteId) = (|id| format!("{id:08X}"), |id| format!("{id:010}"));
    let bare: WriteId = |id| id.to_string();
    for (ids, ours) in [
        ((hex, decimal), MessageIds::HexInAnswers),
        ((decimal, hex), MessageIds::HexInReceipts),
        ((bare, decimal), MessageIds::Same),
    ] {
        let stage = Stage::with(|settings| settings.message_ids = ours).await;
        stage.smsc.behave(|manners| manners.ids = ids);
        let outcome = stage.carrier.send(&submission("Hi")).await;
        assert_eq!(stage.platform.receipts(1).await[0].carrier_message_id, id(&outcome));
    }
}

/// The text that was submitted in parts.
fn joined(taken: &[Taken], coding: Coding) -> String {
    let mut parts: Vec<_> =
        taken.iter().map(|one| (Fragment::of(&one.message).unwrap().number, &one.message)).collect();
    parts.sort_by_key(|(number, _)| *number);
    let read = |message: &offhook_smpp::Message| {
        let udh = if message.esm_class & 0x40 == 0 { None } else { Some(Udh::read(&message.short_message)) };
        let (header, octets) = udh.map_or((0, message.short_message.as_slice()), |udh| (udh.length, udh.text));
        decode(octets, coding, header)
    };
    parts.iter().map(|(_, message)| read(message)).collect()
}

#[tokio::test]
async fn a_text_of_ten_parts_is_one_message() {
    let body = "☎ grüße ".repeat(82);
    for concatenation in [Concatenation::Udh, Concatenation::Sar] {
        let stage = Stage::with(|settings| settings.concatenation = concatenation).await;
        stage.smsc.behave(|manners| manners.receipts = Receipts::Later(Duration::from_millis(300)));
        let sent = submission(&body);
        let outcome = stage.carrier.send(&sent).await;
        assert_eq!(id(&outcome), "1000+9");
        let taken = stage.smsc.taken(10).await;
        assert_eq!(joined(&taken, Coding::Ucs2), body);
        let references: HashSet<_> = taken.iter().map(|one| Fragment::of(&one.message).unwrap().key).collect();
        assert_eq!(references.len(), 1);
        let receipt = stage.platform.receipts(1).await.remove(0);
        assert_eq!((receipt.carrier_message_id, receipt.message_id), ("1000+9".to_owned(), Some(sent.message_id)));
        stage.smsc.all_answered().await;
        assert_eq!(stage.platform.receipts_so_far().len(), 1, "ten receipts are one");
    }
}

#[tokio::test]
async fn receipts_of_parts_may_all_come_before_the_answers() {
    for receipts in [Receipts::First, Receipts::AtOnce] {
        let stage = Stage::new().await;
        stage.smsc.behave(|manners| manners.receipts = receipts);
        let sent = submission(&"a".repeat(400));
        let outcome = stage.carrier.send(&sent).await;
        let mut count = 1;
        // Others are kept as those of messages whose answers are still to come.
        let whole = loop {
            let all = stage.platform.receipts(count).await;
            if let Some(whole) = all.iter().find(|receipt| receipt.message_id.is_some()) {
                break whole.clone();
            }
            count = all.len() + 1;
        };
        assert_eq!((whole.carrier_message_id, whole.status), (id(&outcome), ReceiptStatus::Delivered));
    }
}

#[tokio::test]
async fn one_part_that_fails_is_the_message_that_fails() {
    let stage = Stage::new().await;
    stage.smsc.behave(|manners| {
        manners.receipts = Receipts::Later(Duration::from_millis(300));
        manners.fate = |message| if Fragment::of(message).unwrap().number == 2 { "EXPIRED" } else { "DELIVRD" };
    });
    stage.carrier.send(&submission(&"a".repeat(400))).await;
    stage.smsc.all_answered().await;
    let all = stage.platform.receipts(1).await;
    assert!(all.iter().all(|receipt| receipt.status == ReceiptStatus::Undelivered), "{all:?}");
}

#[tokio::test]
async fn packed_septets_and_one_piece_are_sent_where_asked_for() {
    let body = "packed, it is {shorter}. ".repeat(12);
    let stage = Stage::with(|settings| settings.default_coding = Coding::Gsm7Packed).await;
    stage.carrier.send(&submission(&body)).await;
    let taken = stage.smsc.taken(3).await;
    assert!(taken.iter().all(|one| one.message.short_message.len() <= 140));
    assert_eq!(joined(&taken, Coding::Gsm7Packed), body);
    let stage = Stage::with(|settings| settings.concatenation = Concatenation::Payload).await;
    stage.carrier.send(&submission(&body)).await;
    let taken = stage.smsc.taken(1).await;
    assert_eq!(decode(taken[0].message.payload(), Coding::Gsm7, 0), body);
}

#[tokio::test]
async fn a_busy_peer_is_asked_again_until_it_takes_it() {
    let stage = Stage::new().await;
    let mut asked = 0;
    stage.smsc.judge(move |_| {
        asked += 1;
        match asked {
            1..=3 => Reply::Refuse(Status::RTHROTTLED),
            4 => Reply::Refuse(Status::RMSGQFUL),
            _ => Reply::Accept,
        }
    });
    id(&stage.carrier.send(&submission("Hi")).await);
    assert_eq!((stage.smsc.taken_so_far().len(), stage.smsc.refused()), (1, 4));
}

#[tokio::test]
async fn one_receiver_who_gets_no_more_holds_up_nobody() {
    for status in [Status::RMSGQFUL, Status::RTHROTTLED] {
        let stage = Stage::with(|settings| settings.patience = Duration::from_secs(20)).await;
        let full = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        let is_full = full.clone();
        stage.smsc.judge(move |message| {
            let is_theirs = decode(&message.short_message, Coding::Gsm7, 0) == "full";
            let is_full = is_full.load(std::sync::atomic::Ordering::SeqCst);
            if is_theirs && is_full { Reply::Refuse(status) } else { Reply::Accept }
        });
        let (one, others) = (submission("full"), submission("Hi"));
        let sending = async {
            // Each has its answer before the next one goes.
            while stage.smsc.refused() < 3 {
                id(&stage.carrier.send(&others).await);
            }
            full.store(false, std::sync::atomic::Ordering::SeqCst);
        };
        let (outcome, ()) = futures_util::future::join(stage.carrier.send(&one), sending).await;
        id(&outcome);
        assert!(stage.smsc.count() > 100, "{}", stage.smsc.count());
    }
}

#[tokio::test]
async fn a_peer_that_stays_busy_does_not_have_it() {
    let stage = Stage::with(|settings| settings.patience = Duration::from_millis(500)).await;
    stage.smsc.judge(|_| Reply::Refuse(Status::RTHROTTLED));
    let SendOutcome::NotTaken(failure) = stage.carrier.send(&submission("Hi")).await else { panic!() };
    assert_eq!(failure.reason, "more messages than allowed (ESME_RTHROTTLED)");
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let stage = Stage::new().await;
    for (status, is_for_good) in [(Status::RINVDSTADR, true), (Status(0x432), true), (Status::RSYSERR, false)] {
        stage.smsc.judge(move |_| Reply::Refuse(status));
        let outcome = stage.carrier.send(&submission("Hi")).await;
        assert_eq!(matches!(outcome, SendOutcome::Refused(_)), is_for_good, "{outcome:?}");
        assert_eq!(matches!(outcome, SendOutcome::NotTaken(_)), !is_for_good, "{outcome:?}");
    }
    let media = offhook_carriers::Submission { media_urls: vec!["https://x.example/1".to_owned()], ..submission("") };
    assert!(matches!(stage.carrier.send(&media).await, SendOutcome::Refused(_)));
}

#[tokio::test]
async fn many_are_under_way_at_once_and_answers_come_in_any_order() {
    let stage = Stage::with(|settings| {
        settings.window = 10;
    })
    .await;
    let mut count = 0;
    stage.smsc.judge(move |_| {
        count += 1;
        if count % 7 == 0 { Reply::Accept } else { Reply::Hold }
    });
    let texts: Vec<_> = (0..70).map(|n| submission(&format!("number {n}"))).collect();
    let outcomes = join_all(texts.iter().map(|text| stage.carrier.send(text))).await;
    let ids: HashSet<String> = outcomes.iter().map(id).collect();
    assert_eq!(ids.len(), 70);
    for (text, outcome) in texts.iter().zip(&outcomes) {
        let taken = stage.smsc.taken_so_far();
        let one = taken.iter().find(|one| one.id.to_string() == id(outcome)).unwrap();
        assert_eq!(decode(&one.message.short_message, Coding::Gsm7, 0), text.body, "each answer is its own");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_leaves_it_open_and_may_settle_it_late() {
    let stage = Stage::with(|settings| settings.response_timeout = Duration::from_millis(300)).await;
    stage.smsc.behave(|manners| manners.receipts = Receipts::Never);
    stage.smsc.judge(|_| Reply::Late(Duration::from_millis(500)));
    let sent = submission("Hi");
    assert!(matches!(stage.carrier.send(&sent).await, SendOutcome::Unknown(_)));
    let told = stage.platform.receipts(1).await.remove(0);
    assert_eq!((told.message_id, told.status), (Some(sent.message_id), ReceiptStatus::Sent));
    assert_eq!(told.carrier_message_id, "1000");
}

#[tokio::test]
async fn an_idle_connection_stands() {
    let stage = Stage::with(|settings| {
        settings.response_timeout = Duration::from_millis(300);
        settings.enquire_every = Duration::from_millis(600);
    })
    .await;
    // Each after more silence than an answer may take.
    stage.smsc.enquired(3).await;
    id(&stage.carrier.send(&submission("Hi")).await);
    assert_eq!(stage.smsc.binds(), 1, "it was never cut");
}

#[tokio::test]
async fn pairs_of_connections_divide_the_work() {
    let stage = Stage::with(|settings| {
        settings.bind = BindAs::Pair;
        settings.connections = 2;
    })
    .await;
    assert_eq!(stage.smsc.binds(), 4);
    id(&stage.carrier.send(&submission("Hi")).await);
    stage.platform.receipts(1).await;
}

#[tokio::test]
async fn what_is_too_late_is_not_submitted() {
    let stage = Stage::new().await;
    let late = offhook_carriers::Submission { until: Some(Instant::now()), ..submission("Hi") };
    assert!(matches!(stage.carrier.send(&late).await, SendOutcome::NotTaken(_)));
    id(&stage.carrier.send(&submission("there")).await);
    assert_eq!(stage.smsc.taken_so_far().len(), 1);
}

#[tokio::test]
async fn it_goes_over_tls_to_a_peer_that_is_the_one_it_says() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../server/src/guarded_http/test_certificates");
    let pem = |name: &str| format!("{folder}/{name}");
    let chain: Vec<_> = CertificateDer::pem_file_iter(pem("server.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(pem("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap());
    let root = CertificateDer::from_pem_file(pem("ca.pem")).unwrap();
    for (roots, name, is_trusted) in [
        (vec![root.clone()], "hooks.example.test", true),
        (vec![root], "other.example.test", false),
        (vec![], "hooks.example.test", false),
    ] {
        let smsc = Smsc::start_with_tls(server.clone().into()).await;
        let stage = Stage::over(smsc, Arc::default(), |settings| {
            let tls = SmppTls::trusting(roots).unwrap();
            settings.tls = Some(SmppTls { server_name: Some(name.to_owned()), ..tls });
            settings.patience = Duration::from_millis(if is_trusted { 10_000 } else { 300 });
        });
        let outcome = stage.carrier.send(&submission("secret")).await;
        assert_eq!(matches!(outcome, SendOutcome::Accepted { .. }), is_trusted, "{name}: {outcome:?}");
        assert_eq!(stage.smsc.binds(), usize::from(is_trusted), "nobody else is told the password");
    }
}
