//! `/v1/webhooks` and `/v1/agents/{id}/webhook`

use insta::assert_json_snapshot;
use offhook_testkit::webhook_receiver::{Mode, WebhookReceiver};
use serde_json::{Value, json};

use crate::app::{TestApp, id, shape};

const HOOK: &str = "https://example.com/hook";

#[tokio::test]
async fn a_webhook_is_set_replaced_and_deleted() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/v1/webhooks").await.ok(), Value::Null);

    let made = app.post("/v1/webhooks").json(json!({"url": HOOK, "externalId": "crm"})).await.ok();
    assert_json_snapshot!(shape(&made), {".secret" => "whsec_…"});
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!(app.get("/v1/webhooks").await.ok(), made);

    let settings = json!({"url": "https://example.com/other", "contextLimit": 0, "timeout": 120,
        "events": ["message.status", "agent.message", "agent.message"], "rotateSecret": false});
    let replaced = app.post("/v1/webhooks").json(settings).await.ok();
    assert_eq!((&replaced["id"], &replaced["secret"]), (&made["id"], &made["secret"]));
    assert_eq!(replaced["events"], json!(["agent.message", "message.status"]));
    assert_eq!((&replaced["contextLimit"], &replaced["externalId"]), (&json!(0), &Value::Null));
    let rotated = app.post("/v1/webhooks").json(json!({"url": HOOK})).await.ok();
    assert_ne!(rotated["secret"], made["secret"]);

    assert_eq!(app.delete("/v1/webhooks").await.ok(), json!({"success": true}));
    assert_eq!(app.delete("/v1/webhooks").await.refused(404).code, "WEBHOOK_NOT_FOUND");
    assert_eq!(app.get("/v1/webhooks").await.ok(), Value::Null);
}

#[tokio::test]
async fn the_secret_is_sealed_at_rest() {
    let app = TestApp::start().await;
    let made = app.post("/v1/webhooks").json(json!({"url": HOOK})).await.ok();
    let account = app.account.clone();
    let kept = app
        .app
        .store
        .read::<_, offhook_store::StoreError>(async move |tx| tx.of(&account).webhook(None).await)
        .await
        .unwrap()
        .unwrap();
    assert!(!kept.sealed_secret.contains(&made["secret"].as_str().unwrap()[6..]));
}

#[tokio::test]
async fn bad_settings_are_all_named() {
    let app = TestApp::start().await;
    let bad = json!({"url": 7, "contextLimit": 51, "timeout": 4, "events": ["agent.mesage"], "externalId": 1,
        "rotateSecret": "no"});
    let fields = app.post("/v1/webhooks").json(bad).await.bad_fields();
    assert_eq!(fields, ["url", "contextLimit", "timeout", "events", "externalId", "rotateSecret"]);
    assert_eq!(app.post("/v1/webhooks").await.bad_fields(), ["url"]);
    assert_eq!(app.post("/v1/webhooks").json(json!({"url": HOOK, "events": []})).await.bad_fields(), ["events"]);
    for url in [
        "example.com/hook",
        "ftp://example.com/",
        "http://example.com/",
        "https://10.0.0.1/",
        "https://0x7f.1.2.3:22/",
        "https://user@example.com/",
        "https://[fd00::1]/",
        "https://169.254.169.254/latest",
    ] {
        let refused = app.post("/v1/webhooks").json(json!({"url": url})).await;
        assert_eq!(refused.bad_fields(), ["url"], "{url}");
    }
    let both = json!({"url": "ftp://example.com/", "timeout": 1});
    assert_eq!(app.post("/v1/webhooks").json(both).await.bad_fields(), ["url", "timeout"]);
    app.post("/v1/webhooks").json(json!({"url": "http://127.0.0.1:8999/hook"})).await.ok();
}

#[tokio::test]
async fn an_agent_has_a_webhook_of_its_own() {
    let app = TestApp::start().await;
    let agent = id(&app.post("/v1/agents").json(json!({"name": "Desk"})).await.ok());
    let path = format!("/v1/agents/{agent}/webhook");
    assert_eq!(app.get(&path).await.ok(), Value::Null);
    let own = app.post(&path).json(json!({"url": HOOK})).await.ok();
    assert_eq!(app.get(&path).await.ok(), own);
    assert_eq!(app.get("/v1/webhooks").await.ok(), Value::Null, "the account has none");

    let other = app.second_account().await;
    for path in [path.clone(), format!("{path}/deliveries")] {
        assert_eq!(other.get(&path).await.refused(404).code, "AGENT_NOT_FOUND");
    }
    other.post(&path).json(json!({"url": HOOK})).await.refused(404);
    other.delete(&path).await.refused(404);
    other.post(&format!("{path}/test")).await.refused(404);
    assert_eq!(app.get(&path).await.ok(), own);

    app.delete(&format!("/v1/agents/{agent}")).await.ok();
    app.get(&path).await.refused(404);
}

#[tokio::test]
async fn a_test_event_is_sent_at_once_signed_and_logged() {
    let (app, customer) = (TestApp::start().await, WebhookReceiver::start().await);
    assert_eq!(app.post("/v1/webhooks/test").await.refused(404).code, "WEBHOOK_NOT_FOUND");
    let hook = app.post("/v1/webhooks").json(json!({"url": customer.url()})).await.ok();
    customer.answer_with(r#"{"text":"hi"}"#);

    let wish = json!({"from": "+14155550123", "to": "+14155550100", "message": "Ping", "channel": "imessage"});
    let result = app.post("/v1/webhooks/test").json(wish).await.ok();
    assert_eq!(
        (&result["success"], &result["httpStatus"], &result["error"]),
        (&json!(true), &json!(200), &Value::Null)
    );
    let received = customer.wait_for(1).await;
    received[0].verify(hook["secret"].as_str().unwrap()).unwrap();
    assert_json_snapshot!(shape(&received[0].json));

    let log = app.get("/v1/webhooks/deliveries").await.ok();
    assert_json_snapshot!("deliveries", shape(&log), {".*[].responseMs" => "(ms)"});
    assert_eq!(log["items"][0]["id"], received[0].header("x-webhook-id"));
    assert_eq!(log["items"][0]["responseBody"], r#"{"text":"hi"}"#);
    let all = app.get("/v1/webhooks/deliveries/all-time").await.ok();
    assert_eq!(all, json!({"total": 1, "success": 1, "failed": 0, "successRate": 100.0}));
}

#[tokio::test]
async fn a_test_that_fails_says_why() {
    let (app, customer) = (TestApp::start().await, WebhookReceiver::start().await);
    app.post("/v1/webhooks").json(json!({"url": customer.url()})).await.ok();
    customer.once(Mode::status(503));
    let result = app.post("/v1/webhooks/test").await.ok();
    assert_eq!((&result["success"], &result["statusCode"]), (&json!(false), &json!(503)));
    assert_eq!(result["error"], "the endpoint answered 503 Service Unavailable");
    customer.once(Mode::Reset);
    let result = app.post("/v1/webhooks/test").json(json!({"channel": "voice"})).await.ok();
    assert_eq!((&result["success"], &result["httpStatus"]), (&json!(false), &Value::Null));
    assert_eq!(customer.received()[1].json["data"]["status"], "in-progress");
    assert_eq!(app.post("/v1/webhooks/test").json(json!({"channel": "fax"})).await.bad_fields(), ["channel"]);

    let stats = app.get("/v1/webhooks/deliveries/stats?hours=2").await.ok();
    assert_eq!((&stats["total"], &stats["failed"], &stats["successRate"]), (&json!(2), &json!(2), &json!(0.0)));
    assert_eq!(stats["byEventType"]["agent.message"]["failed"], 2);
    assert_eq!(stats["byHour"].as_array().unwrap().len(), 3);
    assert_eq!(stats["byHour"][2]["total"], 2);
}

#[tokio::test]
async fn a_test_for_an_agent_goes_where_its_events_go() {
    let (app, shared, own) = (TestApp::start().await, WebhookReceiver::start().await, WebhookReceiver::start().await);
    let agent = id(&app.post("/v1/agents").json(json!({"name": "Desk"})).await.ok());
    app.post("/v1/webhooks").json(json!({"url": shared.url()})).await.ok();
    let path = format!("/v1/webhooks/test?agentId={agent}");
    app.post(&path).await.ok();
    assert_eq!(shared.wait_for(1).await[0].json["agentId"], json!(agent));
    app.post(&format!("/v1/agents/{agent}/webhook/test")).await.refused(404);

    app.post(&format!("/v1/agents/{agent}/webhook")).json(json!({"url": own.url()})).await.ok();
    app.post(&path).await.ok();
    app.post(&format!("/v1/agents/{agent}/webhook/test")).json(json!({})).await.ok();
    own.wait_for(2).await;
    assert_eq!(shared.received().len(), 1);
    app.post("/v1/webhooks/test?agentId=agt_nobody").await.refused(404);

    let log = app.get(&format!("/v1/agents/{agent}/webhook/deliveries")).await.ok();
    assert_eq!(log.as_array().map(Vec::len), Some(2), "a bare array: {log}");
    let log = app.get(&format!("/v1/agents/{agent}/webhook/deliveries?hours=1&limit=1")).await.ok();
    assert_eq!(
        (log["items"].as_array().map(Vec::len), &log["total"], &log["hasMore"]),
        (Some(1), &json!(2), &json!(true))
    );
    assert_eq!(app.get("/v1/webhooks/deliveries").await.ok()["total"], 3, "the account's log has all");
}

#[tokio::test]
async fn a_test_with_a_key_is_sent_once() {
    let (app, customer) = (TestApp::start().await, WebhookReceiver::start().await);
    app.post("/v1/webhooks").json(json!({"url": customer.url()})).await.ok();
    let first = app.post("/v1/webhooks/test").once("k1").await;
    let again = app.post("/v1/webhooks/test").once("k1").await;
    assert_eq!(first.ok(), again.ok());
    assert!(again.replayed() && !first.replayed());
    assert_eq!(customer.received().len(), 1);
}

#[tokio::test]
async fn a_secret_is_nowhere_in_the_clear() {
    let app = TestApp::start().await;
    let set = || app.post("/v1/webhooks").json(json!({"url": HOOK})).once("hook");
    let secret = set().await.ok()["secret"].as_str().unwrap().to_owned();
    let again = set().await;
    assert_eq!((again.replayed(), again.ok()["secret"].as_str()), (true, Some(secret.as_str())));
    for file in std::fs::read_dir(&app.app.config.storage.data_dir).unwrap() {
        let (path, secret) = (file.unwrap().path(), secret.as_bytes());
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(secret.len()).any(|part| part == secret), "{}", path.display());
    }
}

#[tokio::test]
async fn a_test_that_was_cut_off_does_not_hold_its_key() {
    let (app, customer) = (TestApp::start().await, WebhookReceiver::start().await);
    app.post("/v1/webhooks").json(json!({"url": customer.url()})).await.ok();
    customer.once(Mode::Hang);
    tokio::select! {
        answer = app.post("/v1/webhooks/test").once("k1") => panic!("{answer:?}"),
        received = customer.wait_for(1) => assert_eq!(received.len(), 1),
    }
    let again = app.post("/v1/webhooks/test").once("k1").await;
    assert_eq!((again.ok()["success"].clone(), again.replayed()), (json!(true), false));
    assert!(app.post("/v1/webhooks/test").once("k1").await.replayed());
}

#[tokio::test]
async fn log_queries_out_of_range_are_refused() {
    let app = TestApp::start().await;
    let bad = app.get("/v1/webhooks/deliveries?limit=0&offset=-1&hours=x").await;
    assert_eq!(bad.bad_fields(), ["limit", "offset", "hours"]);
    assert_eq!(app.get("/v1/webhooks/deliveries/stats?hours=0").await.bad_fields(), ["hours"]);
    let empty = app.get("/v1/webhooks/deliveries?hours=").await.ok();
    assert_eq!((&empty["items"], &empty["total"], &empty["limit"]), (&json!([]), &json!(0), &json!(50)));
    let nobody = "/v1/webhooks/deliveries/del_06ck3v0w2e8zg1m8t4q7x5n9ra/replay";
    assert_eq!(app.post(nobody).await.refused(404).code, "DELIVERY_NOT_FOUND");
}
