//! Messages that are sent at the same moment share a transaction, and nothing else.

use futures_util::future::join_all;
use offhook_domain::Micros;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::app::{Setup, TestApp, id};

const ADA: &str = "+14152010001";

fn text(to: &str, from: &Value) -> Value {
    json!({"number_id": from["id"], "to_number": to, "body": "At once"})
}

#[tokio::test]
async fn one_key_used_many_times_at_once_sends_once() {
    let app = TestApp::with_sandbox().await;
    let number = app.post("/v1/numbers").await.ok();
    let sends = (0..50).map(|_| app.post("/v1/messages").json(text(ADA, &number)).once("k").into_future());
    let answers = join_all(sends).await;
    let replayed = answers.iter().filter(|answer| answer.replayed()).count();
    let ids: std::collections::HashSet<_> = answers.into_iter().map(|answer| id(&answer.ok())).collect();
    assert_eq!((ids.len(), replayed), (1, 49));
    let list = app.get("/v1/conversations").await.ok();
    assert_eq!(list["data"][0]["messageCount"], 1);
}

#[tokio::test]
async fn what_the_wallet_covers_is_accepted_to_the_last_micro_dollar() {
    let setup = Setup::default()
        .setting("OFFHOOK__PRICES__SANDBOX_FREE", false)
        .setting("OFFHOOK__PRICES__NUMBER_MONTH_MICROS", 0)
        .setting("OFFHOOK__PRICES__SMS_SEGMENT_MICROS", 300_001);
    let app = setup.sandbox().start().await;
    app.credit(1).await;
    let number = app.post("/v1/numbers").await.ok();
    let sends =
        (0..20).map(|n| app.post("/v1/messages").json(text(&format!("+141520100{n:02}"), &number)).into_future());
    let answers = join_all(sends).await;
    let accepted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(accepted, 3);
    for refused in answers.into_iter().filter(|answer| answer.status != 200) {
        assert_eq!(refused.refused(402).code, "INSUFFICIENT_BALANCE");
    }
    assert_eq!(app.get("/v1/conversations").await.ok()["total"], 3, "nothing is kept of what was refused");
    assert_eq!(app.wallet().await, Micros(99_997).to_string());
    app.check_books().await;
}

#[tokio::test]
async fn each_is_judged_for_itself() {
    let app = TestApp::with_sandbox().await;
    let other = app.second_account().await;
    let number = app.post("/v1/numbers").await.ok();
    let released = app.post("/v1/numbers").await.ok();
    app.delete(&format!("/v1/numbers/{}", id(&released))).await.ok();
    let send = |client: &crate::app::Client, body: Value| client.post("/v1/messages").json(body).into_future();
    let answers = join_all([
        send(&app, text(ADA, &number)),
        send(&app, text(ADA, &released)),
        send(&app, text("911", &number)),
        send(&other, text(ADA, &number)),
        send(&app, json!({"agent_id": "agt_none", "to_number": ADA, "body": "Hi"})),
        send(&app, text(number["phoneNumber"].as_str().unwrap(), &number)),
        send(&app, text("+14152010002", &number)),
    ])
    .await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [200, 400, 400, 404, 404, 400, 200]);
}

#[tokio::test]
async fn a_client_that_hangs_up_takes_nobody_with_it() {
    let app = TestApp::with_sandbox().await;
    let number = app.post("/v1/numbers").await.ok();
    let mut sends: Vec<_> = (0..40)
        .map(|n| Box::pin(app.post("/v1/messages").json(text(&format!("+141520100{n:02}"), &number)).into_future()))
        .collect();
    for send in &mut sends {
        drop(futures_util::poll!(send.as_mut()));
    }
    // Every second hangs up, whether its message is under way or still waits.
    let mut place = 0;
    sends.retain(|_| {
        place += 1;
        place % 2 == 0
    });
    for answer in join_all(sends).await {
        answer.ok();
    }
    let conversations = app.get("/v1/conversations?limit=100").await.ok();
    assert!(conversations["total"].as_u64().unwrap() >= 20);
    app.post("/v1/messages").json(text(ADA, &number)).await.ok();
}

/// On PostgreSQL, where somebody else may hold a row: an operator's transaction, or a node that was paused.
#[tokio::test]
async fn who_waits_for_a_held_row_holds_up_nobody_else() {
    let app = TestApp::with_sandbox().await;
    let number = app.post("/v1/numbers").await.ok();
    let send = |to: &str| app.post("/v1/messages").json(text(to, &number)).into_future();
    send(ADA).await.ok();
    let held = app.hold_conversation_with(ADA).await;
    let mut waits = JoinSet::new();
    waits.spawn(send(ADA));
    let others = join_all((10..60).map(|n| send(&format!("+141520100{n}")))).await;
    others.into_iter().for_each(|answer| drop(answer.ok()));
    assert!(!held.is_real() || waits.try_join_next().is_none(), "the others are answered while it waits");
    held.let_go().await;
    waits.join_all().await.remove(0).ok();
}
