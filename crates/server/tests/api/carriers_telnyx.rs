//! An installation whose carrier is Telnyx: numbers, texts, and what it posts.

use std::sync::Arc;
use std::time::Duration;

use offhook_carriers::telnyx::{Settings, TelnyxCarrier};
use offhook_carriers::{Carrier, Finding};
use offhook_domain::{Id, MessageId};
use offhook_store::{StoreError, Tx};
use offhook_testkit::fake_carriers::{FakeTelnyx, SignedHook, Turn};
use serde_json::{Value, json};

use crate::app::{Answer, Setup, TestApp, id};

const PUBLIC: &str = "https://phone.example.com";
const PATH: &str = "/hooks/telnyx/backup";
const ADA: &str = "+14152011234";
const STOCK: [&str; 2] = ["+14155550100", "+14155550101"];

fn carrier(telnyx: &FakeTelnyx) -> Arc<TelnyxCarrier> {
    drop(rustls::crypto::ring::default_provider().install_default());
    let settings = Settings {
        name: "backup",
        api_key: FakeTelnyx::KEY.into(),
        public_key: FakeTelnyx::public_key(),
        messaging_profile_id: FakeTelnyx::PROFILE.to_owned(),
        base_url: telnyx.url().parse().unwrap(),
        public_url: PUBLIC.to_owned(),
    };
    Arc::new(TelnyxCarrier::new(settings).unwrap())
}

async fn with(telnyx: &FakeTelnyx) -> TestApp {
    let setup = Setup::default().setting("OFFHOOK__SERVER__PUBLIC_URL", PUBLIC).carrier(carrier(telnyx));
    setup.setting("OFFHOOK__SENDING__RETRY_SECONDS", "1").start().await
}

async fn buy(app: &TestApp) -> Value {
    app.post("/v1/numbers").json(json!({"areaCode": "415"})).await.ok()
}

async fn send(app: &TestApp) -> String {
    let text = json!({"from_number": STOCK[0], "to_number": ADA, "body": "Hi"});
    id(&app.post("/v1/messages").json(text).await.ok())
}

async fn post(app: &TestApp, hook: SignedHook) -> Answer {
    let call = app.stranger().post(&hook.path).text(hook.body);
    hook.headers.iter().fold(call, |call, (name, value)| call.header(name, value)).await
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

fn now(app: &TestApp) -> i64 {
    app.app.now().as_unix_seconds()
}

/// What becomes of the n-th text, as Telnyx tells it.
fn outcome(telnyx: &FakeTelnyx, n: usize, id: &str, status: &str) -> Value {
    let url = telnyx.texts()[n]["webhook_url"].clone();
    let errors = if status.contains("failed") {
        json!([{"code": "40012", "title": "Invalid", "detail": "The destination is not reachable"}])
    } else {
        json!([])
    };
    json!({"id": id, "direction": "outbound", "webhook_url": url, "errors": errors,
        "to": [{"phone_number": ADA, "status": status}], "from": {"phone_number": STOCK[0]}})
}

#[tokio::test]
async fn a_number_is_found_ordered_and_given_back() {
    let telnyx = FakeTelnyx::selling(&STOCK).await;
    let app = with(&telnyx).await.working();
    let found = app.get("/v1/numbers/available?areaCode=415").await.ok();
    assert_eq!((&found["data"][0]["state"], &found["data"][0]["rateCenter"]), (&json!("CA"), &json!("SNFC CNTRL")));
    telnyx.take_long(1);
    let number = buy(&app).await;
    assert_eq!(telnyx.held().len(), 1);
    assert!(telnyx.held()[0].1.starts_with("buy_"));
    app.delete(&format!("/v1/numbers/{}", id(&number))).await.ok();
    let gone = tokio::time::timeout(Duration::from_secs(20), async {
        while !telnyx.held().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(gone.await.is_ok(), "it was not given back");
}

#[tokio::test]
async fn an_order_whose_answer_is_lost_is_found_again() {
    let telnyx = FakeTelnyx::selling(&STOCK).await;
    let app = with(&telnyx).await.working();
    telnyx.next([Turn::DoAndCut]);
    assert_eq!(app.post("/v1/numbers").json(json!({})).await.status.as_u16(), 409);
    let there = tokio::time::timeout(Duration::from_secs(30), async {
        while app.get("/v1/numbers").await.ok()["data"].as_array().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(there.await.is_ok(), "it was not found");
    assert_eq!(telnyx.held().len(), 1);
}

#[tokio::test]
async fn texts_go_out_and_each_answer_means_what_it_says() {
    let telnyx = FakeTelnyx::selling(&STOCK[..1]).await;
    let app = with(&telnyx).await.working();
    buy(&app).await;
    telnyx.next([FakeTelnyx::refusal(400, "40310", "Invalid 'to' address")]);
    let refused = send(&app).await;
    settled(&app, &refused, "failed").await;
    telnyx.next([FakeTelnyx::refusal(429, "10011", "Too many requests")]);
    let sent = send(&app).await;
    settled(&app, &sent, "sent").await;
    let text = &telnyx.texts()[0];
    assert_eq!((&text["from"], &text["text"]), (&json!(STOCK[0]), &json!("Hi")));
    assert_eq!(text["messaging_profile_id"], FakeTelnyx::PROFILE);

    let taken = "00000000-0000-4000-8000-000000000003";
    let payload = outcome(&telnyx, 0, taken, "delivery_failed");
    assert_eq!(post(&app, FakeTelnyx::hook(PATH, now(&app), "message.finalized", &payload)).await.status.as_u16(), 200);
    settled(&app, &sent, "undelivered").await;

    telnyx.next([Turn::DoAndCut]);
    let doubtful = send(&app).await;
    settled(&app, &doubtful, "unconfirmed").await;
    let payload = outcome(&telnyx, 1, "00000000-0000-4000-8000-000000000004", "delivered");
    post(&app, FakeTelnyx::hook(PATH, now(&app), "message.finalized", &payload)).await;
    settled(&app, &doubtful, "delivered").await;
}

#[tokio::test]
async fn a_text_comes_in_once_a_stale_or_forged_one_never() {
    let telnyx = FakeTelnyx::selling(&STOCK[..1]).await;
    let app = with(&telnyx).await;
    let number = id(&buy(&app).await);
    let payload = json!({"id": "inbound-1", "direction": "inbound", "text": "Grüße 👋",
        "from": {"phone_number": ADA}, "to": [{"phone_number": STOCK[0], "status": "webhook_delivered"}],
        "media": [{"url": "https://media.telnyx.example/a.png", "content_type": "image/png"}]});
    let event = "message.received";
    let forged = FakeTelnyx::forged_hook(PATH, now(&app), event, &payload);
    assert_eq!(post(&app, forged).await.refused(403).code, "FORBIDDEN");
    for age in [301, -301] {
        let stale = FakeTelnyx::hook(PATH, now(&app) - age, event, &payload);
        assert_eq!(post(&app, stale).await.status.as_u16(), 403);
    }
    let mut renewed = FakeTelnyx::hook(PATH, now(&app) - 400, event, &payload);
    renewed.headers[1].1 = now(&app).to_string();
    assert_eq!(post(&app, renewed).await.status.as_u16(), 403);
    let mut unsigned = FakeTelnyx::hook(PATH, now(&app), event, &payload);
    unsigned.headers.pop();
    assert_eq!(post(&app, unsigned).await.status.as_u16(), 401);
    let path = format!("/v1/numbers/{number}/messages");
    assert_eq!(app.get(&path).await.ok()["data"], json!([]));

    for _ in 0..2 {
        let hook = FakeTelnyx::hook(PATH, now(&app), event, &payload);
        assert_eq!(post(&app, hook).await.status.as_u16(), 200);
    }
    let texts = app.get(&path).await.ok();
    assert_eq!(texts["data"].as_array().unwrap().len(), 1, "{texts}");
    assert_eq!(texts["data"][0]["mediaUrls"], json!(["https://media.telnyx.example/a.png"]), "{texts}");
    // What is not about texts is thanked for; what can't be read is not.
    assert_eq!(post(&app, FakeTelnyx::hook(PATH, now(&app), "call.initiated", &json!({}))).await.status.as_u16(), 200);
    assert_eq!(post(&app, FakeTelnyx::hook(PATH, now(&app), event, &json!({}))).await.status.as_u16(), 400);
}

#[tokio::test]
async fn a_check_has_the_profile_post_here() {
    let telnyx = FakeTelnyx::selling(&[]).await;
    let carrier = carrier(&telnyx);
    let found = carrier.check(false).await.unwrap();
    assert!(matches!(&found[..], [Finding::Good(_), Finding::Bad(_)]), "{found:?}");
    carrier.check(true).await.unwrap();
    assert_eq!(telnyx.webhook_url(), format!("{PUBLIC}{PATH}"));
    assert!(matches!(&carrier.check(false).await.unwrap()[..], [Finding::Good(_), Finding::Good(_)]));
}
