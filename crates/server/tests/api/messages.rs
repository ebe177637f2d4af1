//! `/v1/messages` and the phones of the sandbox: what is said goes out, what is texted comes in.

use std::time::Duration;

use offhook_carriers::Submission;
use offhook_domain::message::{Failure, SendOutcome};
use offhook_domain::{Id, MessageId};
use offhook_store::{StoreError, Tx};
use serde_json::{Value, json};

use crate::app::{Sends, Setup, TestApp, id};

const OURS: &str = "+14155550100";
const HANDSET: &str = "+14152011234";

/// An installation with an agent that has a number.
async fn desk() -> (TestApp, String) {
    let app = TestApp::with_sandbox().await;
    let agent = id(&app.post("/v1/agents").json(json!({"name": "Desk"})).await.ok());
    app.number_of(&agent, OURS).await;
    (app, agent)
}

/// Looks again until what it looks for is there.
async fn until<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let found = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            match look().await {
                Some(found) => return found,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    });
    found.await.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// The status of a message once it is one of `wanted`, with its error code.
async fn settled(app: &TestApp, message: &str, wanted: &[&str]) -> (String, Option<String>) {
    until(&format!("{wanted:?}"), || async {
        let (status, code) = status(app, message).await;
        wanted.contains(&status.as_str()).then_some((status, code))
    })
    .await
}

async fn status(app: &TestApp, message: &str) -> (String, Option<String>) {
    let message = MessageId::parse(message).unwrap();
    let flight = app.app.store.read::<_, StoreError>(async move |tx: &mut Tx| tx.message_state(&message).await).await;
    let (status, code) = flight.unwrap().unwrap();
    (status.as_str().to_owned(), code)
}

async fn inbox(app: &TestApp, handset: &str) -> Vec<Value> {
    let path = format!("/sandbox/handsets/{}/messages?limit=100", handset.replace('+', "%2B"));
    app.stranger().get(&path).await.ok()["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_text_goes_out_arrives_and_is_receipted() {
    let (app, agent) = desk().await;
    let sent = app
        .post("/v1/messages")
        .json(json!({"agent_id": agent, "to_number": "(415) 201-1234", "body": "Hi"}))
        .await
        .ok();
    assert_eq!(
        (&sent["status"], &sent["channel"], &sent["from_number"], &sent["to_number"]),
        (&json!("queued"), &json!("sms"), &json!(OURS), &json!(HANDSET))
    );
    assert_eq!(settled(&app, &id(&sent), &["delivered", "failed", "unconfirmed"]).await.0, "delivered");
    let inbox = inbox(&app, HANDSET).await;
    assert_eq!((inbox.len(), &inbox[0]["body"], &inbox[0]["from"]), (1, &json!("Hi"), &json!(OURS)));
}

#[tokio::test]
async fn fifty_texts_of_one_conversation_arrive_in_order() {
    let (app, agent) = desk().await;
    for i in 0..50 {
        app.post("/v1/messages")
            .json(json!({"agent_id": agent, "to_number": HANDSET, "body": format!("{i}")}))
            .await
            .ok();
    }
    let texts = until("50 texts", || async {
        let inbox = inbox(&app, HANDSET).await;
        (inbox.len() == 50).then_some(inbox)
    })
    .await;
    let order: Vec<i64> = texts.iter().rev().map(|t| t["body"].as_str().unwrap().parse().unwrap()).collect();
    assert_eq!(order, (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn magic_receivers_fail_as_documented() {
    let (app, agent) = desk().await;
    let fates = [
        ("+15005550001", "failed", Some("21211")),
        ("+15005550002", "undelivered", Some("30003")),
        ("+15005550004", "failed", Some("21610")),
        ("+15005550005", "failed", Some("30007")),
        ("+15005550007", "failed", Some("30008")),
        ("+15005550009", "failed", Some("21614")),
        ("+15005550010", "delivered", None),
        ("+15005550011", "delivered", None),
        ("+15005550013", "unconfirmed", Some("30001")),
        ("+15005550014", "delivered", None),
    ];
    let mut sent = Vec::new();
    for (to, status, code) in fates {
        let answer = app.post("/v1/messages").json(json!({"agent_id": agent, "to_number": to, "body": to})).await.ok();
        sent.push((id(&answer), to, status, code));
    }
    for (message, to, wanted, code) in sent {
        let ends = ["failed", "undelivered", "delivered", "unconfirmed"];
        // A lost answer is unconfirmed first; the late receipt settles it.
        let ends = if to == "+15005550014" { &ends[..3] } else { &ends[..] };
        let (status, found) = settled(&app, &message, ends).await;
        assert_eq!((status.as_str(), found.as_deref()), (wanted, code), "{to}");
    }
}

#[tokio::test]
async fn a_busy_carrier_is_asked_again_and_order_is_kept() {
    let (app, agent) = desk().await;
    for body in ["first", "second"] {
        let to = "+15005550015";
        app.post("/v1/messages").json(json!({"agent_id": agent, "to_number": to, "body": body})).await.ok();
    }
    let texts = until("both texts", || async {
        let inbox = inbox(&app, "+15005550015").await;
        (inbox.len() == 2).then_some(inbox)
    })
    .await;
    let bodies: Vec<_> = texts.iter().rev().map(|t| t["body"].as_str().unwrap()).collect();
    assert_eq!(bodies, ["first", "second"]);
}

#[tokio::test]
async fn two_numbers_of_the_platform_text_each_other() {
    let (app, agent) = desk().await;
    let other = app.second_account().await;
    let there = other.number("+12125550100").await;
    app.sell_in_sandbox("+12125550100").await;
    let sent = app
        .post("/v1/messages")
        .json(json!({"agent_id": agent, "to_number": "+12125550100", "body": "Hello"}))
        .await
        .ok();
    settled(&app, &id(&sent), &["delivered"]).await;
    let got = until("the text", || async {
        let list = other.get(&format!("/v1/numbers/{there}/messages")).await.ok();
        list["data"].as_array().unwrap().first().cloned()
    })
    .await;
    assert_eq!((&got["body"], &got["direction"], &got["from_"]), (&json!("Hello"), &json!("inbound"), &json!(OURS)));
}

#[tokio::test]
async fn a_picture_from_a_handset_is_an_mms_in_its_conversation() {
    let (app, _) = desk().await;
    let text = json!({"from": HANDSET, "to": OURS, "body": "", "media_urls": ["https://example.org/cat.jpg"]});
    app.stranger().post("/sandbox/messages").json(text).await.ok();
    let conversations = app.get("/v1/conversations").await.ok();
    let conversation = &conversations["data"][0];
    assert_eq!((&conversation["participant"], &conversation["messageCount"]), (&json!(HANDSET), &json!(1)));
    let messages = app.get(&format!("/v1/conversations/{}/messages", id(conversation))).await.ok();
    let message = &messages["data"][0];
    assert_eq!((&message["channel"], &message["body"]), (&json!("mms"), &json!("")));
    assert_eq!(message["mediaUrls"], json!(["https://example.org/cat.jpg"]));
}

#[tokio::test]
async fn a_bad_message_is_refused_with_every_bad_field() {
    let (app, agent) = desk().await;
    let bad =
        json!({"agent_id": 7, "to_number": "nobody", "body": ["x"], "media_urls": ["ftp://x"], "from_number": "1"});
    let refusal = app.post("/v1/messages").json(bad).await.refused(422);
    assert_eq!(refusal.bad_fields, ["agent_id", "to_number", "body", "media_urls", "from_number"]);
    let empty = app.post("/v1/messages").json(json!({})).await.refused(422);
    assert_eq!(empty.bad_fields, ["to_number", "agent_id", "body"]);
    let long = json!({"agent_id": agent, "to_number": HANDSET, "body": "x".repeat(1601)});
    assert_eq!(app.post("/v1/messages").json(long).await.refused(422).bad_fields, ["body"]);
    for (to, status) in [("ada@example.org", 400), (OURS, 400), ("grp_01arz3ndektsv4rrffq69g5fav", 404)] {
        app.post("/v1/messages").json(json!({"agent_id": agent, "to_number": to, "body": "x"})).await.refused(status);
    }
}

#[tokio::test]
async fn nobody_sends_from_what_is_not_theirs() {
    let (app, agent) = desk().await;
    let other = app.second_account().await;
    let hello = |key: &str, value: &str| json!({key: value, "to_number": HANDSET, "body": "x"});
    assert_eq!(other.post("/v1/messages").json(hello("agent_id", &agent)).await.refused(404).code, "AGENT_NOT_FOUND");
    assert_eq!(
        other.post("/v1/messages").json(hello("from_number", OURS)).await.refused(404).code,
        "PHONE_NUMBER_NOT_FOUND"
    );
    let released = app.number("+14155550101").await;
    app.release(&released).await;
    app.post("/v1/messages").json(hello("number_id", released.as_str())).await.refused(400);
    let numberless = id(&app.post("/v1/agents").json(json!({"name": "New"})).await.ok());
    app.post("/v1/messages").json(hello("agent_id", &numberless)).await.refused(400);
}

#[tokio::test]
async fn a_repeated_send_under_one_key_sends_once() {
    let (app, agent) = desk().await;
    let text = json!({"agent_id": agent, "to_number": HANDSET, "body": "once"});
    let first = app.post("/v1/messages").json(text.clone()).once("k").await;
    let again = app.post("/v1/messages").json(text).once("k").await;
    assert_eq!(first.ok(), again.ok());
    assert!(again.replayed());
    settled(&app, &id(&first.ok()), &["delivered"]).await;
    assert_eq!(inbox(&app, HANDSET).await.len(), 1);
}

#[tokio::test]
async fn null_and_nothing_are_no_content_and_no_receiver() {
    let (app, agent) = desk().await;
    let wish = |rest: Value| {
        let mut wish = json!({"agent_id": agent, "to_number": HANDSET});
        wish.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        app.post("/v1/messages").json(wish)
    };

    for nothing in [json!({}), json!({"body": null, "media_url": null}), json!({"body": "", "media_urls": []})] {
        assert_eq!(wish(nothing.clone()).await.bad_fields(), ["body"], "{nothing}");
    }
    assert_eq!(wish(json!({"media_urls": ["x"]})).await.bad_fields(), ["media_urls"]);
    assert_eq!(wish(json!({"body": "Hi", "to_number": null, "recipients": null})).await.bad_fields(), ["to_number"]);
    assert_eq!(wish(json!({"body": "Hi", "agent_id": null})).await.bad_fields(), ["agent_id"]);
    wish(json!({"body": "Hi", "recipients": null, "number_id": null, "media_urls": null})).await.ok();
    let empty = json!({"from": HANDSET, "to": OURS, "media_urls": []});
    assert_eq!(app.post("/sandbox/messages").json(empty).await.bad_fields(), ["body"]);
}

/// A carrier that turns one text away once, and takes everything else.
#[derive(Default)]
struct TurnsAwayOnce {
    turned_away: std::sync::atomic::AtomicBool,
    taken: std::sync::Mutex<Vec<String>>,
}

impl Sends for TurnsAwayOnce {
    fn send(&self, submission: &Submission) -> SendOutcome {
        if submission.body == "first" && !self.turned_away.swap(true, std::sync::atomic::Ordering::SeqCst) {
            return SendOutcome::NotTaken(Failure { code: "1".to_owned(), reason: "busy".to_owned() });
        }
        self.taken.lock().unwrap().push(submission.body.clone());
        // Always the same id: a carrier may do so, and it must stop nothing.
        SendOutcome::Accepted { carrier_message_id: "one".to_owned() }
    }
}

#[tokio::test]
async fn nothing_overtakes_a_text_that_is_tried_again() {
    let carrier = std::sync::Arc::new(TurnsAwayOnce::default());
    let app = Setup::default().sending(&carrier).setting("OFFHOOK__SENDING__RETRY_SECONDS", "[1]").start().await;
    let agent = id(&app.post("/v1/agents").json(json!({"name": "Desk"})).await.ok());
    app.number_of(&agent, OURS).await;
    let mut last = String::new();
    for body in ["first", "second", "third"] {
        let text = json!({"agent_id": agent, "to_number": HANDSET, "body": body});
        last = id(&app.post("/v1/messages").json(text).await.ok());
    }
    let app = app.working();
    settled(&app, &last, &["sent"]).await;
    assert_eq!(*carrier.taken.lock().unwrap(), ["first", "second", "third"]);
}
