//! A key that asks too often is told when to come back, whichever node it asks.

use std::time::Duration;

use futures_util::future::join_all;
use offhook_domain::Timestamp;
use serde_json::json;

use crate::app::{Setup, TestApp};

/// So many changes a minute, five seconds' at once; as many reads as anybody likes.
fn limited(writes_per_minute: u32) -> Setup {
    Setup::default()
        .setting("OFFHOOK__RATE_LIMITS__IN_SANDBOX", true)
        .setting("OFFHOOK__RATE_LIMITS__READS_PER_MINUTE", 0)
        .setting("OFFHOOK__RATE_LIMITS__WRITES_PER_MINUTE", writes_per_minute)
        .setting("OFFHOOK__RATE_LIMITS__BURST_SECONDS", 5)
        .standing_clock(Timestamp::parse("2026-01-31T12:00:00Z").unwrap())
}

async fn makes_agents(app: &TestApp, count: usize) -> Vec<u16> {
    let asks = (0..count).map(|_| app.post("/v1/agents").json(json!({"name": "Desk"})).into_future());
    join_all(asks).await.into_iter().map(|answer| answer.status.as_u16()).collect()
}

fn passed(statuses: &[u16]) -> usize {
    assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
    statuses.iter().filter(|status| **status == 200).count()
}

#[tokio::test]
async fn a_key_that_asks_too_often_is_told_when_to_come_back() {
    let app = limited(60).start().await;
    assert_eq!(passed(&makes_agents(&app, 8).await), 5);
    let answer = app.post("/v1/agents").json(json!({"name": "Desk"})).once("k").await;
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(answer.refused(429).code, "RATE_LIMIT_EXCEEDED");
    app.get("/v1/agents").await.ok();
    // Those that were let pass, and one line for all that were not.
    let log = app.get("/v1/audit-log?limit=100").await.ok();
    let refused = log["data"].as_array().unwrap().iter().filter(|line| line["status"] == 429).count();
    assert_eq!((&log["total"], refused), (&json!(6), 1));

    app.later(Duration::from_secs(1));
    app.post("/v1/agents").json(json!({"name": "Desk"})).once("k").await.ok();
    assert_eq!(passed(&makes_agents(&app, 3).await), 0, "one a second");
    app.later(Duration::from_secs(60));
    assert_eq!(passed(&makes_agents(&app, 8).await), 5, "a rest fills the bucket, and no more than that");
}

#[tokio::test]
async fn another_key_is_not_held_up() {
    let app = limited(60).start().await;
    let other = app.second_account().await;
    assert_eq!(passed(&makes_agents(&app, 6).await), 5);
    other.post("/v1/agents").json(json!({"name": "Desk"})).await.ok();
}

#[tokio::test]
async fn two_nodes_let_no_more_pass_than_one() {
    let app = limited(6_000).start().await;
    let other = app.on_another_node();
    let ask = |client: &crate::app::Client| client.post("/v1/agents").json(json!({"name": "Desk"})).into_future();
    let asks = (0..700).map(|n| if n % 3 == 0 { ask(&other) } else { ask(&app) });
    let statuses: Vec<u16> = join_all(asks).await.into_iter().map(|answer| answer.status.as_u16()).collect();
    let passed = passed(&statuses);
    assert!((450..=500).contains(&passed), "{passed} passed of a bucket of 500");
}
