//! Numbers over the months: paid for every thirty days, kept a while unpaid, then given up.

use std::time::Duration;

use serde_json::json;

use crate::app::{Setup, TestApp, id};

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
