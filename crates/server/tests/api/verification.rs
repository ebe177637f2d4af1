//! `/v1/verify`: whose a phone number is.

use std::time::Duration;

use futures_util::future::join_all;
use offhook_store::engine::Value as Column;
use offhook_store::{Sql, StoreError, Tx};
use serde_json::{Value, json};

use crate::app::{Client, Setup, TestApp};

const THEIRS: &str = "+14152011234";

async fn with_number() -> TestApp {
    let app = TestApp::start().await;
    app.number("+14155550100").await;
    app
}

async fn send(client: &Client) -> (String, String) {
    let sent = client.post("/v1/verify/send").json(json!({"phone_number": THEIRS})).await.ok();
    (sent["verification_id"].as_str().unwrap().to_owned(), last_body(client).await[..6].to_owned())
}

/// What the receiver reads.
async fn last_body(client: &Client) -> String {
    const LAST: Sql = Sql("SELECT body FROM messages WHERE account_id = $1 ORDER BY id DESC LIMIT 1");
    let account = Column::Text(client.account.to_string());
    let read = async move |tx: &mut Tx| tx.one(LAST, [account.clone()]).await?.take::<String>();
    client.app.store.read::<_, StoreError>(read).await.unwrap()
}

fn entry(id: &str, code: &str) -> Value {
    json!({"verification_id": id, "code": code})
}

fn wrong(code: &str) -> &'static str {
    if code == "000000" { "000001" } else { "000000" }
}

#[tokio::test]
async fn a_code_is_texted_and_entered_once() {
    let app = with_number().await;
    let sent = app.post("/v1/verify/send").json(json!({"phone_number": "(415) 201-1234"})).await.ok();
    let id = sent["verification_id"].as_str().unwrap();
    assert!(id.starts_with("ver_") && sent["expires_at"].as_str().unwrap().ends_with('Z'), "{sent}");
    let code = last_body(&app).await[..6].to_owned();

    let missed = app.post("/v1/verify/check").json(entry(id, wrong(&code))).await.ok();
    assert_eq!(missed, json!({"verified": false, "attempts_left": 4}));
    let right = app.post("/v1/verify/check").json(entry(id, &code)).once("k").await.ok();
    assert_eq!(right, json!({"verified": true, "attempts_left": 3}));
    // A repeat of the request hears the same; another request does not.
    assert_eq!(app.post("/v1/verify/check").json(entry(id, &code)).once("k").await.ok(), right);
    app.post("/v1/verify/check").json(entry(id, &code)).await.refused(400);
}

#[tokio::test]
async fn a_code_is_shown_to_nobody_but_its_receiver() {
    let app = with_number().await;
    let (_, code) = send(&app).await;
    let conversations = app.get("/v1/conversations").await;
    let path = format!("/v1/conversations/{}", conversations.ok()["data"][0]["id"].as_str().unwrap());
    let number = app.get("/v1/numbers").await.ok()["data"][0]["id"].as_str().unwrap().to_owned();
    for path in ["/v1/conversations", &path, &format!("{path}/messages"), &format!("/v1/numbers/{number}/messages")] {
        let shown = app.get(path).await;
        shown.ok();
        assert!(shown.text.contains("•••••• is your verification code"), "{path}: {}", shown.text);
        assert!(!shown.text.contains(&code), "{path}: {}", shown.text);
    }
}

#[tokio::test]
async fn a_code_ends_with_its_time_and_with_its_tries() {
    let app = with_number().await;
    let (id, code) = send(&app).await;
    for left in (0..5).rev() {
        let missed = app.post("/v1/verify/check").json(entry(&id, wrong(&code))).await.ok();
        assert_eq!(missed, json!({"verified": false, "attempts_left": left}));
    }
    let late = app.post("/v1/verify/check").json(entry(&id, &code)).await.ok();
    assert_eq!(late, json!({"verified": false, "attempts_left": 0}));

    let (id, code) = send(&app).await;
    app.later(Duration::from_secs(600));
    app.post("/v1/verify/check").json(entry(&id, &code)).await.refused(400);
}

#[tokio::test]
async fn five_codes_are_looked_at_however_many_come_at_once() {
    let app = with_number().await;
    let (id, code) = send(&app).await;
    let entered = (0..40).map(|_| app.post("/v1/verify/check").json(entry(&id, wrong(&code))).into_future());
    let left: Vec<_> = join_all(entered).await.iter().map(|a| a.ok()["attempts_left"].as_i64().unwrap()).collect();
    assert_eq!((0..5).map(|n| left.iter().filter(|l| **l == n).count()).collect::<Vec<_>>(), [36, 1, 1, 1, 1]);
    assert_eq!(app.post("/v1/verify/check").json(entry(&id, &code)).await.ok()["verified"], false);
}

#[tokio::test]
async fn a_right_code_is_right_once_however_often_it_comes() {
    let app = with_number().await;
    let (id, code) = send(&app).await;
    let entered = (0..20).map(|_| app.post("/v1/verify/check").json(entry(&id, &code)).into_future());
    let verified = join_all(entered).await.into_iter().filter(|answer| answer.status == 200).count();
    assert_eq!(verified, 1);
}

#[tokio::test]
async fn codes_are_not_sent_without_end() {
    let setup = Setup::default().setting("OFFHOOK__VERIFICATION__PER_ACCOUNT_PER_HOUR", 7);
    let app = setup.start().await;
    app.number("+14155550100").await;
    let send = |to: &str| app.post("/v1/verify/send").json(json!({"phone_number": to}));
    let answers = join_all((0..12).map(|_| send(THEIRS).into_future())).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 5, "for one number");
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(refused.refused(429).code, "RATE_LIMIT_EXCEEDED");
        assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    }
    let other = app.second_account().await;
    other.number("+14155550101").await;
    other.post("/v1/verify/send").json(json!({"phone_number": THEIRS})).await.refused(429);
    other.post("/v1/verify/send").json(json!({"phone_number": "+14152011235"})).await.ok();
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused() {
    let app = Setup::default().setting("OFFHOOK__PRICES__SANDBOX_FREE", false).start().await;
    app.post("/v1/verify/send").json(json!({"phone_number": THEIRS})).await.refused(400);
    app.number("+14155550100").await;
    app.post("/v1/verify/send").json(json!({"phone_number": THEIRS})).await.refused(402);
    app.credit(1).await;
    app.post("/v1/verify/send").json(json!({"phone_number": "+14155550100"})).await.refused(400);
    app.post("/v1/verify/send").json(json!({"phone_number": "+19002011234"})).await.refused(400);
    assert_eq!(app.post("/v1/verify/send").await.bad_fields(), ["phone_number"]);
    assert_eq!(app.post("/v1/verify/check").json(entry("x", "12345a")).await.bad_fields(), ["code"]);
    assert_eq!(app.post("/v1/verify/check").await.bad_fields(), ["verification_id", "code"]);
    let (id, code) = send(&app).await;
    assert_eq!(app.wallet().await, "$0.98");
    let other = app.second_account().await;
    let foreign = other.post("/v1/verify/check").json(entry(&id, &code)).await;
    assert_eq!(foreign.refused(404).code, "VERIFICATION_NOT_FOUND");
}

#[tokio::test]
async fn the_same_key_sends_one_code() {
    let app = with_number().await;
    let wish = json!({"phone_number": THEIRS});
    let first = app.post("/v1/verify/send").json(wish.clone()).once("k").await;
    let again = app.post("/v1/verify/send").json(wish).once("k").await;
    assert_eq!((again.ok(), again.replayed()), (first.ok(), true));
    assert_eq!(app.get("/v1/conversations").await.ok()["data"][0]["messageCount"], 1);
}
