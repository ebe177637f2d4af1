//! Buying a number when things go wrong: it is never bought without being stored, nor stored without being
//! bought, and the money is where it belongs.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use offhook_domain::{Id, MessageId};
use offhook_store::{Engine, StoreError, Tx};
use serde_json::{Value, json};

use crate::app::{Client, Deed, FakeCarrier, Setup, TestApp, id};

/// Numbers cost three dollars, and the account has ten.
async fn priced(carrier: &Arc<FakeCarrier>) -> TestApp {
    priced_as(Setup::default(), carrier).await
}

async fn priced_as(setup: Setup, carrier: &Arc<FakeCarrier>) -> TestApp {
    let setup = setup.setting("OFFHOOK__PRICES__SANDBOX_FREE", false);
    let app = setup.carrier(carrier.clone()).start().await;
    app.credit(10).await;
    app
}

async fn listed(client: &Client) -> Vec<String> {
    let page = client.get("/v1/numbers?limit=100").await.ok();
    let numbers = page["data"].as_array().unwrap().iter();
    let mut numbers: Vec<_> = numbers.map(|number| number["phoneNumber"].as_str().unwrap().to_owned()).collect();
    numbers.sort();
    numbers
}

/// What the carrier sold is what is stored, and paid.
async fn check(app: &TestApp, carrier: &FakeCarrier, numbers: &[&str], wallet: &str) {
    assert_eq!(carrier.sold(), numbers, "sold by the carrier");
    assert_eq!(listed(app).await, numbers, "stored");
    assert_eq!((app.wallet().await, app.held().await), (wallet.to_owned(), "$0.00".to_owned()));
    app.check_books().await;
}

const BUYERS_TIME: Duration = Duration::from_secs(61);

#[tokio::test]
async fn a_bought_number_is_paid() {
    let carrier = FakeCarrier::doing([]);
    let app = priced(&carrier).await;
    app.post("/v1/numbers").await.ok();
    check(&app, &carrier, &["+14155550100"], "$7.00").await;
    assert_eq!(
        app.get("/v1/usage").await.ok()["balance"],
        json!({"micros": 7_000_000, "text": "$7.00", "currency": "USD"})
    );
}

#[tokio::test]
async fn a_crash_between_any_two_steps_is_put_right() {
    // Before anything was bought, and after.
    for (deed, numbers, wallet) in [(Deed::Hang, &[][..], "$10.00"), (Deed::SellAndHang, &["+14155550100"], "$7.00")] {
        let carrier = FakeCarrier::doing([deed]);
        let app = priced(&carrier).await;
        tokio::select! {
            answer = app.post("/v1/numbers").once("k") => panic!("{answer:?}"),
            () = carrier.keeps_waiting.notified() => {}
        }
        // For all anybody knows the buyer is still at it.
        app.look_after_numbers().await;
        assert_eq!((listed(&app).await, app.held().await), (vec![], "$3.00".to_owned()));
        app.check_books().await;
        assert_eq!(app.post("/v1/numbers").once("k").await.refused(409).code, "IDEMPOTENCY_IN_PROGRESS");

        app.later(BUYERS_TIME);
        app.look_after_numbers().await;
        check(&app, &carrier, numbers, wallet).await;

        // The client asks again: it hears of what was bought, or buys.
        let again = app.post("/v1/numbers").once("k").await;
        assert_eq!(again.replayed(), deed == Deed::SellAndHang);
        assert_eq!(again.ok()["phoneNumber"], "+14155550100");
        check(&app, &carrier, &["+14155550100"], "$7.00").await;
    }
}

#[tokio::test]
async fn a_new_process_does_not_wait_for_the_buyers_of_the_old_one() {
    for (deed, numbers, wallet) in [(Deed::Hang, &[][..], "$10.00"), (Deed::SellAndHang, &["+14155550100"], "$7.00")] {
        let carrier = FakeCarrier::doing([deed]);
        // Where there is one process, that is: on PostgreSQL the buyer may be another node's.
        let app = priced_as(Setup::default().on(Engine::Sqlite), &carrier).await;
        tokio::select! {
            answer = app.post("/v1/numbers") => panic!("{answer:?}"),
            () = carrier.keeps_waiting.notified() => {}
        }
        let next = app.next_process();
        offhook_server::app::reconcile_purchases::adopt_orphans(&next).await.unwrap();
        offhook_server::app::reconcile_purchases::reconcile_purchases(&next).await.unwrap();
        check(&app, &carrier, numbers, wallet).await;
    }
}

#[tokio::test]
async fn a_lost_answer_is_found_out() {
    for (deed, numbers, wallet) in
        [(Deed::LoseUnsold, &[][..], "$10.00"), (Deed::SellAndLose, &["+14155550100"], "$7.00")]
    {
        let carrier = FakeCarrier::doing([deed]);
        let app = priced(&carrier).await;
        assert_eq!(app.post("/v1/numbers").once("k").await.refused(409).code, "PURCHASE_UNCONFIRMED");
        assert_eq!((listed(&app).await, app.held().await), (vec![], "$3.00".to_owned()));
        app.check_books().await;

        app.look_after_numbers().await;
        check(&app, &carrier, numbers, wallet).await;
    }
}

#[tokio::test]
async fn outside_of_the_sandbox_an_unknown_order_is_given_time_to_turn_up() {
    let carrier = FakeCarrier::doing([Deed::LoseUnsold]);
    let app = Setup::default().setting("OFFHOOK__MODE__SANDBOX", false).carrier(carrier.clone()).start().await;
    app.credit(10).await;
    app.post("/v1/numbers").await.refused(409);
    for _ in 0..9 {
        app.look_after_numbers().await;
        assert_eq!(app.held().await, "$3.00");
        app.later(Duration::from_secs(10));
    }
    app.look_after_numbers().await;
    check(&app, &carrier, &[], "$10.00").await;
}

#[tokio::test]
async fn an_order_that_takes_effect_too_late_is_given_back() {
    let carrier = FakeCarrier::doing([Deed::LoseAndSellLate]);
    let app = priced(&carrier).await;
    app.post("/v1/numbers").await.refused(409);
    app.look_after_numbers().await;
    check(&app, &carrier, &[], "$10.00").await;
}

#[tokio::test]
async fn the_next_number_is_tried_when_one_is_taken() {
    let carrier = FakeCarrier::doing([Deed::Taken, Deed::Taken]);
    let app = priced(&carrier).await;
    let bought = app.post("/v1/numbers").await.ok();
    check(&app, &carrier, &[bought["phoneNumber"].as_str().unwrap()], "$7.00").await;

    let carrier = FakeCarrier::doing([Deed::Taken; 6]);
    let app = priced(&carrier).await;
    // Three in the area code, and the same three in the country.
    assert_eq!(app.post("/v1/numbers").json(json!({"areaCode": "415"})).await.refused(400).code, "VALIDATION_ERROR");
    check(&app, &carrier, &[], "$10.00").await;
}

#[tokio::test]
async fn what_was_not_bought_is_given_back_at_once() {
    let cases = [
        (FakeCarrier::doing([Deed::Refuse]), 400, "VALIDATION_ERROR"),
        (FakeCarrier::doing([Deed::Fail]), 502, "CARRIER_ERROR"),
        (FakeCarrier::failing_searches(1), 502, "CARRIER_ERROR"),
    ];
    for (carrier, status, code) in cases {
        let app = priced(&carrier).await;
        assert_eq!(app.post("/v1/numbers").once("k").await.refused(status).code, code);
        check(&app, &carrier, &[], "$10.00").await;
        let again = app.post("/v1/numbers").once("k").await;
        if status == 400 {
            assert!(again.replayed());
            again.refused(400);
        } else {
            // Nothing happened, so the same request may be made again.
            again.ok();
            check(&app, &carrier, &["+14155550100"], "$7.00").await;
        }
    }
}

#[tokio::test]
async fn a_buyer_who_comes_back_too_late_gives_the_number_back() {
    let carrier = FakeCarrier::doing([Deed::WaitAndSell]);
    let app = priced(&carrier).await;
    let settle = async {
        carrier.keeps_waiting.notified().await;
        app.later(BUYERS_TIME);
        app.look_after_numbers().await;
        assert_eq!(app.wallet().await, "$10.00");
        carrier.may_answer.notify_one();
    };
    let (answer, ()) = tokio::join!(app.post("/v1/numbers").into_future(), settle);
    assert_eq!(answer.refused(502).code, "CARRIER_ERROR");
    app.look_after_numbers().await;
    check(&app, &carrier, &[], "$10.00").await;
}

#[tokio::test]
async fn a_buyer_who_comes_back_late_finds_his_number_stored() {
    let carrier = FakeCarrier::doing([Deed::SellAndWait]);
    let app = priced(&carrier).await;
    let settle = async {
        carrier.keeps_waiting.notified().await;
        app.later(BUYERS_TIME);
        app.look_after_numbers().await;
        carrier.may_answer.notify_one();
    };
    let (answer, ()) = tokio::join!(app.post("/v1/numbers").once("k").into_future(), settle);
    let bought = answer.ok();
    check(&app, &carrier, &["+14155550100"], "$7.00").await;
    let again = app.post("/v1/numbers").once("k").await;
    assert_eq!((again.replayed(), again.ok()), (true, bought));
}

#[tokio::test]
async fn an_agent_deleted_meanwhile_is_not_given_the_number() {
    let carrier = FakeCarrier::doing([Deed::SellAndWait]);
    let app = priced(&carrier).await;
    let agent = id(&app.post("/v1/agents").json(json!({"name": "Desk"})).await.ok());
    let delete = async {
        carrier.keeps_waiting.notified().await;
        app.delete(&format!("/v1/agents/{agent}")).await.ok();
        carrier.may_answer.notify_one();
    };
    let (answer, ()) = tokio::join!(app.post("/v1/numbers").json(json!({"agentId": agent})).into_future(), delete);
    assert_eq!(answer.ok()["agentId"], Value::Null);
    check(&app, &carrier, &["+14155550100"], "$7.00").await;
}

#[tokio::test]
async fn the_sandbox_fails_on_demand() {
    let app = Setup::default().sandbox().start().await;
    let buy = async |number: &str| app.post("/v1/numbers").json(json!({"phoneNumber": number})).await;
    assert_eq!(buy("+14155550196").await.refused(502).code, "CARRIER_ERROR");
    assert_eq!(buy("+14155550197").await.refused(409).code, "PURCHASE_UNCONFIRMED");
    assert_eq!(buy("+14155550198").await.refused(409).code, "PURCHASE_UNCONFIRMED");
    assert_eq!(listed(&app).await, Vec::<String>::new());
    app.look_after_numbers().await;
    assert_eq!(listed(&app).await, ["+14155550198"]);
    app.check_books().await;
}

#[tokio::test]
async fn the_hold_limit_holds_under_concurrent_buys() {
    let app = Setup::default().sandbox().start().await;
    let answers =
        join_all((0..30).map(|_| app.post("/v1/numbers").json(json!({"areaCode": "415"})).into_future())).await;
    let (bought, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((bought.len(), refused.len()), (10, 20));
    for answer in refused {
        assert_eq!(answer.refused(400).code, "VALIDATION_ERROR_NUMBER_LIMIT");
    }
    assert_eq!(listed(&app).await.len(), 10);
    app.check_books().await;

    // A place that is given up can be taken again.
    app.post("/v1/numbers").await.refused(400);
    let first = bought[0].ok();
    app.delete(&format!("/v1/numbers/{}", id(&first))).await.ok();
    app.post("/v1/numbers").await.ok();
    app.check_books().await;
}

#[tokio::test]
async fn the_balance_holds_under_concurrent_buys() {
    let app = Setup::default().setting("OFFHOOK__PRICES__SANDBOX_FREE", false).sandbox().start().await;
    app.credit(11).await;
    let answers = join_all((0..30).map(|_| app.post("/v1/numbers").into_future())).await;
    let (bought, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((bought.len(), refused.len()), (3, 27));
    for answer in refused {
        assert_eq!(answer.refused(402).code, "INSUFFICIENT_BALANCE");
    }
    assert_eq!((app.wallet().await, app.held().await), ("$2.00".to_owned(), "$0.00".to_owned()));
    app.check_books().await;
}

#[tokio::test]
async fn one_key_buys_one_number() {
    let carrier = FakeCarrier::doing([Deed::SellAndWait]);
    let app = priced(&carrier).await;
    let order = json!({"externalId": "x"});
    let meanwhile = async {
        carrier.keeps_waiting.notified().await;
        let twin = app.post("/v1/numbers").json(order.clone()).once("k").await;
        assert_eq!(twin.refused(409).code, "IDEMPOTENCY_IN_PROGRESS");
        carrier.may_answer.notify_one();
    };
    let (first, ()) = tokio::join!(app.post("/v1/numbers").json(order.clone()).once("k").into_future(), meanwhile);
    let again = app.post("/v1/numbers").json(order).once("k").await;
    assert_eq!((again.replayed(), again.ok()), (true, first.ok()));
    let other = app.post("/v1/numbers").json(json!({})).once("k").await;
    assert_eq!(other.refused(422).code, "IDEMPOTENCY_KEY_REUSED");
    check(&app, &carrier, &["+14155550100"], "$7.00").await;
}

#[tokio::test]
async fn a_number_is_not_bought_again_before_the_carrier_has_it_for_sure() {
    let carrier = FakeCarrier::losing_releases(1);
    let app = priced(&carrier).await;
    let first = id(&app.post("/v1/numbers").await.ok());
    app.delete(&format!("/v1/numbers/{first}")).await.ok();
    app.look_after_numbers().await;

    // The carrier offers it again, but we would give it back once more.
    let other = app.post("/v1/numbers").await.ok()["phoneNumber"].as_str().unwrap().to_owned();
    assert_ne!(other, "+14155550100");
    let wanted = json!({"phoneNumber": "+14155550100"});
    app.post("/v1/numbers").json(wanted.clone()).await.refused(400);

    app.later(Duration::from_secs(31));
    app.look_after_numbers().await;
    app.post("/v1/numbers").json(wanted).await.ok();
    check(&app, &carrier, &["+14155550100", &other], "$1.00").await;
}

/// Where a message stands, in words.
async fn message_state(app: &TestApp, message: &str) -> (String, Option<String>) {
    let message = MessageId::parse(message).unwrap();
    let state = app.app.store.read::<_, StoreError>(async move |tx: &mut Tx| tx.message_state(&message).await).await;
    let (status, code) = state.unwrap().unwrap();
    (status.as_str().to_owned(), code)
}

#[tokio::test]
async fn what_waits_to_go_out_from_a_released_number_fails_and_is_refunded() {
    let carrier = FakeCarrier::doing([]);
    let app = priced(&carrier).await;
    app.post("/v1/webhooks").json(json!({"url": "https://example.org/hook", "events": ["message.status"]})).await.ok();
    let number = id(&app.post("/v1/numbers").await.ok());
    let mut sent = Vec::new();
    for to in ["+14152011234", "+14152011235"] {
        let text = json!({"from_number": "+14155550100", "to_number": to, "body": "Hi"});
        sent.push(id(&app.post("/v1/messages").json(text).await.ok()));
    }
    let failed = ("failed".to_owned(), Some("30004".to_owned()));

    // A worker has the first; the second waits.
    let (line, now) = (number.clone(), app.app.now());
    let claim = async move |tx: &mut Tx| {
        let first = tx.waiting_sends(&line, now, 1).await?;
        tx.claim_send_jobs(&[&first[0].message_id], 1).await?;
        Ok(first)
    };
    let claimed = app.app.store.write::<_, StoreError>(claim).await.unwrap().remove(0);
    assert_eq!(claimed.message_id.as_str(), sent[0]);
    app.delete(&format!("/v1/numbers/{number}")).await.ok();
    assert_eq!(message_state(&app, &sent[0]).await, ("queued".to_owned(), None));
    assert_eq!(message_state(&app, &sent[1]).await, failed);

    // The carrier does not get the number back while a message may go out from it.
    app.look_after_numbers().await;
    assert_eq!(carrier.sold(), ["+14155550100"]);
    let back = async move |tx: &mut Tx| {
        tx.put_back_send_job(&claimed.message_id, &claimed.conversation_id, 1, now, now.plus(Duration::from_secs(600)))
            .await
    };
    app.app.store.write::<_, StoreError>(back).await.unwrap();
    app.look_after_numbers().await;
    assert_eq!(message_state(&app, &sent[0]).await, failed);
    let told = app.get("/v1/webhooks/deliveries?limit=10").await.ok();
    assert_eq!(told["data"].as_array().unwrap().len(), 2, "{told}");
    check(&app, &carrier, &[], "$7.00").await;
}

#[tokio::test]
async fn a_release_that_comes_late_takes_no_later_sale_away() {
    let app = Setup::default().sandbox().start().await;
    let wanted = json!({"phoneNumber": "+14155550100"});
    let first = id(&app.post("/v1/numbers").json(wanted.clone()).await.ok());
    let account = app.account.clone();
    let number = offhook_domain::NumberId::parse(&first).unwrap();
    let of = async move |tx: &mut Tx| tx.of(&account).purchase_of(&number).await;
    let purchase = app.app.store.read::<_, StoreError>(of).await.unwrap().unwrap();
    app.delete(&format!("/v1/numbers/{first}")).await.ok();
    app.look_after_numbers().await;
    app.post("/v1/numbers").json(wanted).await.ok();

    let phone = offhook_domain::E164::parse("+14155550100").unwrap();
    let carrier = app.app.carriers.all().next().unwrap();
    carrier.release(&phone, Some(&purchase)).await.unwrap();
    let sold = async move |tx: &mut Tx| tx.sandbox_numbers_sold_among(std::slice::from_ref(&phone)).await;
    assert_eq!(app.app.store.read::<_, StoreError>(sold).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_number_that_is_held_here_already_is_not_bought_again() {
    for deed in [Deed::SellAndLose, Deed::SellAndWait] {
        let carrier = FakeCarrier::doing([deed]);
        let app = priced(&carrier).await;
        let other = app.second_account().await;
        let meanwhile = async {
            if deed == Deed::SellAndWait {
                carrier.keeps_waiting.notified().await;
                other.number("+14155550100").await;
                carrier.may_answer.notify_one();
            }
        };
        let (answer, ()) = tokio::join!(app.post("/v1/numbers").once("k").into_future(), meanwhile);
        if deed == Deed::SellAndLose {
            assert_eq!(answer.refused(409).code, "PURCHASE_UNCONFIRMED");
            other.number("+14155550100").await;
        } else {
            assert_eq!(answer.refused(502).code, "CARRIER_ERROR");
        }
        app.later(Duration::from_secs(2));
        app.look_after_numbers().await;
        assert_eq!((app.wallet().await, app.held().await), ("$10.00".to_owned(), "$0.00".to_owned()));
        assert_eq!((listed(&app).await, listed(&other).await), (vec![], vec!["+14155550100".to_owned()]));
        assert_eq!(carrier.sold(), ["+14155550100"], "the holder keeps it");
        app.check_books().await;
    }
}

#[tokio::test]
async fn an_order_that_may_still_arrive_is_asked_for_again_soon() {
    let carrier = FakeCarrier::doing([Deed::LoseUnsold]);
    let setup = Setup::default().setting("OFFHOOK__MODE__SANDBOX", false);
    let app = setup.carrier(carrier.clone()).start().await;
    app.credit(10).await;
    assert_eq!(app.post("/v1/numbers").await.refused(409).code, "PURCHASE_UNCONFIRMED");
    app.later(Duration::from_secs(2));
    app.look_after_numbers().await;
    let open = async |app: &TestApp| {
        let at = app.app.now();
        let open = async move |tx: &mut Tx| tx.purchases_to_settle(at, 10).await;
        app.app.store.read::<_, StoreError>(open).await.unwrap().len()
    };
    assert_eq!(open(&app).await, 0);
    app.later(Duration::from_secs(6));
    assert_eq!(open(&app).await, 1);
}
