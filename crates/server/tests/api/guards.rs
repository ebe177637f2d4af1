//! Guard rails: what is not sent, however it is asked for.

use std::time::Duration;

use futures_util::future::join_all;
use offhook_domain::Timestamp;
use serde_json::json;

use crate::app::{Answer, Client, Setup, TestApp, id};
use crate::registration::form;

const OURS: &str = "+14155550100";
const HANDSET: &str = "+14152011234";

async fn send(client: &Client, to: &str) -> Answer {
    client.post("/v1/messages").json(json!({"from_number": OURS, "to_number": to, "body": "Hi"})).await
}

async fn guarded(settings: &[(&'static str, &str)]) -> TestApp {
    let start = Timestamp::parse("2026-03-01T12:00:00Z").unwrap();
    let setup = settings.iter().fold(Setup::default().sandbox(), |setup, (name, value)| setup.setting(name, value));
    let app = setup.standing_clock(start).start().await;
    app.number(OURS).await;
    app
}

#[tokio::test]
async fn help_in_need_is_not_texted() {
    let app = guarded(&[]).await;
    for line in ["911", "112", "999", "110", "988", "211", "741741", "00911", "0112", "9911", "+911", "+1911", "9 1 1"]
    {
        let refused = send(&app, line).await.refused(400);
        assert!(refused.message.contains("emergency"), "{line}: {}", refused.message);
    }
    send(&app, "72345").await.ok();
    assert_eq!(send(&app, "++14152011234").await.bad_fields(), ["to_number"]);
}

#[tokio::test]
async fn dear_destinations_are_blocked_and_countries_may_be() {
    let app = guarded(&[]).await;
    for dear in ["+19005550123", "+881612345678", "+870773123456"] {
        let answer = send(&app, dear).await;
        assert!(answer.status == 422 || answer.refused(400).code == "DESTINATION_BLOCKED", "{dear}: {}", answer.text);
    }
    assert_eq!(send(&app, "+19005550123").await.refused(400).code, "DESTINATION_BLOCKED");
    send(&app, "+442079460000").await.ok();
    let app = guarded(&[("OFFHOOK__GUARDS__ALLOWED_COUNTRIES", "US, CA")]).await;
    assert_eq!(send(&app, "+442079460000").await.refused(400).code, "DESTINATION_BLOCKED");
    send(&app, HANDSET).await.ok();
}

const FLOOD: &[(&str, &str)] = &[
    ("OFFHOOK__GUARDS__IN_SANDBOX", "true"),
    ("OFFHOOK__GUARDS__PER_DESTINATION_PER_MINUTE", "3"),
    ("OFFHOOK__GUARDS__PER_DESTINATION_PER_HOUR", "5"),
];

#[tokio::test]
async fn one_destination_is_not_flooded() {
    let app = guarded(FLOOD).await;
    for _ in 0..3 {
        send(&app, HANDSET).await.ok();
    }
    assert_eq!(send(&app, HANDSET).await.refused(400).code, "DESTINATION_FLOODED");
    send(&app, "+14152019999").await.ok();
    app.later(Duration::from_secs(60));
    send(&app, HANDSET).await.ok();
    send(&app, HANDSET).await.ok();
    app.later(Duration::from_secs(60));
    assert_eq!(send(&app, HANDSET).await.refused(400).code, "DESTINATION_FLOODED", "the hour");
    app.later(Duration::from_secs(3600));
    send(&app, HANDSET).await.ok();
}

#[tokio::test]
async fn in_a_sandbox_nothing_is_flooded_unless_it_is_asked_for() {
    let app = guarded(&[("OFFHOOK__GUARDS__PER_DESTINATION_PER_MINUTE", "1")]).await;
    for _ in 0..5 {
        send(&app, HANDSET).await.ok();
    }
}

#[tokio::test]
async fn a_flood_from_two_nodes_stops_where_it_should() {
    let app = guarded(FLOOD).await;
    let other = app.on_another_node();
    let sends = (0..24).map(|n| send(if n % 2 == 0 { app.client() } else { &other }, HANDSET));
    let sent = join_all(sends).await;
    let accepted = sent.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(accepted, 3);
    for answer in sent.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.refused(400).code, "DESTINATION_FLOODED");
    }
}

#[tokio::test]
async fn two_machines_that_answer_each_other_are_stopped_until_it_is_quiet() {
    let app = guarded(&[("OFFHOOK__GUARDS__IN_SANDBOX", "true"), ("OFFHOOK__GUARDS__LOOP_ANSWERS", "5")]).await;
    for _ in 0..5 {
        app.is_texted(HANDSET, OURS, "And you?").await;
        send(&app, HANDSET).await.ok();
        app.later(Duration::from_secs(2));
    }
    app.is_texted(HANDSET, OURS, "And you?").await;
    assert_eq!(send(&app, HANDSET).await.refused(400).code, "LOOP_DETECTED");
    send(&app, "+14152019999").await.ok();
    // The other one goes on.
    for _ in 0..5 {
        app.later(Duration::from_secs(30));
        app.is_texted(HANDSET, OURS, "Hello?").await;
        assert_eq!(send(&app, HANDSET).await.refused(400).code, "LOOP_DETECTED");
    }
    let list = app.get("/v1/conversations").await.ok();
    let kept: i64 = list["data"].as_array().unwrap().iter().map(|c| c["messageCount"].as_i64().unwrap()).sum();
    assert_eq!(kept, 5 + 1 + 5 + 5 + 1, "what comes in is kept");
    app.later(Duration::from_secs(61));
    send(&app, HANDSET).await.ok();
}

#[tokio::test]
async fn a_talk_at_the_pace_of_people_is_no_circle() {
    let app = guarded(&[("OFFHOOK__GUARDS__IN_SANDBOX", "true"), ("OFFHOOK__GUARDS__LOOP_ANSWERS", "5")]).await;
    for _ in 0..20 {
        app.is_texted(HANDSET, OURS, "And you?").await;
        app.later(Duration::from_secs(10));
        send(&app, HANDSET).await.ok();
        app.later(Duration::from_secs(10));
    }
}

const PAID: (&str, &str) = ("OFFHOOK__PRICES__SANDBOX_FREE", "false");

async fn limit(app: &TestApp, micros: i64) {
    let dollars = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    app.patch("/v1/account").json(json!({"dailySpendLimit": dollars})).await.ok();
}

#[tokio::test]
async fn a_day_costs_no_more_than_it_may() {
    let app = guarded(&[PAID, ("OFFHOOK__GUARDS__DAILY_SPEND_MICROS", "40000")]).await;
    app.credit(1).await;
    for _ in 0..2 {
        send(&app, HANDSET).await.ok();
    }
    let refused = send(&app, HANDSET).await.refused(400);
    assert_eq!(refused.code, "SPEND_LIMIT_REACHED");
    // STOP returns the price of what waited.
    app.is_texted(HANDSET, OURS, "STOP").await;
    for _ in 0..2 {
        send(&app, "+14152019999").await.ok();
    }
    assert_eq!(send(&app, "+14152019999").await.refused(400).code, "SPEND_LIMIT_REACHED");
    app.later(Duration::from_secs(12 * 3600));
    send(&app, "+14152019999").await.ok();
    // Its own limit is what counts, and what was spent before it was set.
    limit(&app, 60_000).await;
    send(&app, "+14152019999").await.ok();
    send(&app, "+14152019999").await.ok();
    assert_eq!(send(&app, "+14152019999").await.refused(400).code, "SPEND_LIMIT_REACHED");
    app.books_agree().await;
}

#[tokio::test]
async fn spending_from_two_nodes_stops_at_the_limit() {
    let app = guarded(&[PAID]).await;
    app.credit(1).await;
    limit(&app, 100_000).await;
    let other = app.on_another_node();
    let sends = (0..24).map(|n| {
        let client = if n % 2 == 0 { app.client().clone() } else { other.clone() };
        async move { send(&client, &format!("+1415201{n:04}")).await }
    });
    let sent = join_all(sends).await;
    assert_eq!(sent.iter().filter(|answer| answer.status == 200).count(), 5);
    for answer in sent.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.refused(400).code, "SPEND_LIMIT_REACHED");
    }
    app.books_agree().await;
}

async fn buy(client: &Client) -> Answer {
    client.post("/v1/numbers").await
}

#[tokio::test]
async fn a_number_counts_towards_the_day() {
    let app = guarded(&[PAID]).await;
    app.credit(20).await;
    limit(&app, 3_020_000).await;

    let number = buy(&app).await.ok();
    let refused = buy(&app).await.refused(400);
    assert_eq!((refused.code.as_str(), app.wallet().await.as_str()), ("SPEND_LIMIT_REACHED", "$17.00"));
    send(&app, HANDSET).await.ok();
    assert_eq!(send(&app, HANDSET).await.refused(400).code, "SPEND_LIMIT_REACHED");

    app.later(Duration::from_secs(12 * 3600));
    buy(&app).await.ok();
    // Whatever is spent, a number is not lost for it.
    limit(&app, 10_000).await;
    app.later(Duration::from_secs(30 * 24 * 3600));
    app.look_after_numbers().await;
    // Three of them: the one that was there before, too.
    assert_eq!(app.wallet().await, "$4.98");
    assert_eq!(app.get(&format!("/v1/numbers/{}", id(&number))).await.ok()["status"], "active");
    app.books_agree().await;
}

#[tokio::test]
async fn a_purchase_that_comes_to_nothing_counts_no_more() {
    let app = guarded(&[PAID]).await;
    app.credit(20).await;
    limit(&app, 3_000_000).await;
    for _ in 0..2 {
        app.post("/v1/numbers").json(json!({"phoneNumber": "+13125550196"})).await.refused(502);
    }
    buy(&app).await.ok();
    assert_eq!(buy(&app).await.refused(400).code, "SPEND_LIMIT_REACHED");
    app.books_agree().await;
}

#[tokio::test]
async fn purchases_on_two_nodes_stop_at_the_limit() {
    let app = guarded(&[PAID]).await;
    app.credit(50).await;
    limit(&app, 9_500_000).await;
    let other = app.on_another_node();
    let bought = join_all((0..8).map(|n| {
        let client = if n % 2 == 0 { app.client().clone() } else { other.clone() };
        async move { buy(&client).await }
    }))
    .await;
    assert_eq!(bought.iter().filter(|answer| answer.status == 200).count(), 3);
    for answer in bought.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.refused(400).code, "SPEND_LIMIT_REACHED");
    }
    assert_eq!(app.wallet().await, "$41.00");
    app.books_agree().await;
}

#[tokio::test]
async fn a_registration_counts_towards_the_day() {
    let app = guarded(&[PAID]).await;
    app.credit(100).await;
    limit(&app, 10_000).await;
    let refused = app.post("/v1/register").json(form("sole_proprietor")).await.refused(400);
    assert_eq!((refused.code.as_str(), app.wallet().await.as_str()), ("SPEND_LIMIT_REACHED", "$100.00"));
    assert_eq!(app.get("/v1/register/status").await.ok()["campaign_status"], "none");

    limit(&app, 100_000_000).await;
    let fee = app.post("/v1/register").json(form("sole_proprietor")).await.ok()["fee_cents"].as_i64().unwrap();
    limit(&app, fee * 10_000 + 10_000).await;
    assert_eq!(send(&app, HANDSET).await.refused(400).code, "SPEND_LIMIT_REACHED");
    app.books_agree().await;
}
