//! Texts over SMPP, from the request to the receipt and from the handset to the list of messages.

use std::time::Duration;

use offhook_carriers::smpp::SmppSettings;
use offhook_domain::message::MessageStatus;
use offhook_domain::{Id, MessageId};
use offhook_smpp::{Address, Coding, Fragment, Message, Status, decode, encode, esm_class, with_udh};
use offhook_store::{StoreError, Tx};
use offhook_testkit::smsc::{Receipts, Reply, Smsc};
use serde_json::{Value, json};

use crate::app::{Client, Setup, TestApp, id};

const OURS: &str = "+14155550100";
const ADA: &str = "+14152011234";

/// An installation with workers, a number, and a message centre that it is bound to.
async fn bound() -> (TestApp, Smsc, String) {
    let smsc = Smsc::start().await;
    let app = Setup::default().smpp(settings(&smsc)).start().await.working();
    smsc.bound(1).await;
    let number = app.number(OURS).await.to_string();
    (app, smsc, number)
}

/// Numbers in these tests are the sandbox's.
fn settings(smsc: &Smsc) -> SmppSettings {
    SmppSettings {
        reconnect_at_most: Duration::from_millis(300),
        ..SmppSettings::new("sandbox", "127.0.0.1", smsc.port(), "us", "secret")
    }
}

async fn send(client: &Client, body: &str) -> String {
    let text = json!({"from_number": OURS, "to_number": ADA, "body": body});
    id(&client.post("/v1/messages").json(text).await.ok())
}

async fn messages(client: &Client, number: &str) -> Vec<Value> {
    let page = client.get(&format!("/v1/numbers/{number}/messages?limit=200")).await.ok();
    page["data"].as_array().unwrap().iter().rev().cloned().collect()
}

/// Looks until all messages are so.
async fn all_are(client: &Client, number: &str, count: usize, status: &str) -> Vec<Value> {
    let looking = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let all = messages(client, number).await;
            if all.len() == count && all.iter().all(|message| message["status"] == status) {
                return all;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    match looking.await {
        Ok(all) => all,
        Err(_) => panic!("not {count} messages {status}: {:#?}", messages(client, number).await),
    }
}

/// Where a message stands, and its error code.
async fn state(app: &TestApp, message: &str) -> (MessageStatus, Option<String>) {
    let message = MessageId::parse(message).unwrap();
    let read = async move |tx: &mut Tx| tx.message_state(&message).await;
    app.app.store.read::<_, StoreError>(read).await.unwrap().unwrap()
}

/// A text from Ada.
fn text(body: &str) -> Message {
    Message {
        source: Address::new(1, 1, &ADA[1..]),
        destination: Address::new(1, 1, &OURS[1..]),
        short_message: encode(body, Coding::Gsm7, 0),
        ..Message::default()
    }
}

fn part(total: u8, number: u8, body: &str) -> Message {
    let short_message = with_udh(7, total, number, &encode(body, Coding::Ucs2, 6));
    Message { esm_class: esm_class::UDHI, data_coding: 8, short_message, ..text("") }
}

#[tokio::test]
async fn a_text_is_delivered_when_its_receipt_says_so() {
    let (app, smsc, number) = bound().await;
    for receipts in [Receipts::First, Receipts::AtOnce, Receipts::Later(Duration::from_millis(50))] {
        smsc.behave(|manners| manners.receipts = receipts);
        send(&app, "Grüße").await;
    }
    all_are(&app, &number, 3, "delivered").await;
    assert_eq!(decode(&smsc.taken(3).await[0].message.short_message, Coding::Gsm7, 0), "Grüße");
}

#[tokio::test]
async fn ten_parts_are_one_message_whenever_their_receipts_come() {
    let (app, smsc, number) = bound().await;
    let body = "☎ grüße ".repeat(82);
    for receipts in [Receipts::First, Receipts::AtOnce, Receipts::Later(Duration::from_millis(50))] {
        smsc.behave(|manners| manners.receipts = receipts);
        send(&app, &body).await;
    }
    all_are(&app, &number, 3, "delivered").await;
    smsc.all_answered().await;
    smsc.behave(|manners| {
        manners.fate = |message| if Fragment::of(message).unwrap().number == 4 { "UNDELIV" } else { "DELIVRD" };
    });
    let failed = send(&app, &body).await;
    smsc.taken(40).await;
    smsc.all_answered().await;
    while state(&app, &failed).await.0 != MessageStatus::Undelivered {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(state(&app, &failed).await.1.as_deref(), Some("021"));
    smsc.all_answered().await;
    let far = app.app.now().plus(Duration::from_secs(1));
    let prune = async move |tx: &mut Tx| tx.prune_early_receipts(far).await;
    let left = app.app.store.write::<_, StoreError>(prune).await.unwrap();
    assert_eq!(left, 0, "no receipt of a part is left for a message that gets its id");
}

#[tokio::test]
async fn a_refusal_is_told_with_the_carriers_code_and_costs_nothing() {
    let (app, smsc, number) = bound().await;
    let before = app.wallet().await;
    smsc.judge(|_| Reply::Refuse(Status::RINVDSTADR));
    let refused = send(&app, "Hi").await;
    all_are(&app, &number, 1, "failed").await;
    assert_eq!(state(&app, &refused).await.1.as_deref(), Some("ESME_RINVDSTADR"));
    assert_eq!(app.wallet().await, before);
}

#[tokio::test]
async fn parts_of_a_text_wait_in_the_store() {
    let (app, smsc, number) = bound().await;
    for (n, body) in [(3, "three"), (1, "one "), (2, "two ")] {
        let number = smsc.bring(part(3, n, body));
        assert_eq!(smsc.answer_to(number).await, Status::ROK);
        // Each comes over a connection of its own, and the last two again.
        smsc.cut_all();
        smsc.deserted().await;
    }
    let again = [smsc.bring(part(3, 1, "one ")), smsc.bring(part(3, 2, "two "))];
    for number in again {
        assert_eq!(smsc.answer_to(number).await, Status::ROK);
    }
    let all = all_are(&app, &number, 1, "received").await;
    assert_eq!(all[0]["body"], "one two three");
}

#[tokio::test]
async fn a_text_whose_answer_was_cut_off_is_received_once() {
    let (app, smsc, number) = bound().await;
    let first = smsc.bring(text("yes"));
    smsc.answer_to(first).await;
    let again = smsc.bring(text("yes"));
    smsc.answer_to(again).await;
    // The second boundary: after it is brought, before its answer is looked at.
    smsc.cut_at(2);
    let cut = smsc.bring(text("yes, please"));
    smsc.answer_to(cut).await;
    assert_eq!(smsc.brought(), 4);
    let all = all_are(&app, &number, 3, "received").await;
    assert_eq!(all[2]["body"], "yes, please");
}

#[tokio::test]
async fn what_is_on_its_way_in_a_cut_is_unconfirmed_until_its_receipt_comes_or_for_good() {
    let (app, smsc, number) = bound().await;
    smsc.behave(|manners| manners.receipts = Receipts::Never);
    smsc.judge(|_| Reply::Silence);
    send(&app, "Hi").await;
    smsc.taken(1).await;
    smsc.accept_all();
    smsc.cut_all();
    all_are(&app, &number, 1, "unconfirmed").await;
    assert_eq!(smsc.taken_so_far().len(), 1, "it is not sent again");
}

/// Each boundary of PDUs in turn, until a round passes without a cut: texts of one part and of three go, two come, receipts
/// come back.
#[tokio::test]
async fn the_books_balance_at_whichever_pdu_the_connection_is_cut() {
    let (app, smsc, number) = bound().await;
    let mut count = 0;
    for boundary in 1.. {
        smsc.bound(1).await;
        let (cuts, before) = (smsc.cuts(), smsc.taken_so_far().len());
        smsc.cut_at(boundary);
        for n in 0..2 {
            smsc.bring(text(&format!("in {boundary} {n}")));
        }
        let bodies =
            [format!("out {boundary}"), format!("last {boundary}"), "☎ long ".repeat(20) + &boundary.to_string()];
        for body in &bodies {
            send(&app, body).await;
        }
        count += 5;
        let all = settled(&app, &number, count).await;
        smsc.all_answered().await;
        let taken = smsc.taken_so_far().split_off(before);
        for body in &bodies {
            let told = all.iter().find(|one| one["body"] == **body).unwrap();
            let parts = if body.starts_with('☎') { 3 } else { 1 };
            let times = taken.iter().filter(|one| says(&one.message, body)).count();
            match told["status"].as_str().unwrap() {
                "delivered" => assert_eq!(times, parts, "cut at {boundary}: {body}"),
                "unconfirmed" => assert!(times <= parts, "cut at {boundary}: {body} went {times} times"),
                other => panic!("cut at {boundary}: {body} is {other}"),
            }
        }
        let came = |n| all.iter().filter(|one| one["body"] == format!("in {boundary} {n}")).count();
        assert_eq!((came(0), came(1)), (1, 1), "cut at {boundary}");
        let disagreeing = app.app.store.read(async |tx: &mut Tx| tx.disagreeing_books().await).await.unwrap();
        assert!(disagreeing.is_empty(), "cut at {boundary}: {disagreeing:?}");
        if smsc.cuts() == cuts {
            assert!(boundary > 30, "there were {boundary} boundaries only");
            return;
        }
    }
}

/// Whether a submission is this text, or a part of it. Parts of one length have their numbers in them.
fn says(message: &Message, body: &str) -> bool {
    match Fragment::of(message) {
        None => decode(&message.short_message, Coding::Gsm7, 0) == body,
        Some(part) => {
            let octets = encode(body, Coding::Ucs2, 6);
            let said = &message.short_message[6..];
            octets.chunks(134).nth(usize::from(part.number) - 1) == Some(said)
        }
    }
}

/// Looks until there are so many messages, and nothing more is going to happen to any.
async fn settled(client: &Client, number: &str, count: usize) -> Vec<Value> {
    let is_open = |one: &Value| matches!(one["status"].as_str(), Some("queued" | "sending" | "sent"));
    let looking = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let all = messages(client, number).await;
            if all.len() == count.min(200) && !all.iter().any(is_open) {
                return all;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    match looking.await {
        Ok(all) => all,
        Err(_) => {
            panic!("not settled: {:#?}", messages(client, number).await.into_iter().filter(is_open).collect::<Vec<_>>())
        }
    }
}
