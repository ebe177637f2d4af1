//! Requests of the API whose transaction is cut: a send, an inbound text, a purchase.

use offhook_testkit::tcp_proxy::postgres::FirstStatement;
use serde_json::json;

use super::{Recognise, Stage, Tally, check, steps};
use crate::cast::text;
use crate::client::{Answer, NoAnswer};
use crate::database::count;
use crate::ledger_of_deeds::Outcome;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_under_a_key_is_done_once_whatever_is_cut() {
    let stage = Stage::set().await;
    // It claims the key.
    let is_it = |first: &FirstStatement<'_>| first.sql.starts_with("INSERT INTO idempotency");
    let messages = stage.measure(is_it, async |body: String| stage.send(&body, Some(&body)).await).await;
    let mut tally = Tally::default();
    for step in steps(messages) {
        let body = format!("{step:?}");
        stage.warm_up(&body, Some(&format!("before {body}"))).await;
        let outcome = stage.cut(step, is_it, stage.send(&body, Some(&body))).await;
        check(&outcome, stage.messages(&body).await, &body);
        tally.add(&outcome);
        // The key tells: the same again is answered as the first, or done now.
        let repeated = text(&stage.send(&body, Some(&body)).await.unwrap().ok()["id"]);
        assert_eq!(stage.messages(&body).await, 1, "{body}: repeated under its key");
        assert!(matches!(outcome, Outcome::Refused | Outcome::Open) || outcome == Outcome::Done(repeated), "{body}");
    }
    println!("{messages} messages: {tally:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_without_a_key_is_answered_truly_whatever_is_cut() {
    let stage = Stage::set().await;
    let is_it = looks_up(stage.number());
    answer_truly(stage, is_it, async |stage: &Stage, body: &str| stage.send(body, None).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inbound_text_is_answered_truly_whatever_is_cut() {
    let stage = Stage::set().await;
    let is_it = looks_up(stage.number());
    answer_truly(stage, is_it, async |stage: &Stage, body: &str| stage.text(body).await).await;
}

/// A transaction that begins with a look for our number.
fn looks_up(number: &str) -> impl Recognise {
    let number = number.to_owned();
    move |first: &FirstStatement<'_>| first.sql.starts_with("SELECT id, account_id, phone") && first.is_given(&number)
}

async fn answer_truly(
    stage: Stage,
    is_it: impl Recognise,
    ask: impl AsyncFn(&Stage, &str) -> Result<Answer, NoAnswer>,
) {
    let messages = stage.measure(is_it.clone(), async |body: String| ask(&stage, &body).await).await;
    let mut tally = Tally::default();
    for step in steps(messages) {
        let body = format!("{step:?}");
        stage.warm_up(&body, None).await;
        ask(&stage, &format!("warm {body}")).await.unwrap().ok();
        stage.wait_until_nothing_is_sent().await;
        let outcome = stage.cut(step, is_it.clone(), ask(&stage, &body)).await;
        check(&outcome, stage.messages(&body).await, &body);
        tally.add(&outcome);
    }
    println!("{messages} messages: {tally:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holding_the_price_of_a_number_is_answered_truly_whatever_is_cut() {
    buy_under_cuts(|first| first.sql.starts_with("INSERT INTO idempotency")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_a_number_is_answered_truly_whatever_is_cut() {
    buy_under_cuts(|first| first.sql.starts_with("INSERT INTO sandbox_numbers")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storing_a_bought_number_is_answered_truly_whatever_is_cut() {
    // It looks whether somebody holds the number.
    buy_under_cuts(|first| first.sql.starts_with("SELECT id, account_id, phone_number")).await;
}

async fn buy_under_cuts(is_it: fn(&FirstStatement<'_>) -> bool) {
    let stage = Stage::set().await;
    let messages = stage.measure(is_it, async |name: String| buy(&stage, &name).await).await;
    let (mut tally, mut orders) = (Tally::default(), Vec::new());
    for step in steps(messages) {
        let name = format!("{step:?}");
        stage.warm_up(&name, None).await;
        buy(&stage, &format!("before {name}")).await.unwrap().ok();
        let outcome = stage.cut(step, is_it, buy(&stage, &name)).await;
        check(&outcome, numbers(&stage, &name).await, &name);
        tally.add(&outcome);
        orders.push((name, outcome));
    }
    println!("{messages} messages: {tally:?}");
    // What is open comes to its end in its own time; then the key tells.
    stage.database.let_time_pass().await;
    stage.wait_for_count(0, "SELECT COUNT(*) FROM purchases WHERE state IN ('reserved', $1)", "unconfirmed").await;
    for (name, outcome) in orders {
        check(&outcome, numbers(&stage, &name).await, &name);
        let repeated = text(&buy(&stage, &name).await.unwrap().ok()["id"]);
        assert_eq!(numbers(&stage, &name).await, 1, "{name}: repeated under its key");
        assert!(matches!(outcome, Outcome::Refused | Outcome::Open) || outcome == Outcome::Done(repeated), "{name}");
    }
    stage.end().await;
}

async fn buy(stage: &Stage, name: &str) -> Result<Answer, NoAnswer> {
    let order = json!({"areaCode": "206", "externalId": name});
    stage.client.post_once("/v1/numbers", &order, Some(name)).await
}

async fn numbers(stage: &Stage, name: &str) -> i64 {
    count(&stage.store, "SELECT COUNT(*) FROM numbers WHERE external_id = $1", name).await
}
