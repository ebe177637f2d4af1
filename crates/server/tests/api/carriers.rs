//! Carriers that hang, panic, come late, repeat themselves, bring things out of order, and bring garbage.

use std::time::Duration;

use offhook_carriers::{Inbound, InboundMessage, Receipt};
use offhook_domain::message::{Failure, ReceiptStatus};
use offhook_domain::{E164, Id, MessageId, NumberId, Timestamp};
use offhook_server::app::receive_message::Brought;
use offhook_server::app::receiving::{receive, receive_each};
use offhook_store::{Sql, StoreError, Tx};
use serde_json::{Value, json};

use crate::app::{Client, Deed, FakeCarrier, ScriptedCarrier, Setup, TestApp, Turn, id};

const OURS: &str = "+14155550100";
const OTHER: &str = "+14155550101";
const ADA: &str = "+14152011234";
const BEN: &str = "+14152015678";
/// Receivers that begin so are never answered for.
const SILENT: &str = "+1415299";

/// An installation with this carrier, and a number.
async fn with(carrier: std::sync::Arc<ScriptedCarrier>, settings: &[(&'static str, &str)]) -> TestApp {
    let setup = settings.iter().fold(Setup::default(), |setup, (name, value)| setup.setting(name, value));
    let app = setup.carrier(carrier).start().await;
    app.number(OURS).await;
    app
}

async fn send(client: &Client, from: &str, to: &str) -> String {
    let text = json!({"from_number": from, "to_number": to, "body": "Hi"});
    id(&client.post("/v1/messages").json(text).await.ok())
}

/// Looks again until what it looks for is there.
async fn until<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let looking = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            match look().await {
                Some(found) => return found,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    });
    looking.await.unwrap_or_else(|_| panic!("{what} did not come"))
}

async fn status(app: &TestApp, message: &str) -> String {
    let message = MessageId::parse(message).unwrap();
    let state = app.app.store.read::<_, StoreError>(async move |tx: &mut Tx| tx.message_state(&message).await).await;
    state.unwrap().unwrap().0.as_str().to_owned()
}

async fn settled(app: &TestApp, message: &str, wanted: &str) {
    until(&format!("{wanted} of {message}"), || async { (status(app, message).await == wanted).then_some(()) }).await;
}

/// A receipt for what the carrier took under this id.
fn receipt(id: &str, status: ReceiptStatus) -> Receipt {
    let at = Timestamp::from_micros(0);
    Receipt { carrier: "sandbox", carrier_message_id: id.to_owned(), message_id: None, status, failure: None, at }
}

fn text(id: &str, from: &str, to: &str, body: &str) -> InboundMessage {
    InboundMessage {
        carrier: "sandbox",
        carrier_message_id: id.to_owned(),
        from: from.to_owned(),
        to: E164::parse(to).unwrap(),
        body: body.to_owned(),
        media_urls: Vec::new(),
    }
}

/// What a number sent and received, the oldest first.
async fn messages(client: &Client, number: &NumberId) -> Vec<Value> {
    let page = client.get(&format!("/v1/numbers/{number}/messages?limit=200")).await.ok();
    page["data"].as_array().unwrap().iter().rev().cloned().collect()
}

#[tokio::test]
async fn a_panic_in_a_carriers_code_is_one_texts_end_only() {
    let carrier = ScriptedCarrier::new();
    carrier.next(ADA, [Turn::Panic]);
    let app = with(carrier, &[]).await.working();
    let poisoned = send(&app, OURS, ADA).await;
    let (behind, beside) = (send(&app, OURS, ADA).await, send(&app, OURS, BEN).await);
    settled(&app, &poisoned, "unconfirmed").await;
    settled(&app, &behind, "sent").await;
    settled(&app, &beside, "sent").await;
    assert_eq!(app.post("/v1/numbers").json(json!({})).await.refused(502).code, "CARRIER_ERROR");
}

#[tokio::test]
async fn an_answer_that_comes_too_late_counts_no_more_but_a_receipt_does() {
    let carrier = ScriptedCarrier::new();
    carrier.next(ADA, [Turn::Wait]);
    let app = with(carrier.clone(), &[("OFFHOOK__SENDING__SUBMIT_TIMEOUT_SECONDS", "1")]).await.working();
    let (late, behind) = (send(&app, OURS, ADA).await, send(&app, OURS, ADA).await);
    settled(&app, &behind, "sent").await;
    assert_eq!(status(&app, &late).await, "unconfirmed");
    carrier.may_answer.notify_waiters();
    let ours = Some(MessageId::parse(&late).unwrap());
    let arrived = Receipt { message_id: ours, ..receipt("SM1", ReceiptStatus::Delivered) };
    receive(&app.app, vec![Inbound::Receipt(arrived)]).await.unwrap();
    assert_eq!(status(&app, &late).await, "delivered");
    assert_eq!(carrier.asked().len(), 2, "nothing is sent twice");
}

#[tokio::test]
async fn receipts_in_any_order_and_number_come_to_the_same() {
    use ReceiptStatus::{Delivered, Failed, Sent};
    let carrier = ScriptedCarrier::new();
    carrier.next(ADA, [Turn::Take("one"), Turn::Take("two"), Turn::Take("three")]);
    let app = with(carrier, &[]).await;
    let wish = json!({"url": "https://customer.example/hook", "events": ["message.status"]});
    app.post("/v1/webhooks").json(wish).await.ok();
    let orders = [vec![Delivered, Sent, Delivered, Failed], vec![Sent, Sent, Delivered], vec![Delivered, Delivered]];
    // The first two have their receipts before their own answers.
    let sent = [send(&app, OURS, ADA).await, send(&app, OURS, ADA).await, send(&app, OURS, ADA).await];
    for (id, order) in ["one", "two"].iter().zip(&orders) {
        for status in order {
            receive(&app.app, vec![Inbound::Receipt(receipt(id, *status))]).await.unwrap();
        }
    }
    let app = app.working();
    settled(&app, &sent[2], "sent").await;
    let together = orders[2].iter().map(|status| Inbound::Receipt(receipt("three", *status))).collect();
    receive(&app.app, together).await.unwrap();
    for message in &sent {
        settled(&app, message, "delivered").await;
    }
    let log = app.get("/v1/webhooks/deliveries?limit=100").await.ok();
    let mut told: Vec<&str> =
        log["items"].as_array().unwrap().iter().map(|item| item["messageId"].as_str().unwrap()).collect();
    told.sort_unstable();
    let mut expected: Vec<&str> = sent.iter().chain(&sent).map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(told, expected, "each is told once of its sending and once of its arrival");
}

#[tokio::test]
async fn a_text_that_is_brought_again_is_received_once() {
    let app = TestApp::start().await;
    let number = app.number(OURS).await;
    let hello = Inbound::Message(text("SM1", ADA, OURS, "Hello?"));
    receive(&app.app, vec![hello.clone(), hello.clone()]).await.unwrap();
    receive(&app.app, vec![hello.clone()]).await.unwrap();
    let (one, two) = tokio::join!(receive(&app.app, vec![hello.clone()]), receive(&app.app, vec![hello]));
    one.and(two).unwrap();
    assert_eq!(messages(&app, &number).await.len(), 1);
}

#[tokio::test]
async fn garbage_spoils_nothing_that_comes_with_it() {
    let carrier = ScriptedCarrier::new();
    carrier.next(ADA, [Turn::Take("same"), Turn::Take("same")]);
    let app = with(carrier, &[]).await.working();
    let number = app.number(OTHER).await;
    let (first, second) = (send(&app, OURS, ADA).await, send(&app, OURS, ADA).await);
    settled(&app, &second, "sent").await;
    receive(&app.app, vec![Inbound::Message(text("SM1", ADA, OTHER, "A good one"))]).await.unwrap();
    let inbound = messages(&app, &number).await[0]["id"].as_str().unwrap().to_owned();

    let absurd = "\0 \u{7}".repeat(100_000);
    let failure = Some(Failure::new(&absurd, &absurd));
    let of_inbound = Some(MessageId::parse(&inbound).unwrap());
    let garbage = vec![
        Inbound::Receipt(receipt("nobody's", ReceiptStatus::Delivered)),
        Inbound::Receipt(receipt("", ReceiptStatus::Delivered)),
        Inbound::Receipt(Receipt { failure, ..receipt(&absurd, ReceiptStatus::Failed) }),
        // A status for a text that came in, by the carrier's id and by ours.
        Inbound::Receipt(receipt("SM1", ReceiptStatus::Failed)),
        Inbound::Receipt(Receipt { message_id: of_inbound, ..receipt("x", ReceiptStatus::Failed) }),
        Inbound::Message(text("", &absurd, OTHER, &"é".repeat(1 << 20))),
        Inbound::Message(text(&absurd, "", OTHER, "\0")),
        Inbound::Message(text("SM2", ADA, "+14155550199", "for a number that nobody holds")),
        Inbound::Message(text("SM3", ADA, OTHER, "Another good one")),
        Inbound::Receipt(receipt("same", ReceiptStatus::Delivered)),
    ];
    receive(&app.app, garbage).await.unwrap();

    assert_eq!(status(&app, &first).await, "delivered", "the id is the first one's");
    assert_eq!(status(&app, &second).await, "sent");
    let kept = messages(&app, &number).await;
    let bodies: Vec<_> = kept.iter().map(|message| message["body"].as_str().unwrap()).collect();
    assert_eq!(kept.len(), 4, "{:?}", kept.iter().map(|message| &message["from"]).collect::<Vec<_>>());
    assert!(bodies.contains(&"A good one") && bodies.contains(&"Another good one"));
    assert_eq!(kept.iter().filter(|message| message["from"] == "unknown").count(), 2);
    assert!(kept.iter().all(|message| message["status"] == "received"));
    assert_eq!(bodies.iter().map(|body| body.chars().count()).max(), Some(40_000));
}

#[tokio::test]
async fn a_text_for_a_number_that_is_being_bought_keeps_no_other_waiting() {
    let carrier = FakeCarrier::doing([Deed::SellAndWait]);
    let app = Setup::default().carrier(carrier.clone()).start().await;
    let held = app.number("+12125550100").await;
    let buying = app.post("/v1/numbers").json(json!({})).into_future();
    tokio::pin!(buying);
    tokio::select! {
        _ = &mut buying => panic!("it is bought before it is told so"),
        () = carrier.keeps_waiting.notified() => {}
    }
    let texts = || {
        let early = text("SM1", ADA, OURS, "early");
        vec![Inbound::Message(early), Inbound::Message(text("SM2", ADA, "+12125550100", "Hello?"))]
    };
    let brought: Vec<Brought> = receive_each(&app.app, texts()).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(brought, [Brought::Later, Brought::Kept]);
    assert_eq!(messages(&app, &held).await.len(), 1);
    receive(&app.app, texts()).await.unwrap_err();
    carrier.may_answer.notify_one();
    let bought = buying.await;
    receive(&app.app, texts()).await.unwrap();
    let bought = NumberId::parse(&id(&bought.ok())).unwrap();
    assert_eq!(messages(&app, &bought).await.len(), 1);
}

#[tokio::test]
async fn a_conversation_of_hundreds_that_hangs_holds_up_no_other() {
    let carrier = ScriptedCarrier::new();
    carrier.is_silent_for(SILENT);
    let app = with(carrier.clone(), &[]).await;
    for _ in 0..400 {
        send(&app, OURS, "+14152990000").await;
    }
    let app = app.working();
    until("the first", || async { (!carrier.asked().is_empty()).then_some(()) }).await;
    let beside = send(&app, OURS, ADA).await;
    settled(&app, &beside, "sent").await;
    assert_eq!(carrier.asked().len(), 2, "of the silent conversation one at a time");
}

#[tokio::test]
async fn a_number_whose_receivers_all_hang_leaves_places_to_the_others() {
    let carrier = ScriptedCarrier::new();
    carrier.is_silent_for(SILENT);
    let app = with(carrier.clone(), &[("OFFHOOK__SENDING__CONCURRENCY", "4")]).await;
    app.number(OTHER).await;
    for n in 0..10 {
        send(&app, OURS, &format!("{SILENT}{n:04}")).await;
    }
    let app = app.working();
    until("those there are places for", || async { (carrier.asked().len() == 2).then_some(()) }).await;
    for n in 0..10 {
        let other = send(&app, OTHER, &format!("+1415201{n:04}")).await;
        settled(&app, &other, "sent").await;
    }
}

#[tokio::test]
async fn a_carrier_that_hangs_takes_no_places_of_another() {
    let (hanging, well) = (ScriptedCarrier::new(), ScriptedCarrier::named("other"));
    hanging.is_silent_for("+1");
    let setup = Setup::default().setting("OFFHOOK__SENDING__CONCURRENCY", 2);
    let app = setup.carriers_of(vec![hanging.clone(), well]).start().await;
    let numbers = ["+14155550101", "+14155550102", "+14155550103"];
    for number in numbers {
        app.number(number).await;
        send(&app, number, ADA).await;
    }
    app.number(OURS).await;
    const MOVE: Sql = Sql("UPDATE numbers SET carrier = 'other' WHERE phone_number = '+14155550100'");
    app.app.store.write::<_, StoreError>(async |tx: &mut Tx| tx.run(MOVE, []).await).await.unwrap();
    let app = app.working();
    until("both places", || async { (hanging.asked().len() == 2).then_some(()) }).await;
    let other = send(&app, OURS, ADA).await;
    settled(&app, &other, "sent").await;
}
