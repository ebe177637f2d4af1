//! Numbers over the months: paid for every thirty days, kept a while unpaid, then given up.

use std::time::Duration;

use offhook_testkit::webhook_receiver::WebhookReceiver;
use serde_json::{Value, json};

use crate::app::{Client, Setup, TestApp, id};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A number that was bought for three dollars, of so many that the account had.
async fn bought_with(dollars: i64) -> (TestApp, String) {
    let app = Setup::default().setting("OFFHOOK__PRICES__SANDBOX_FREE", false).sandbox().start().await;
    app.credit(dollars).await;
    let number = app.post("/v1/numbers").await.ok();
    let path = format!("/v1/numbers/{}", id(&number));
    (app, path)
}

impl TestApp {
    async fn after(&self, span: Duration) -> String {
        self.later(span);
        self.look_after_numbers().await;
        self.check_books().await;
        self.wallet().await
    }
}

#[tokio::test]
async fn a_number_is_paid_for_every_thirty_days() {
    let (app, path) = bought_with(10).await;
    assert_eq!(app.after(29 * DAY).await, "$7.00");
    assert_eq!(app.after(DAY).await, "$4.00");
    assert_eq!(app.after(29 * DAY).await, "$4.00");
    assert_eq!(app.after(DAY).await, "$1.00");
    assert_eq!(app.get(&path).await.ok()["status"], "active");
}

#[tokio::test]
async fn what_was_missed_while_nobody_looked_is_paid_for() {
    let (app, _) = bought_with(10).await;
    assert_eq!(app.after(61 * DAY).await, "$1.00");
}

#[tokio::test]
async fn an_unpaid_number_is_kept_for_the_grace_and_then_given_up() {
    let (app, path) = bought_with(5).await;
    assert_eq!(app.after(30 * DAY).await, "$2.00");
    assert_eq!(app.get(&path).await.ok()["status"], "active");
    assert_eq!(app.after(29 * DAY).await, "$2.00");
    assert_eq!(app.get(&path).await.ok()["status"], "active");
    assert_eq!(app.after(DAY).await, "$2.00");
    assert_eq!(app.get(&path).await.ok()["status"], "released");
    let offered = app.get("/v1/numbers/available?limit=1").await.ok();
    assert_eq!(offered["data"][0]["phoneNumber"], "+12015550100", "the carrier has it back");
}

#[tokio::test]
async fn an_unpaid_number_is_paid_for_when_the_balance_returns() {
    let (app, path) = bought_with(5).await;
    assert_eq!(app.after(30 * DAY).await, "$2.00");
    assert_eq!(app.after(20 * DAY).await, "$2.00");
    app.credit(5).await;
    assert_eq!(app.after(DAY).await, "$4.00");
    // The period began when the last one ended, not when it was paid.
    assert_eq!(app.after(8 * DAY).await, "$4.00");
    assert_eq!(app.after(DAY).await, "$1.00");
    assert_eq!(app.get(&path).await.ok()["status"], "active");
}

#[tokio::test]
async fn nobody_pays_for_a_number_that_ends() {
    let (app, path) = bought_with(10).await;
    let end = app.app.now().plus(30 * DAY - DAY / 24);
    app.patch(&path).json(json!({"expiresAt": end})).await.ok();
    assert_eq!(app.after(31 * DAY).await, "$7.00");
    assert_eq!(app.get(&path).await.ok()["status"], "released");
}

/// The lines of the log that tell of a number given up.
async fn releases(client: &Client) -> Vec<Value> {
    client.get("/v1/audit-log?action=deleteNumber").await.ok()["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn whoever_wants_to_know_is_told_of_a_number_given_up() {
    let app = Setup::default().sandbox().start().await.working();
    let (desk, rest) = (WebhookReceiver::start().await, WebhookReceiver::start().await);
    let agent = id(&app.post("/v1/agents").json(json!({"name": "Desk"})).await.ok());
    for (path, receiver) in [("/v1/webhooks", &rest), (&format!("/v1/agents/{agent}/webhook"), &desk)] {
        app.post(path).json(json!({"url": receiver.url(), "events": ["number.released"]})).await.ok();
    }
    let order = json!({"agentId": agent, "externalId": "table-7", "expiresAt": app.app.now().plus(DAY)});
    let expiring = app.post("/v1/numbers").json(order).await.ok();
    let asked = app.post("/v1/numbers").await.ok();

    app.delete(&format!("/v1/numbers/{}", id(&asked))).await.ok();
    let told = &rest.wait_for(1).await[0];
    assert_eq!((&told.json["event"], &told.json["agentId"]), (&json!("number.released"), &Value::Null));
    assert_eq!((&told.json["data"]["numberId"], &told.json["data"]["reason"]), (&asked["id"], &json!("requested")));
    assert_eq!(releases(&app).await[0]["actor"], "key");

    app.later(DAY);
    app.look_after_numbers().await;
    let told = &desk.wait_for(1).await[0];
    let released = app.get(&format!("/v1/numbers/{}", id(&expiring))).await.ok();
    let data = json!({"numberId": expiring["id"], "phoneNumber": expiring["phoneNumber"], "externalId": "table-7",
        "reason": "expired", "at": released["releasedAt"]});
    let expected = json!({"event": "number.released", "channel": "sms", "timestamp": released["releasedAt"],
        "agentId": agent, "data": data, "conversationState": null, "recentHistory": []});
    assert_eq!(told.json, expected);
    let lines = releases(&app).await;
    let line = json!({"id": lines[0]["id"], "actor": "system", "keyId": null, "remoteAddress": null,
        "action": "deleteNumber", "target": expiring["id"], "requestId": null, "status": 200, "replayed": false,
        "at": released["releasedAt"]});
    assert_eq!((lines.len(), &lines[0]), (2, &line));
}

#[tokio::test]
async fn an_unpaid_number_that_is_given_up_says_so() {
    let (app, path) = bought_with(3).await;
    app.post("/v1/webhooks").json(json!({"url": "https://example.org/hook", "events": ["number.released"]})).await.ok();
    app.after(30 * DAY).await;
    app.after(30 * DAY).await;
    assert_eq!(app.get(&path).await.ok()["status"], "released");
    let told = app.get("/v1/webhooks/deliveries").await.ok();
    assert_eq!((&told["total"], &told["items"][0]["eventType"]), (&json!(1), &json!("number.released")));
    assert_eq!(releases(&app).await[0]["actor"], "system");
}
