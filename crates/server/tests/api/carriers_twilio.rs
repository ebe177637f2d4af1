//! An installation whose carrier is Twilio: numbers, texts, and what it posts.

use std::sync::Arc;
use std::time::Duration;

use offhook_carriers::twilio::{Settings, TwilioCarrier};
use offhook_carriers::{Carrier, Finding};
use offhook_domain::{Id, MessageId};
use offhook_store::{StoreError, Tx};
use offhook_testkit::fake_carriers::{FakeTwilio, SignedHook, Turn};
use serde_json::{Value, json};

use crate::app::{Answer, Setup, TestApp, id};

const PUBLIC: &str = "https://phone.example.com/offhook";
const ADA: &str = "+14152011234";
const STOCK: [&str; 3] = ["+14155550100", "+14155550101", "+12125550100"];

fn carrier(twilio: &FakeTwilio) -> Arc<TwilioCarrier> {
    drop(rustls::crypto::ring::default_provider().install_default());
    let settings = Settings {
        name: "main",
        account_sid: FakeTwilio::ACCOUNT.to_owned(),
        auth_token: FakeTwilio::TOKEN.into(),
        messaging_service_sid: None,
        base_url: twilio.url().parse().unwrap(),
        public_url: PUBLIC.to_owned(),
    };
    Arc::new(TwilioCarrier::new(settings).unwrap())
}

async fn with(twilio: &FakeTwilio) -> TestApp {
    let setup = Setup::default().setting("OFFHOOK__SERVER__PUBLIC_URL", PUBLIC).carrier(carrier(twilio));
    setup.setting("OFFHOOK__SENDING__RETRY_SECONDS", "1").start().await
}

async fn buy(app: &TestApp) -> Value {
    app.post("/v1/numbers").json(json!({"areaCode": "415"})).await.ok()
}

async fn send(app: &TestApp, to: &str, extra: Value) -> String {
    let mut text = json!({"from_number": STOCK[0], "to_number": to, "body": "Hi"});
    text.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    id(&app.post("/v1/messages").json(text).await.ok())
}

async fn post(app: &TestApp, hook: SignedHook) -> Answer {
    let call = app.stranger().post(&hook.path).text(hook.body);
    hook.headers.iter().fold(call, |call, (name, value)| call.header(name, value)).await
}

async fn message(app: &TestApp, message: &str) -> Value {
    let conversation = id(&app.get("/v1/conversations").await.ok()["data"][0]);
    let page = app.get(&format!("/v1/conversations/{conversation}/messages?limit=200")).await.ok();
    page["data"].as_array().unwrap().iter().find(|one| one["id"] == message).cloned().unwrap()
}

async fn settled(app: &TestApp, message: &str, wanted: &str) {
    let id = MessageId::parse(message).unwrap();
    let waiting = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let asked = id.clone();
            let look = async move |tx: &mut Tx| tx.message_state(&asked).await;
            let state = app.app.store.read::<_, StoreError>(look).await.unwrap().unwrap();
            if state.0.as_str() == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waiting.await.is_ok(), "{wanted} did not come of {message}");
}

/// The address that Twilio was told for what becomes of its n-th text.
fn status_url(twilio: &FakeTwilio, n: usize) -> String {
    twilio.texts("StatusCallback")[n][0].clone()
}

#[tokio::test]
async fn a_number_is_found_bought_and_given_back() {
    let twilio = FakeTwilio::selling(&STOCK).await;
    let app = with(&twilio).await.working();
    let found = app.get("/v1/numbers/available?areaCode=415").await.ok();
    assert_eq!(found["data"].as_array().unwrap().len(), 2);
    assert_eq!(found["data"][0]["rateCenter"], "SNFC CNTRL");
    let number = buy(&app).await;
    let held = twilio.held();
    assert_eq!(held[0].phone_number, number["phoneNumber"].as_str().unwrap());
    assert!(held[0].friendly_name.starts_with("buy_"), "{held:?}");
    assert!(held[0].sms_url.starts_with(&format!("{PUBLIC}/hooks/twilio/main/message")), "{held:?}");
    app.delete(&format!("/v1/numbers/{}", id(&number))).await.ok();
    let gone = tokio::time::timeout(Duration::from_secs(20), async {
        while !twilio.held().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(gone.await.is_ok(), "it was not given back");
}

#[tokio::test]
async fn a_purchase_whose_answer_is_lost_is_found_again() {
    let twilio = FakeTwilio::selling(&STOCK).await;
    let app = with(&twilio).await.working();
    twilio.next([Turn::DoAndCut]);
    assert_eq!(app.post("/v1/numbers").json(json!({})).await.status.as_u16(), 409);
    let there = tokio::time::timeout(Duration::from_secs(30), async {
        while app.get("/v1/numbers").await.ok()["data"].as_array().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(there.await.is_ok(), "it was not found");
    assert_eq!(twilio.held().len(), 1);
}

#[tokio::test]
async fn what_somebody_else_bought_is_followed_by_the_next_and_a_refusal_by_nothing() {
    let twilio = FakeTwilio::selling(&STOCK).await;
    let app = with(&twilio).await;
    twilio.next([FakeTwilio::refusal(400, 21422, "not available")]);
    buy(&app).await;
    twilio.next([FakeTwilio::refusal(400, 21631, "an address is required")]);
    let refused = app.post("/v1/numbers").json(json!({})).await;
    assert!(refused.text.contains("an address is required (Twilio 21631)"), "{}", refused.text);
    assert_eq!(twilio.held().len(), 1);
}

#[tokio::test]
async fn a_text_goes_out_and_its_receipts_come_in() {
    let twilio = FakeTwilio::selling(&STOCK[..1]).await;
    let app = with(&twilio).await.working();
    buy(&app).await;
    let media = json!({"media_urls": ["https://files.example.com/a.png", "https://files.example.com/b.png"]});
    let sent = send(&app, ADA, media).await;
    settled(&app, &sent, "sent").await;
    assert_eq!((&twilio.texts("From")[0][0], &twilio.texts("To")[0][0]), (&STOCK[0].to_owned(), &ADA.to_owned()));
    assert_eq!(twilio.texts("MediaUrl")[0], ["https://files.example.com/a.png", "https://files.example.com/b.png"]);
    let url = status_url(&twilio, 0);
    let sid = "SM00000000000000000000000000000002";
    for status in ["sending", "delivered", "delivered", "undelivered"] {
        let form = [("MessageSid", sid), ("MessageStatus", status), ("To", ADA), ("ErrorCode", "30003")];
        assert_eq!(post(&app, FakeTwilio::hook(&url, &form)).await.status.as_u16(), 200);
    }
    assert_eq!(message(&app, &sent).await["status"], "delivered");

    let lost = send(&app, ADA, json!({})).await;
    settled(&app, &lost, "sent").await;
    let form =
        [("MessageSid", "SM00000000000000000000000000000003"), ("MessageStatus", "failed"), ("ErrorCode", "30034")];
    post(&app, FakeTwilio::hook(&status_url(&twilio, 1), &form)).await;
    let lost = message(&app, &lost).await;
    assert_eq!((lost["status"].as_str(), lost["errorCode"].as_str()), (Some("failed"), Some("30034")), "{lost}");
}

#[tokio::test]
async fn each_refusal_means_what_it_says() {
    let twilio = FakeTwilio::selling(&STOCK[..1]).await;
    let app = with(&twilio).await.working();
    buy(&app).await;
    twilio.next([FakeTwilio::refusal(400, 21610, "Attempt to send to unsubscribed recipient")]);
    let refused = send(&app, ADA, json!({})).await;
    settled(&app, &refused, "failed").await;
    let refused = message(&app, &refused).await;
    assert_eq!(refused["errorCode"], "21610", "{refused}");

    // Not taken: tried again until it is.
    let pause =
        Turn::Answer { status: 429, retry_after: Some(1), body: json!({"code": 20429, "message": "slow down"}) };
    twilio.next([pause, FakeTwilio::refusal(503, 20503, "unavailable")]);
    let sent = send(&app, ADA, json!({})).await;
    settled(&app, &sent, "sent").await;
    assert_eq!(twilio.texts("Body").len(), 1);

    // Nobody knows: never again, until a receipt tells.
    for (turn, taken) in [(Turn::DoAndCut, 2), (Turn::Cut, 2), (FakeTwilio::refusal(500, 20500, "oh"), 2)] {
        twilio.next([turn]);
        let doubtful = send(&app, ADA, json!({})).await;
        settled(&app, &doubtful, "unconfirmed").await;
        assert_eq!(twilio.texts("Body").len(), taken);
        if taken == 2 && twilio.texts("StatusCallback")[1][0].contains(&doubtful) {
            let form = [("MessageSid", "SM00000000000000000000000000000003"), ("MessageStatus", "delivered")];
            post(&app, FakeTwilio::hook(&status_url(&twilio, 1), &form)).await;
            settled(&app, &doubtful, "delivered").await;
        }
    }
}

#[tokio::test]
async fn a_text_comes_in_once_and_a_forged_one_never() {
    let twilio = FakeTwilio::selling(&STOCK[..1]).await;
    let app = with(&twilio).await;
    let number = id(&buy(&app).await);
    let url = twilio.held()[0].sms_url.clone();
    let form = [
        ("MessageSid", "SMinbound1"),
        ("From", ADA),
        ("To", STOCK[0]),
        ("Body", "Grüße & more = 100 %\n👋"),
        ("NumMedia", "2"),
        ("MediaUrl0", "https://api.twilio.example/0"),
        ("MediaUrl1", "https://api.twilio.example/1"),
        ("FromCity", ""),
    ];
    let forged = FakeTwilio::hook_signed_with("another token", &url, &form);
    assert_eq!(post(&app, forged).await.refused(403).code, "FORBIDDEN");
    let mut altered = FakeTwilio::hook(&url, &form);
    altered.body = altered.body.replace("more", "less");
    assert_eq!(post(&app, altered).await.refused(403).code, "FORBIDDEN");
    let mut moved = FakeTwilio::hook(&url, &form);
    moved.path = moved.path.replace("/message", "/status");
    assert_eq!(post(&app, moved).await.status.as_u16(), 403);
    let mut unsigned = FakeTwilio::hook(&url, &form);
    unsigned.headers.pop();
    assert_eq!(post(&app, unsigned).await.status.as_u16(), 401);
    let path = format!("/v1/numbers/{number}/messages");
    assert_eq!(app.get(&path).await.ok()["data"], json!([]));

    for _ in 0..2 {
        let answer = post(&app, FakeTwilio::hook(&url, &form)).await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
        assert!(answer.header("content-type").starts_with("text/xml") && answer.text.contains("<Response/>"));
    }
    let texts = app.get(&path).await.ok();
    assert_eq!(texts["data"].as_array().unwrap().len(), 1, "{texts}");
    assert_eq!(texts["data"][0]["body"], "Grüße & more = 100 %\n👋");
    let media = json!(["https://api.twilio.example/0", "https://api.twilio.example/1"]);
    assert_eq!(texts["data"][0]["mediaUrls"], media, "{texts}");
}

#[tokio::test]
async fn hooks_of_nobody_are_not_found_and_garbage_is_refused() {
    let twilio = FakeTwilio::selling(&[]).await;
    let app = with(&twilio).await;
    let url = format!("{PUBLIC}/hooks/twilio/other/message");
    assert_eq!(post(&app, FakeTwilio::hook(&url, &[("MessageSid", "SM1")])).await.status.as_u16(), 404);
    let url = format!("{PUBLIC}/hooks/twilio/main/message");
    for form in [&[][..], &[("MessageSid", "SM1")], &[("MessageSid", "SM1"), ("To", "nobody"), ("From", ADA)]] {
        assert_eq!(post(&app, FakeTwilio::hook(&url, form)).await.status.as_u16(), 400, "{form:?}");
    }
}

#[tokio::test]
async fn a_check_finds_what_is_wrong_and_repairs_it() {
    let twilio = FakeTwilio::selling(&STOCK).await;
    let app = with(&twilio).await;
    buy(&app).await;
    let reference = twilio.held()[0].friendly_name.clone();
    twilio.hold("+13125550100", &reference, "https://elsewhere.example/hook");
    twilio.hold("+13125550101", "the front desk", "https://elsewhere.example/hook");
    let carrier = carrier(&twilio);
    let found = carrier.check(false).await.unwrap();
    assert!(matches!(&found[..], [Finding::Good(_), Finding::Bad(text)] if text.starts_with("1 of 2")), "{found:?}");
    carrier.check(true).await.unwrap();
    let found = carrier.check(false).await.unwrap();
    assert!(matches!(&found[..], [Finding::Good(_), Finding::Good(_)]), "{found:?}");
    assert_eq!(twilio.held()[2].sms_url, "https://elsewhere.example/hook", "it is not ours");
}
