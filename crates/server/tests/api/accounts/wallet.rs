//! One wallet for all of a master's sub-accounts.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::costly;
use crate::app::id;

const THEIRS: &str = "+14155550123";

#[tokio::test]
async fn everything_a_sub_account_does_is_its_masters_bill() {
    let app = costly().await;
    app.credit(10).await;
    let child = app.child("Child").await;
    let number = child.post("/v1/numbers").await.ok();
    assert_eq!(app.wallet().await, "$7.00");
    let text = json!({"number_id": id(&number), "to_number": THEIRS, "body": "hello"});
    child.post("/v1/messages").json(text).await.ok();
    assert_eq!(app.wallet().await, "$6.98");
    app.is_texted(THEIRS, number["phoneNumber"].as_str().unwrap(), "hello yourself").await;
    assert_eq!(app.wallet().await, "$6.96");
    app.later(Duration::from_secs(30 * 24 * 3600));
    app.look_after_numbers().await;
    assert_eq!(app.wallet().await, "$3.96");

    let (own, usage) = (app.get("/v1/usage").await.ok(), child.get("/v1/usage").await.ok());
    assert_eq!(own["balance"], usage["balance"]);
    assert_eq!((&own["numbers"]["used"], &usage["numbers"]["used"]), (&json!(0), &json!(1)));
    assert_eq!((&own["stats"]["totalMessages"], &usage["stats"]["totalMessages"]), (&json!(0), &json!(2)));

    // The text was never handed on: what it cost comes back to who paid.
    child.delete(&format!("/v1/numbers/{}", id(&number))).await.ok();
    assert_eq!(app.wallet().await, "$3.98");
    app.check_books().await;
    child.check_books().await;
}

#[tokio::test]
async fn an_unpaid_number_of_a_sub_account_is_paid_when_the_master_can() {
    let app = costly().await;
    app.credit(3).await;
    let child = app.child("Child").await;
    child.post("/v1/numbers").await.ok();
    app.later(Duration::from_secs(30 * 24 * 3600));
    app.look_after_numbers().await;
    assert_eq!(app.wallet().await, "$0.00");
    app.credit(4).await;
    app.look_after_numbers().await;
    assert_eq!(app.wallet().await, "$1.00");
    app.check_books().await;
}

#[tokio::test]
async fn nobody_buys_with_an_empty_wallet() {
    let app = costly().await;
    app.credit_micros(2_999_999).await;
    let child = app.child("Child").await;
    assert_eq!(child.post("/v1/numbers").await.refused(402).code, "INSUFFICIENT_BALANCE");
    // What another account has does not help.
    app.second_account().await.credit(100).await;
    assert_eq!(child.post("/v1/numbers").await.refused(402).code, "INSUFFICIENT_BALANCE");
    child.check_books().await;
}

#[tokio::test]
async fn what_the_wallet_covers_is_sent_to_the_last_micro_dollar() {
    let app = costly().await;
    app.credit(6).await;
    let (one, two) = (app.child("One").await, app.child("Two").await);
    let mut senders = Vec::new();
    for client in [&one, &two] {
        senders.push((client.clone(), id(&client.post("/v1/numbers").await.ok())));
    }
    // Twenty-five texts of two cents, and one micro-dollar too little for the next.
    app.credit_micros(25 * 20_000 + 19_999).await;
    let mut sending = JoinSet::new();
    for nth in 0..60 {
        let (client, number) = senders[nth % 2].clone();
        let text = json!({"number_id": number, "to_number": THEIRS, "body": format!("text {nth}")});
        sending.spawn(async move { client.post("/v1/messages").json(text).await.status.as_u16() });
    }
    let answers = sending.join_all().await;
    let count = |status: u16| answers.iter().filter(|answer| **answer == status).count();
    assert_eq!((count(200), count(402)), (25, 35), "{answers:?}");
    assert_eq!(app.wallet().await, "$0.019999");
    let totals = [&one, &two].map(|client| client.get("/v1/usage"));
    let mut sent = 0;
    for total in totals {
        sent += total.await.ok()["stats"]["totalMessages"].as_i64().unwrap();
    }
    assert_eq!(sent, 25);
    for client in [app.client(), &one, &two] {
        client.check_books().await;
    }
}

#[tokio::test]
async fn the_ledger_names_the_sub_account() {
    use offhook_store::{Sql, StoreError, Tx};
    const LINES: Sql = Sql("SELECT kind, account_id, on_behalf_of FROM ledger_entries ORDER BY id");
    let app = costly().await;
    app.credit(3).await;
    let child = app.child("Child").await;
    child.post("/v1/numbers").await.ok();
    let read = async |tx: &mut Tx| {
        let rows = tx.rows(LINES, []).await?;
        let read = |mut row: offhook_store::engine::Row| {
            Ok((row.take::<String>()?, row.take::<String>()?, row.take::<Option<String>>()?))
        };
        rows.into_iter().map(read).collect::<Result<Vec<_>, StoreError>>()
    };
    let lines = app.app.store.read::<_, StoreError>(read).await.unwrap();
    let (master, sub) = (app.account_id().to_owned(), Some(child.account_id().to_owned()));
    let expected = [
        ("credit".to_owned(), master.clone(), None),
        ("number_hold".to_owned(), master.clone(), sub.clone()),
        ("number_bought".to_owned(), master, sub),
    ];
    assert_eq!(lines, expected);
    assert_eq!(child.get("/v1/usage").await.ok()["balance"]["micros"], Value::from(0));
}

#[tokio::test]
async fn a_masters_limit_covers_what_its_sub_accounts_spend() {
    let app = crate::app::Setup::default()
        .setting("OFFHOOK__PRICES__SANDBOX_FREE", false)
        .standing_clock(offhook_domain::Timestamp::parse("2026-03-01T12:00:00Z").unwrap())
        .sandbox()
        .start()
        .await;
    app.credit(500).await;
    let (one, two) = (app.child("One").await, app.child("Two").await);
    let mut senders = Vec::new();
    for (client, phone) in [(app.client(), "+14155550100"), (&one, "+14155550101"), (&two, "+14155550102")] {
        senders.push((client.clone(), client.number(phone).await.to_string()));
    }
    app.patch("/v1/account").json(json!({"dailySpendLimit": "0.10"})).await.ok();
    let send = async |(client, number): &(crate::app::Client, String), to: &str| {
        client.post("/v1/messages").json(json!({"number_id": number, "to_number": to, "body": "Hi"})).await
    };
    for sender in [&senders[1], &senders[2], &senders[0]] {
        send(sender, THEIRS).await.ok();
    }
    // The number is too dear, for whoever buys it; and so is a registration.
    for client in [app.client(), &one] {
        assert_eq!(client.post("/v1/numbers").await.refused(400).code, "SPEND_LIMIT_REACHED");
        let form = crate::registration::form("sole_proprietor");
        assert_eq!(client.post("/v1/register").json(form).await.refused(400).code, "SPEND_LIMIT_REACHED");
    }
    // Two texts more, however many ask at once.
    let mut sending = JoinSet::new();
    for nth in 0..12_usize {
        let (client, number) = senders[nth % 3].clone();
        let text = json!({"number_id": number, "to_number": format!("+1415201{nth:04}"), "body": "Hi"});
        sending.spawn(async move { client.post("/v1/messages").json(text).await.status.as_u16() });
    }
    let answers = sending.join_all().await;
    assert_eq!(answers.iter().filter(|answer| **answer == 200).count(), 2, "{answers:?}");
    // What is paid back counts no more.
    app.is_texted(THEIRS, "+14155550101", "STOP").await;
    send(&senders[2], THEIRS).await.ok();
    assert_eq!(send(&senders[2], THEIRS).await.refused(400).code, "SPEND_LIMIT_REACHED");
    // A sub-account's own limit holds too.
    app.patch("/v1/account").json(json!({"dailySpendLimit": "50"})).await.ok();
    two.patch("/v1/account").json(json!({"dailySpendLimit": "0"})).await.ok();
    assert_eq!(send(&senders[2], THEIRS).await.refused(400).code, "SPEND_LIMIT_REACHED");
    send(&senders[1], "+14152019999").await.ok();
    app.books_agree().await;
}
