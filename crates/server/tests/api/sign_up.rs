//! `/v0/agent`: an account that somebody opens himself.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use offhook_domain::{AccountId, Id, Timestamp};
use offhook_store::{StoreError, Tx};
use serde_json::{Value, json};

use crate::app::{Client, Deed, FakeCarrier, Setup, TestApp};

const ADA: &str = "ada@example.org";

async fn with(carrier: &Arc<FakeCarrier>) -> TestApp {
    let setup = Setup::default().setting("OFFHOOK__PRICES__SANDBOX_FREE", false);
    setup.setting("OFFHOOK__MAIL__SMTP_URL", "smtp://127.0.0.1:9").carrier(carrier.clone()).start().await
}

/// Signs up and reads the mail: the verification's id and the code.
async fn sign_up(app: &TestApp, email: &str) -> (String, String) {
    let wish = json!({"human_email": email, "agent_name": "Desk"});
    let begun = app.stranger().post("/v0/agent/sign-up").json(wish).await.ok();
    let id = begun["verification_id"].as_str().unwrap().to_owned();
    let mails = async |tx: &mut Tx| tx.mails_due(Timestamp::from_micros(i64::MAX), 100).await;
    let mails = app.app.store.read::<_, StoreError>(mails).await.unwrap();
    let mail = mails.iter().find(|mail| mail.id.as_str() == id).unwrap();
    assert_eq!(mail.recipient, begun["human_email"].as_str().unwrap());
    assert!(!mail.body.contains("code"), "it is sealed");
    (id, app.app.sealer.open(&mail.body).unwrap()[..6].to_owned())
}

fn entry((id, code): &(String, String)) -> Value {
    json!({"verification_id": id, "otp_code": code, "source": "a friend"})
}

fn wrong((id, code): &(String, String)) -> Value {
    entry(&(id.clone(), if code == "000000" { "000001" } else { "000000" }.to_owned()))
}

fn client(app: &TestApp, opened: &Value) -> Client {
    let account = AccountId::parse(opened["account_id"].as_str().unwrap()).unwrap();
    app.with_key(&account, opened["api_key"].as_str().unwrap())
}

#[tokio::test]
async fn an_account_is_opened_with_number_agent_and_key() {
    let carrier = FakeCarrier::doing([]);
    let app = with(&carrier).await;
    let mail = sign_up(&app, "Ada@Example.org").await;

    let opened = app.stranger().post("/v0/agent/verify").json(entry(&mail)).await.ok();
    assert_eq!(opened["phone_number"], "+14155550100");
    let ada = client(&app, &opened);
    let agent = ada.get(&format!("/v1/agents/{}", opened["agent_id"].as_str().unwrap())).await.ok();
    assert_eq!(agent["name"], "Desk");
    assert_eq!((&agent["numbers"][0]["id"], agent["numbers"].as_array().unwrap().len()), (&opened["number_id"], 1));
    assert_eq!(ada.wallet().await, "$2.00", "the credit, less the number");
    ada.check_books().await;

    // Whoever lost the answer gets it again; the address has its account.
    assert_eq!(app.stranger().post("/v0/agent/verify").json(entry(&mail)).await.ok(), opened);
    let again = json!({"human_email": "ADA@example.ORG", "agent_name": "Desk"});
    assert_eq!(app.stranger().post("/v0/agent/sign-up").json(again).await.refused(409).code, "CONFLICT");
    assert_eq!(carrier.sold(), ["+14155550100"]);

    // The number can be given up like any other.
    let number = format!("/v1/numbers/{}", opened["number_id"].as_str().unwrap());
    ada.delete(&number).await.ok();
    app.look_after_numbers().await;
    assert!(carrier.sold().is_empty());
    ada.check_books().await;
}

#[tokio::test]
async fn a_code_ends_with_its_tries_and_with_its_time() {
    let app = with(&FakeCarrier::doing([])).await;
    let verify = |body: Value| app.stranger().post("/v0/agent/verify").json(body);
    let mail = sign_up(&app, ADA).await;
    for _ in 0..5 {
        verify(wrong(&mail)).await.refused(400);
    }
    assert!(verify(entry(&mail)).await.refused(400).message.contains("no tries"));

    let mail = sign_up(&app, ADA).await;
    app.later(Duration::from_secs(600));
    assert!(verify(entry(&mail)).await.refused(400).message.contains("expired"));
    let nobody = ("ver_06ck3v0w2e8zg1m8t4q7x5n9ra".to_owned(), "123456".to_owned());
    assert_eq!(verify(entry(&nobody)).await.refused(404).code, "VERIFICATION_NOT_FOUND");
}

#[tokio::test]
async fn five_codes_are_looked_at_however_many_come_at_once() {
    let carrier = FakeCarrier::doing([]);
    let app = with(&carrier).await;
    let mail = sign_up(&app, ADA).await;
    let verify = |body: Value| app.stranger().post("/v0/agent/verify").json(body).into_future();
    let answers = join_all((0..20).map(|_| verify(wrong(&mail)))).await;
    let looked_at = answers.iter().filter(|answer| answer.text.contains("the code is wrong")).count();
    assert_eq!(looked_at, 5);
    verify(entry(&mail)).await.refused(400);
    assert!(carrier.sold().is_empty());
}

#[tokio::test]
async fn two_who_enter_one_code_get_one_account() {
    let carrier = FakeCarrier::doing([]);
    let app = with(&carrier).await;
    let mails = [sign_up(&app, ADA).await, sign_up(&app, ADA).await];
    let verify = |n: usize| app.stranger().post("/v0/agent/verify").json(entry(&mails[n % 2])).into_future();
    let answers = join_all((0..8).map(verify)).await;
    let opened: Vec<Value> = answers.iter().filter(|answer| answer.status == 200).map(|answer| answer.ok()).collect();
    assert!(!opened.is_empty() && opened.iter().all(|one| *one == opened[0]), "{answers:?}");
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        refused.refused(409);
    }
    app.look_after_numbers().await;
    assert_eq!(
        carrier.sold(),
        [opened[0]["phone_number"].as_str().unwrap()],
        "what was bought for nobody is given back"
    );
    client(&app, &opened[0]).check_books().await;
}

#[tokio::test]
async fn a_crash_while_the_carrier_is_asked_is_put_right() {
    for deed in [Deed::Hang, Deed::SellAndHang] {
        let carrier = FakeCarrier::doing([deed]);
        let app = with(&carrier).await;
        let mail = sign_up(&app, ADA).await;
        let verify = || app.stranger().post("/v0/agent/verify").json(entry(&mail));
        tokio::select! {
            answer = verify() => panic!("{answer:?}"),
            () = carrier.keeps_waiting.notified() => {}
        }
        app.look_after_numbers().await;
        verify().await.refused(409);

        app.later(Duration::from_secs(61));
        app.look_after_numbers().await;
        assert!(carrier.sold().is_empty(), "what was sold is given back");
        let opened = verify().await.ok();
        assert_eq!(carrier.sold(), [opened["phone_number"].as_str().unwrap()]);
        client(&app, &opened).check_books().await;
    }
}

#[tokio::test]
async fn a_lost_answer_is_found_out_and_the_code_serves_again() {
    for deed in [Deed::LoseUnsold, Deed::SellAndLose, Deed::LoseAndSellLate] {
        let carrier = FakeCarrier::doing([deed]);
        let app = with(&carrier).await;
        let mail = sign_up(&app, ADA).await;
        let verify = || app.stranger().post("/v0/agent/verify").json(entry(&mail));
        assert_eq!(verify().await.refused(409).code, "PURCHASE_UNCONFIRMED");
        app.look_after_numbers().await;
        assert!(carrier.sold().is_empty(), "{deed:?}");
        let opened = verify().await.ok();
        assert_eq!(carrier.sold(), [opened["phone_number"].as_str().unwrap()], "{deed:?}");
    }
}

#[tokio::test]
async fn a_carrier_that_fails_leaves_the_code_good() {
    let carrier = FakeCarrier::doing([Deed::Fail, Deed::Refuse, Deed::Taken]);
    let app = with(&carrier).await;
    let mail = sign_up(&app, ADA).await;
    let verify = || app.stranger().post("/v0/agent/verify").json(entry(&mail));
    verify().await.refused(502);
    verify().await.refused(400);
    verify().await.ok();
    assert_eq!(carrier.sold().len(), 1);
}

#[tokio::test]
async fn codes_are_not_sent_without_end() {
    let app = with(&FakeCarrier::doing([])).await;
    let wish = json!({"human_email": ADA, "agent_name": "Desk"});
    let asked = (0..9).map(|_| app.stranger().post("/v0/agent/sign-up").json(wish.clone()).into_future());
    let answers = join_all(asked).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 5);
    let refused = app.stranger().post("/v0/agent/sign-up").json(wish).await;
    assert_eq!(refused.refused(429).code, "RATE_LIMIT_EXCEEDED");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
}

#[tokio::test]
async fn every_bad_field_is_named() {
    let app = with(&FakeCarrier::doing([])).await;
    let bad = json!({"human_email": "ada", "agent_name": ""});
    let refused = app.stranger().post("/v0/agent/sign-up").json(bad).await;
    assert_eq!(refused.bad_fields(), ["human_email", "agent_name"]);
    let bad = json!({"verification_id": 7, "otp_code": "12", "source": 1});
    let refused = app.stranger().post("/v0/agent/verify").json(bad).await;
    assert_eq!(refused.bad_fields(), ["verification_id", "otp_code", "source"]);
}

#[tokio::test]
async fn a_credit_that_covers_no_number_makes_no_account() {
    let carrier = FakeCarrier::doing([]);
    let setup = Setup::default().setting("OFFHOOK__PRICES__SANDBOX_FREE", false);
    let setup = setup.setting("OFFHOOK__PRICES__SIGN_UP_CREDIT_MICROS", 2_000_000);
    let app = setup.setting("OFFHOOK__MAIL__SMTP_URL", "smtp://127.0.0.1:9").carrier(carrier.clone()).start().await;
    let mail = sign_up(&app, ADA).await;
    app.stranger().post("/v0/agent/verify").json(entry(&mail)).await.refused(400);
    assert!(carrier.sold().is_empty());
}

#[tokio::test]
async fn where_sign_up_is_off_there_is_no_such_route() {
    let app = Setup::default().setting("OFFHOOK__SIGN_UP__ENABLED", "never").start().await;
    let wish = json!({"human_email": ADA, "agent_name": "Desk"});
    assert_eq!(app.stranger().post("/v0/agent/sign-up").json(wish).await.refused(404).code, "NOT_FOUND");
}
