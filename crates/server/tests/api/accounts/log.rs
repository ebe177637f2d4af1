//! The audit log: who did what, with which key, and what came of it.

use serde_json::{Value, json};

use crate::app::{TestApp, id};

fn actions(log: &Value) -> Vec<(&str, u64)> {
    let lines = log["data"].as_array().unwrap().iter();
    lines.map(|line| (line["action"].as_str().unwrap(), line["status"].as_u64().unwrap())).collect()
}

#[tokio::test]
async fn what_is_done_is_logged_and_what_is_said_is_not() {
    let app = TestApp::start().await;
    let agent = app.post("/v1/agents").header("x-request-id", "the-first").json(json!({"name": "Agent"})).await.ok();
    app.get("/v1/agents").await.ok();
    app.post("/v1/contacts").json(json!({"phoneNumber": "+14155550100", "name": "Ada"})).await.created();
    let key = app.post("/v1/keys").json(json!({"name": "laptop"})).await.created();
    app.delete("/v1/agents/agt_06ck3v0w2e8zg1m8t4q7x5n9ra").await.refused(404);

    let log = app.get("/v1/audit-log").await.ok();
    assert_eq!(actions(&log), [("deleteAgent", 404), ("createKey", 201), ("createAgent", 200)]);
    let (made_key, made_agent) = (&log["data"][1], &log["data"][2]);
    assert_eq!((&made_key["target"], &made_agent["target"]), (&key["id"], &agent["id"]));
    assert_eq!((&made_agent["requestId"], &made_agent["actor"]), (&json!("the-first"), &json!("key")));
    assert!(made_agent["keyId"].as_str().unwrap().starts_with("key_"));
    assert!(!log.to_string().contains(key["key"].as_str().unwrap()), "no secrets");
    assert!(!log.to_string().contains("laptop"), "no bodies");
}

#[tokio::test]
async fn the_log_is_searched_by_action_and_time() {
    let app = TestApp::start().await;
    app.post("/v1/agents").json(json!({"name": "One"})).await.ok();
    let between = app.app.now();
    app.post("/v1/agents").json(json!({"name": "Two"})).await.ok();
    app.post("/v1/keys").json(json!({"name": "laptop"})).await.created();
    let total = async |query: &str| app.get(&format!("/v1/audit-log?{query}")).await.ok()["total"].clone();
    assert_eq!(total("action=createAgent").await, 2);
    assert_eq!(total("action=").await, 3);
    assert_eq!(total(&format!("since={between}")).await, 2);
    assert_eq!(total(&format!("since={between}&action=createKey")).await, 1);
    assert_eq!(app.get("/v1/audit-log?since=yesterday").await.bad_fields(), ["since"]);
}

#[tokio::test]
async fn a_masters_act_is_in_the_sub_accounts_log() {
    let app = TestApp::start().await;
    let child = app.child("Child").await;
    let agent = child.post("/v1/agents").json(json!({"name": "Agent"})).await.ok();
    assert_eq!(actions(&app.get("/v1/audit-log").await.ok()), [("createSubAccount", 201)]);
    let log = child.get("/v1/audit-log").await.ok();
    assert_eq!((actions(&log), &log["data"][0]["target"]), (vec![("createAgent", 200)], &json!(id(&agent))));
}

#[tokio::test]
async fn an_act_that_is_only_answered_again_is_marked() {
    let app = TestApp::start().await;
    for _ in 0..2 {
        app.post("/v1/agents").json(json!({"name": "Agent"})).once("once").await.ok();
    }
    let log = app.get("/v1/audit-log").await.ok();
    assert_eq!((&log["data"][0]["replayed"], &log["data"][1]["replayed"]), (&json!(true), &json!(false)));
    assert_eq!(log["data"][0]["target"], log["data"][1]["target"]);
}

/// Whoever has found a key and tries what it can do leaves lines.
#[tokio::test]
async fn what_a_key_is_refused_is_logged_once_in_a_while() {
    let app = TestApp::start().await;
    let child = app.child("Child").await;
    let prober = app.key_for(&["read"]).await;
    for _ in 0..3 {
        prober.post("/v1/keys").json(json!({"name": "more"})).await.refused(403);
        prober.delete("/v1/numbers/num_06ck3v0w2e8zg1m8t4q7x5n9ra").await.refused(403);
        prober.get("/v1/audit-log").await.refused(403);
        prober.post("/v1/messages").json(json!({})).await.refused(403);
    }
    let stray = app.acting_for("acct_06ck3v0w2e8zg1m8t4q7x5n9ra");
    stray.post("/v1/keys").json(json!({"name": "more"})).await.refused(404);
    stray.get("/v1/agents").await.refused(404);
    // A sub-account's key is no master's.
    child.key_for(&["admin"]).await.acting_for(app.account_id()).post("/v1/agents").json(json!({})).await.refused(404);

    let log = app.get("/v1/audit-log").await.ok();
    assert_eq!(
        actions(&log),
        [("createKey", 404), ("deleteNumber", 403), ("createKey", 403), ("createKey", 201), ("createSubAccount", 201)]
    );
    assert_eq!(log["data"][1]["target"], "num_06ck3v0w2e8zg1m8t4q7x5n9ra");
    assert!(log["data"][1]["keyId"].is_string() && log["data"][1]["requestId"].is_string(), "{log}");
    assert_eq!(actions(&child.get("/v1/audit-log").await.ok())[0], ("createAgent", 404));
}
