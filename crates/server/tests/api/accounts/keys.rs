//! Keys over the API: made with scopes, used, revoked.

use offhook_server::jobs::housekeeping::note_key_uses;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::app::{TestApp, id};

#[tokio::test]
async fn a_key_is_made_used_and_revoked() {
    let app = TestApp::start().await;
    let made = app.post("/v1/keys").json(json!({"name": "laptop"})).await.created();
    assert!(made["key"].as_str().unwrap().starts_with("sk_test_"));
    assert_eq!(made["scopes"], json!(["read", "messages", "calls", "numbers", "admin"]));
    assert_eq!(made["lastUsedAt"], Value::Null);
    let theirs = app.with_secret(made["key"].as_str().unwrap());
    theirs.get("/v1/agents").await.ok();
    note_key_uses(&app.app).await.unwrap();

    let list = app.get("/v1/keys?limit=1").await.ok();
    assert_eq!((&list["total"], &list["data"][0]["id"]), (&json!(2), &made["id"]));
    assert!(list["data"][0]["lastUsedAt"].is_string(), "{list}");
    assert!(!list.to_string().contains(made["key"].as_str().unwrap()), "a list shows no secret");

    let path = format!("/v1/keys/{}", id(&made));
    app.delete(&path).await.no_content();
    assert_eq!(theirs.get("/v1/agents").await.refused(401).code, "UNAUTHORIZED");
    assert_eq!(app.delete(&path).await.refused(404).code, "KEY_NOT_FOUND");
    assert!(app.get("/v1/keys").await.ok()["data"][0]["revokedAt"].is_string());
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_and_no_more() {
    let app = TestApp::start().await;
    let reader = app.key_for(&["read"]).await;
    reader.get("/v1/agents").await.ok();
    let refused = reader.post("/v1/agents").json(json!({"name": "Agent"})).await.refused(403);
    assert_eq!(refused.code, "FORBIDDEN");
    assert!(refused.message.contains("numbers"), "{}", refused.message);
    let sender = app.key_for(&["messages"]).await;
    sender.post("/v1/contacts").json(json!({"phoneNumber": "+14155550100", "name": "Ada"})).await.created();
    sender.get("/v1/contacts").await.refused(403);
    let both = app.key_for(&["read", "numbers"]).await;
    let agent = both.post("/v1/agents").json(json!({"name": "Agent"})).await.ok();
    both.get(&format!("/v1/agents/{}", id(&agent))).await.ok();
    both.post("/v1/keys").json(json!({"name": "more"})).await.refused(403);
    // What is refused to a key does not tell it either whether a sub-account is there.
    assert_eq!(
        reader.acting_for("acct_06ck3v0w2e8zg1m8t4q7x5n9ra").post("/v1/agents").await.refused(403).code,
        "FORBIDDEN"
    );
    for bad in [json!([]), json!(["all"]), json!("read"), json!([5])] {
        assert_eq!(app.post("/v1/keys").json(json!({"name": "bad", "scopes": bad})).await.bad_fields(), ["scopes"]);
    }
}

#[tokio::test]
async fn nobody_locks_himself_out() {
    let app = TestApp::start().await;
    let first = app.get("/v1/keys").await.ok()["data"][0]["id"].as_str().unwrap().to_owned();
    app.key_for(&["read", "messages", "calls", "numbers"]).await;
    assert_eq!(app.delete(&format!("/v1/keys/{first}")).await.refused(409).code, "CONFLICT");
    let other = app.key_for(&["admin"]).await;
    app.delete(&format!("/v1/keys/{first}")).await.no_content();
    other.get("/v1/agents").await.ok();
    // A sub-account may be without: its master has keys.
    let child = other.child("Child").await;
    let made = child.post("/v1/keys").json(json!({"name": "only"})).await.created();
    child.delete(&format!("/v1/keys/{}", id(&made))).await.no_content();
}

#[tokio::test]
async fn of_two_who_revoke_the_last_two_keys_one_is_refused() {
    for _ in 0..5 {
        let app = TestApp::start().await;
        app.key_for(&["admin"]).await;
        let keys = app.get("/v1/keys").await.ok();
        let mut revoking = JoinSet::new();
        for key in keys["data"].as_array().unwrap().iter().map(id) {
            let call = app.delete(&format!("/v1/keys/{key}"));
            revoking.spawn(async move { call.await.status.as_u16() });
        }
        let mut answers = revoking.join_all().await;
        answers.sort_unstable();
        // The other one is told that it is the last, or that its own key is gone already.
        assert_eq!(answers[0], 204, "{answers:?}");
        assert!([401, 409].contains(&answers[1]), "{answers:?}");
    }
}
