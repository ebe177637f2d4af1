//! What is kept of one person: handed out, erased, or past its time.

use std::time::Duration;

use offhook_server::jobs::retention;
use offhook_store::inbound_parts::{ArrivedPart, TextPiece};
use offhook_store::{StoreError, Tx};
use serde_json::{Value, json};

use crate::app::{TestApp, id};

const ADA: &str = "+14155550123";
const BOB: &str = "+14155550124";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Ada and Bob each write to a number.
async fn written_to() -> (TestApp, Value) {
    let app = TestApp::with_sandbox_unattended().await;
    let number = app.post("/v1/numbers").await.ok();
    let to = number["phoneNumber"].as_str().unwrap();
    app.is_sent(ADA, to, "the secret of Ada", &["https://example.com/ada.jpg"]).await;
    app.is_texted(BOB, to, "the word of Bob").await;
    app.is_texted(ADA, to, "another of Ada").await;
    app.post("/v1/contacts").json(json!({"phoneNumber": ADA, "name": "Ada"})).await.created();
    (app, number)
}

impl TestApp {
    /// With the sandbox carrier, but nobody who works on what waits.
    async fn with_sandbox_unattended() -> Self {
        crate::app::Setup::default().sandbox().start().await
    }

    async fn texts_of(&self, number: &Value) -> Vec<String> {
        let list = self.get(&format!("/v1/numbers/{}/messages", id(number))).await.ok();
        list["data"].as_array().unwrap().iter().map(|one| one["body"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn what_is_kept_of_a_person_is_handed_out() {
    let (app, _) = written_to().await;
    let export = app.post("/v1/privacy/export").json(json!({"phoneNumber": ADA})).await.ok();
    assert_eq!(export["contact"]["name"], "Ada");
    assert_eq!(export["conversations"].as_array().unwrap().len(), 1);
    let bodies: Vec<&str> =
        export["messages"].as_array().unwrap().iter().map(|m| m["body"].as_str().unwrap()).collect();
    assert_eq!(bodies, ["the secret of Ada", "another of Ada"]);
    assert_eq!((&export["calls"], &export["next"]), (&json!([]), &Value::Null));
    let after = export["messages"][0]["receivedAt"].clone();
    let rest = app.post("/v1/privacy/export").json(json!({"phone_number": ADA, "after": after})).await.ok();
    assert_eq!(rest["messages"].as_array().unwrap().len(), 1);

    let nobody = app.second_account().await.post("/v1/privacy/export").json(json!({"phoneNumber": ADA})).await.ok();
    assert_eq!((&nobody["contact"], &nobody["messages"]), (&Value::Null, &json!([])));
    let bad = app.post("/v1/privacy/export").json(json!({"phoneNumber": "nobody", "after": 5})).await;
    assert_eq!(bad.bad_fields(), ["phoneNumber", "after"]);
}

#[tokio::test]
async fn texts_that_came_in_parts_are_erased_with_their_words() {
    let (app, number) = written_to().await;
    let to = number["phoneNumber"].as_str().unwrap();
    let part = |key: &str, sender: &str, total, receiver: &str, number| ArrivedPart {
        id: format!("smpp_{key}"),
        text_key: key.to_owned(),
        digest: format!("{key} {number}"),
        fresh: false,
        sender: sender.to_owned(),
        receiver: receiver.to_owned(),
        total,
        piece: TextPiece { number, coding: "gsm7".to_owned(), octets: "736563726574".to_owned() },
        at: app.app.now(),
    };
    let parts = vec![
        part("whole", ADA, 2, to, 1),
        part("whole", ADA, 2, to, 2),
        part("waits", ADA, 2, to, 1),
        part("of-bob", BOB, 2, to, 1),
        part("elsewhere", ADA, 2, "+14155550199", 1),
    ];
    let store = &app.app.store;
    store.write::<_, StoreError>(async move |tx: &mut Tx| tx.keep_arrived_parts("smsc", &parts).await).await.unwrap();
    // +14155550199 is not the account's.
    let stranger = app.second_account().await;
    stranger.post("/v1/privacy/erase").json(json!({"phoneNumber": ADA})).await.ok();
    app.post("/v1/privacy/erase").json(json!({"phoneNumber": ADA})).await.ok();
    let later = app.app.now().plus(DAY);
    let left = store.write::<_, StoreError>(async move |tx: &mut Tx| tx.unfinished_texts("smsc", later).await).await;
    let left: Vec<String> = left.unwrap().into_iter().map(|text| text.id).collect();
    assert_eq!(left, ["smpp_elsewhere", "smpp_of-bob"]);
}

#[tokio::test]
async fn what_a_person_wrote_is_erased_and_nobody_elses() {
    let (app, number) = written_to().await;
    let wallet = app.wallet().await;
    let stranger = app.second_account().await;
    let done = json!({"done": true, "left": 0});
    assert_eq!(stranger.post("/v1/privacy/erase").json(json!({"phoneNumber": ADA})).await.ok(), done);
    assert_eq!(app.texts_of(&number).await, ["another of Ada", "the word of Bob", "the secret of Ada"]);

    for _ in 0..2 {
        assert_eq!(app.post("/v1/privacy/erase").json(json!({"phoneNumber": ADA})).await.ok(), done);
    }
    assert_eq!(app.texts_of(&number).await, ["", "the word of Bob", ""]);
    let export = app.post("/v1/privacy/export").json(json!({"phoneNumber": ADA})).await.ok();
    assert_eq!((&export["contact"], &export["conversations"][0]["lastMessagePreview"]), (&Value::Null, &json!("")));
    assert_eq!(export["messages"][0]["mediaUrls"], json!([]));
    assert!(!export.to_string().contains("of Ada"));
    // That there was something, and what it cost, stays.
    assert_eq!(app.get("/v1/usage").await.ok()["stats"]["totalMessages"], 3);
    assert_eq!(app.wallet().await, wallet);
    app.check_books().await;

    let log = app.get("/v1/audit-log?action=eraseContact").await.ok();
    assert_eq!(log["total"], 2);
    let target = log["data"][0]["target"].as_str().unwrap();
    assert!(target.starts_with("person "), "{target}");
    assert!(!log.to_string().contains(&ADA[1..]), "the log must not name who was erased");
}

#[tokio::test]
async fn what_is_on_its_way_is_left_until_it_has_arrived() {
    let (app, number) = written_to().await;
    let text = json!({"number_id": id(&number), "to_number": ADA, "body": "an answer"});
    let sent = app.post("/v1/messages").json(text).await.ok();
    let erased = app.post("/v1/privacy/erase").json(json!({"phoneNumber": ADA})).await.ok();
    assert_eq!(erased, json!({"done": false, "left": 1}));
    assert_eq!(app.texts_of(&number).await[0], "an answer");
    assert!(sent["id"].is_string());
    app.delete(&format!("/v1/numbers/{}", id(&number))).await.ok();
    let erased = app.post("/v1/privacy/erase").json(json!({"phoneNumber": ADA})).await.ok();
    assert_eq!(erased, json!({"done": true, "left": 0}));
    assert_eq!(app.texts_of(&number).await, ["", "", "the word of Bob", ""]);
}

#[tokio::test]
async fn the_log_of_deliveries_forgets_an_erased_person() {
    let (app, number) = written_to().await;
    let hook = app.post("/v1/webhooks").json(json!({"url": "https://hooks.example.com/in"})).await.ok();
    app.is_texted(ADA, number["phoneNumber"].as_str().unwrap(), "told to the webhook").await;
    let erase = async || app.post("/v1/privacy/erase").json(json!({"phoneNumber": ADA})).await.ok();
    assert_eq!(erase().await, json!({"done": false, "left": 1}), "it is still to be delivered");
    // A webhook that is gone has nothing delivered any more.
    assert!(hook["id"].is_string());
    app.settle_deliveries().await;
    assert_eq!(erase().await, json!({"done": true, "left": 0}));
    assert_eq!(app.get("/v1/webhooks/deliveries").await.ok()["total"], 0);
    assert_eq!(app.rows_of_events().await, 0);
}

impl TestApp {
    /// Has every delivery that waits end.
    async fn settle_deliveries(&self) {
        use offhook_store::{Sql, StoreError, Tx};
        const END: Sql = Sql("UPDATE deliveries SET status = 'failed'");
        let end = async |tx: &mut Tx| tx.run(END, []).await;
        self.app.store.write::<(), StoreError>(end).await.unwrap();
    }

    async fn rows_of_events(&self) -> i64 {
        use offhook_store::{Sql, StoreError, Tx};
        const COUNT: Sql = Sql("SELECT COUNT(*) FROM events");
        let count = async |tx: &mut Tx| tx.row(COUNT, []).await?.unwrap().take();
        self.app.store.read::<i64, StoreError>(count).await.unwrap()
    }
}

#[tokio::test]
async fn messages_are_deleted_when_their_time_is_over() {
    let (app, number) = written_to().await;
    let count = async || {
        let list = app.get("/v1/conversations").await.ok();
        let of_ada = list["data"].as_array().unwrap().iter().find(|one| one["participant"] == ADA).unwrap().clone();
        (of_ada["messageCount"].clone(), of_ada["lastMessagePreview"].clone())
    };
    app.later(10 * DAY);
    app.is_texted(BOB, number["phoneNumber"].as_str().unwrap(), "Bob again").await;
    retention::round(&app.app).await.unwrap();
    assert_eq!(app.texts_of(&number).await.len(), 4, "nobody asked for it");
    app.patch("/v1/account").json(json!({"retentionDays": 11})).await.ok();
    retention::round(&app.app).await.unwrap();
    assert_eq!(app.texts_of(&number).await.len(), 4);
    assert_eq!(count().await, (json!(2), json!("another of Ada")));
    app.patch("/v1/account").json(json!({"retentionDays": 9})).await.ok();
    retention::round(&app.app).await.unwrap();
    assert_eq!(app.texts_of(&number).await, ["Bob again"]);
    assert_eq!(count().await, (json!(0), json!("")));
    assert_eq!(app.get("/v1/usage").await.ok()["stats"]["totalMessages"], 4);
    app.check_books().await;
}

#[tokio::test]
async fn a_text_that_waits_to_be_sent_outlives_its_time() {
    let (app, number) = written_to().await;
    let text = json!({"number_id": id(&number), "to_number": ADA, "body": "still waiting"});
    app.post("/v1/messages").json(text).await.ok();
    app.later(10 * DAY);
    app.patch("/v1/account").json(json!({"retentionDays": 1})).await.ok();
    retention::round(&app.app).await.unwrap();
    assert_eq!(app.texts_of(&number).await, ["still waiting"]);
}

#[tokio::test]
async fn a_short_codes_texts_proofs_and_sandbox_phone_are_erased() {
    let (app, number) = written_to().await;
    let to = number["phoneNumber"].as_str().unwrap();
    app.is_texted("72345", to, "a word of the company").await;
    let code = json!({"phoneNumber": "72345"});
    assert_eq!(app.post("/v1/privacy/export").json(code.clone()).await.ok()["messages"].as_array().unwrap().len(), 1);
    assert_eq!(app.post("/v1/privacy/erase").json(code).await.ok(), json!({"done": true, "left": 0}));
    assert!(!app.texts_of(&number).await.contains(&"a word of the company".to_owned()));

    app.stranger().post("/sandbox/messages").json(json!({"from": ADA, "to": to, "body": "from her phone"})).await;
    let out = app.post("/v1/opt-outs").json(json!({"phoneNumber": ADA})).await.status;
    assert!(out.is_success());
    let list = app.get("/v1/opt-outs").await.ok();
    let path = format!("/v1/opt-outs/{}", id(&list["data"][0]));
    assert_eq!(app.delete(&format!("{path}?consent=%20")).await.bad_fields(), ["consent"]);
    app.delete(&format!("{path}?consent=Ada%20of%20Main%20Street%20said%20so")).await.no_content();
    assert!(app.get("/v1/opt-outs/log").await.text.contains("Main Street"));
    app.post("/v1/privacy/erase").json(json!({"phoneNumber": ADA})).await.ok();
    let log = app.get("/v1/opt-outs/log").await;
    assert!(!log.text.contains("Main Street"), "{}", log.text);
    assert!(log.text.contains(ADA), "that there was an opt-out stays");
    let inbox = app.stranger().get(&format!("/sandbox/handsets/{}/messages", ADA.replace('+', "%2B"))).await;
    assert!(!inbox.text.contains("from her phone"), "{}", inbox.text);
}
