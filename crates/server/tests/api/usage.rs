//! `/v1/usage`

use std::time::Duration;

use insta::assert_json_snapshot;
use offhook_domain::time::DAY_MICROS;
use serde_json::{Value, json};

use crate::app::{Client, Setup, TestApp, id, shape};

const DAY: Duration = Duration::from_secs(24 * 3600);
const HANDSET: &str = "+14152011234";

/// An agent with a number of its own.
struct Desk {
    agent: String,
    number: String,
    phone: String,
}

async fn desk(app: &TestApp, name: &str) -> Desk {
    let agent = id(&app.post("/v1/agents").json(json!({"name": name})).await.ok());
    let number = app.post("/v1/numbers").json(json!({"areaCode": "415", "agentId": agent})).await.ok();
    Desk { agent, number: id(&number), phone: number["phoneNumber"].as_str().unwrap().to_owned() }
}

/// Moves on to the next day's noon, away from the ends of days, months and years.
fn wait_for_noon(app: &TestApp) {
    let today = app.app.now().as_micros().rem_euclid(DAY_MICROS);
    app.later(Duration::from_micros((DAY_MICROS + DAY_MICROS / 2 - today).unsigned_abs()));
}

async fn sends(app: &TestApp, desk: &Desk, body: &str) {
    app.post("/v1/messages").json(json!({"agent_id": desk.agent, "to_number": HANDSET, "body": body})).await.ok();
}

/// What the message tables say of a number.
async fn stored(app: &Client, number: &str) -> i64 {
    let page = app.get(&format!("/v1/numbers/{number}/messages?limit=200")).await.ok();
    i64::try_from(page["data"].as_array().unwrap().len()).unwrap()
}

fn sum(page: &Value, field: &str) -> i64 {
    page["data"].as_array().unwrap().iter().map(|item| item[field].as_i64().unwrap()).sum()
}

#[tokio::test]
async fn an_account_that_did_nothing_has_zeros() {
    let app = TestApp::start().await;
    assert_json_snapshot!(shape(&app.get("/v1/usage").await.ok()));
    let daily = app.get("/v1/usage/daily").await.ok();
    assert_eq!((&daily["days"], daily["data"].as_array().unwrap().len()), (&json!(30), 30));
    let monthly = app.get("/v1/usage/monthly").await.ok();
    assert_eq!((&monthly["months"], monthly["data"].as_array().unwrap().len()), (&json!(6), 6));
    for page in [daily, monthly] {
        assert_eq!((sum(&page, "messages"), sum(&page, "calls"), sum(&page, "voiceMinutes")), (0, 0, 0));
    }
    assert_eq!(app.get("/v1/usage/by-number").await.ok(), json!({"data": []}));
    let by_agent = app.get("/v1/usage/by-agent").await.ok();
    assert_eq!((&by_agent["data"], &by_agent["period"]), (&json!([]), &json!("month")));
}

#[tokio::test]
async fn the_sums_are_those_of_the_messages() {
    let app = Setup::default().sandbox().start().await;
    wait_for_noon(&app);
    let (front, back) = (desk(&app, "Front").await, desk(&app, "Back").await);
    for n in 0..5 {
        sends(&app, &front, &format!("Table {n}")).await;
        app.is_texted(HANDSET, &front.phone, "Thanks").await;
    }
    sends(&app, &back, &"long ".repeat(60)).await;
    app.post("/v1/messages")
        .json(json!({"agent_id": back.agent, "to_number": "nobody", "body": "x"}))
        .await
        .refused(422);

    let of_number = [stored(&app, &front.number).await, stored(&app, &back.number).await];
    assert_eq!(of_number, [10, 1]);
    let usage = app.get("/v1/usage").await.ok();
    let stats = &usage["stats"];
    for total in ["totalMessages", "messagesLast24h", "messagesLast7d", "messagesLast30d"] {
        assert_eq!(stats[total], 11, "{total}");
    }
    assert_eq!(stats["smsSegmentsLast30d"], 12);
    assert_eq!(usage["numbers"], json!({"used": 2, "limit": 10, "remaining": 8}));
    assert_eq!(sum(&app.get("/v1/usage/daily?days=2").await.ok(), "messages"), 11);
    assert_eq!(sum(&app.get("/v1/usage/monthly?months=2").await.ok(), "messages"), 11);

    let by_number = app.get("/v1/usage/by-number").await.ok();
    assert_json_snapshot!(shape(&by_number));
    let by_agent = app.get("/v1/usage/by-agent?period=year&tz=Asia/Tokyo").await.ok();
    assert_eq!((sum(&by_agent, "messages"), &by_agent["period"]), (11, &json!("year")));
}

#[tokio::test]
async fn what_is_gone_keeps_its_share() {
    let app = Setup::default().sandbox().start().await;
    wait_for_noon(&app);
    let (front, back) = (desk(&app, "Front").await, desk(&app, "Back").await);
    sends(&app, &front, "Hello").await;
    sends(&app, &back, "Hello").await;
    app.delete(&format!("/v1/agents/{}", front.agent)).await.ok();
    app.delete(&format!("/v1/numbers/{}", front.number)).await.ok();

    let by_agent = app.get("/v1/usage/by-agent?period=year").await.ok();
    assert_json_snapshot!(shape(&by_agent["data"]));
    let by_number = app.get("/v1/usage/by-number").await.ok();
    let gone = &by_number["data"][1];
    assert_eq!((&gone["numberId"], &gone["status"]), (&json!(front.number), &json!("released")));
    assert_eq!((&gone["messages"], &gone["agentId"]), (&json!(1), &Value::Null));
}

#[tokio::test]
async fn spans_end() {
    let app = Setup::default().sandbox().start().await;
    wait_for_noon(&app);
    let front = desk(&app, "Front").await;
    sends(&app, &front, "Hello").await;
    let expected = [(0, 1, 1, 1), (2, 0, 1, 1), (8, 0, 0, 1), (31, 0, 0, 0)];
    let mut passed = 0;
    for (day, last_24h, last_7d, last_30d) in expected {
        app.later((day - passed) * DAY);
        passed = day;
        let stats = app.get("/v1/usage").await.ok()["stats"].clone();
        assert_eq!(stats["messagesLast24h"], last_24h, "after {day} days");
        assert_eq!(stats["messagesLast7d"], last_7d, "after {day} days");
        assert_eq!(stats["messagesLast30d"], last_30d, "after {day} days");
        assert_eq!(stats["totalMessages"], 1);
    }
    assert_eq!(sum(&app.get("/v1/usage/daily?days=31").await.ok(), "messages"), 0);
    assert_eq!(sum(&app.get("/v1/usage/daily?days=32").await.ok(), "messages"), 1);
    assert_eq!(sum(&app.get("/v1/usage/monthly?months=3").await.ok(), "messages"), 1);
}

#[tokio::test]
async fn anothers_usage_is_not_shown() {
    let app = Setup::default().sandbox().start().await;
    wait_for_noon(&app);
    let front = desk(&app, "Front").await;
    sends(&app, &front, "Hello").await;
    let other = app.second_account().await;
    assert_eq!(other.get("/v1/usage").await.ok()["stats"]["totalMessages"], 0);
    assert_eq!(sum(&other.get("/v1/usage/daily").await.ok(), "messages"), 0);
    assert_eq!(sum(&other.get("/v1/usage/monthly").await.ok(), "messages"), 0);
    for path in ["/v1/usage/by-number", "/v1/usage/by-agent"] {
        assert_eq!(other.get(path).await.ok()["data"], json!([]));
        app.stranger().get(path).await.refused(401);
    }
}

#[tokio::test]
async fn bad_spans_are_refused() {
    let app = TestApp::start().await;
    for (query, fields) in [
        ("daily?days=0", vec!["days"]),
        ("daily?days=366", vec!["days"]),
        ("daily?days=week", vec!["days"]),
        ("monthly?months=0", vec!["months"]),
        ("monthly?months=121", vec!["months"]),
        ("by-agent?period=day&tz=Mars/Olympus", vec!["period", "tz"]),
    ] {
        assert_eq!(app.get(&format!("/v1/usage/{query}")).await.bad_fields(), fields, "{query}");
    }
    for query in ["daily?days=", "daily?days=365", "monthly?months=120", "by-agent?period=&tz=", "by-agent?tz=UTC"] {
        app.get(&format!("/v1/usage/{query}")).await.ok();
    }
}
