//! Events on their way to a customer's server: signed, in order, again after a failure, and nobody waits for another.

use std::sync::Arc;
use std::time::Duration;

use offhook_domain::usage::UsageDelta;
use offhook_domain::webhook::{EventType, Webhook};
use offhook_domain::{AgentId, Id, WebhookId};
use offhook_server::jobs::deliver_webhooks::DeliverWebhooks;
use offhook_server::jobs::lines;
use offhook_store::deliveries::{Emission, NewEvent};
use offhook_store::{StoreError, Tx};
use offhook_testkit::webhook_receiver::{Mode, Received, WebhookReceiver};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::{Client, Setup, TestApp, id};

/// A worker of one node.
struct Worker {
    rings: mpsc::UnboundedSender<String>,
    stop: CancellationToken,
    running: JoinHandle<Result<(), String>>,
}

impl Worker {
    #[expect(clippy::disallowed_methods, reason = "a test stops what it starts")]
    fn start(app: &TestApp) -> Self {
        let (rings, heard) = mpsc::unbounded_channel();
        let (app, stop) = (app.app.clone(), CancellationToken::new());
        let worker = Arc::new(DeliverWebhooks::new(app.clone()));
        let running = tokio::spawn(lines::run(app, worker, heard, stop.clone()));
        Self { rings, stop, running }
    }

    fn ring(&self, webhook: &WebhookId) {
        self.rings.send(webhook.to_string()).unwrap();
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }
}

/// An account's own webhook at this receiver.
async fn hook(app: &TestApp, customer: &WebhookReceiver) -> Webhook {
    app.post("/v1/webhooks").json(json!({"url": customer.url(), "timeout": 5})).await.ok();
    webhook(app, None).await
}

async fn webhook(app: &TestApp, agent: Option<AgentId>) -> Webhook {
    let account = app.account.clone();
    let found =
        app.app.store.read::<_, StoreError>(async move |tx| tx.of(&account).webhook(agent.as_ref()).await).await;
    found.unwrap().unwrap()
}

/// Events of these lanes, numbered as they come.
async fn emit(app: &TestApp, webhook: &Webhook, lanes: &[&str]) {
    for (n, lane) in lanes.iter().enumerate() {
        let (webhook, lane, at) = (webhook.clone(), (*lane).to_owned(), app.app.now());
        let work = async move |tx: &mut Tx| {
            let body = json!({"event": "agent.message", "lane": lane, "n": n}).to_string();
            let event = NewEvent { event_type: EventType::Message, channel: "sms", lane: &lane, message_id: None, at };
            let counted = UsageDelta { webhooks: 1, ..UsageDelta::default() };
            tx.of(&webhook.account_id).count_usage(at, None, "", &lane, counted);
            tx.insert_deliveries(vec![Emission { webhook: &webhook, event, body }]).await.map(drop)
        };
        app.app.store.write::<_, StoreError>(work).await.unwrap();
    }
}

async fn log(client: &Client) -> Vec<Value> {
    let log = client.get("/v1/webhooks/deliveries?limit=100").await.ok();
    let mut items = log["items"].as_array().unwrap().clone();
    items.reverse();
    items
}

/// The log, the oldest first, once it satisfies `condition`.
async fn log_until(client: &Client, condition: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let looking = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let items = log(client).await;
            if condition(&items) {
                return items;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    match looking.await {
        Ok(items) => items,
        Err(_) => panic!("the log stays {:#?}", log(client).await),
    }
}

fn all(status: &str) -> impl Fn(&[Value]) -> bool {
    move |items| items.iter().all(|item| item["status"] == status)
}

fn numbers(received: &[Received]) -> Vec<i64> {
    received.iter().map(|one| one.json["n"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_text_arrives_as_a_signed_event() {
    let (app, customer) = (TestApp::with_sandbox().await, WebhookReceiver::start().await);
    let agent = id(&app.post("/v1/agents").json(json!({"name": "Desk"})).await.ok());
    app.number_of(&agent, "+14155550100").await;
    app.sell_in_sandbox("+14155550100").await;
    let made = app.post("/v1/webhooks").json(json!({"url": customer.url()})).await.ok();
    customer.set_secret(made["secret"].as_str().unwrap());
    for body in ["Hello?", "Anybody there?"] {
        let text = json!({"from": "+14152011234", "to": "+14155550100", "body": body});
        app.stranger().post("/sandbox/messages").json(text).await.ok();
    }
    let received = customer.wait_for(2).await;
    let (first, second) = (&received[0].json, &received[1].json);
    assert_eq!((&first["data"]["message"], &first["agentId"]), (&json!("Hello?"), &json!(agent)));
    assert_eq!(first["recentHistory"], json!([]));
    assert_eq!(second["recentHistory"][0]["content"], "Hello?");
    assert_eq!(received[0].header("content-type"), "application/json");
    let items = log_until(&app, all("success")).await;
    assert_eq!(items[0]["id"], received[0].header("x-webhook-id"));
    assert_eq!(items[0]["messageId"], first["data"]["messageId"]);
    let totals = app.get("/v1/webhooks/deliveries/all-time").await.ok();
    assert_eq!(totals, json!({"total": 2, "success": 2, "failed": 0, "successRate": 100.0}));
}

#[tokio::test]
async fn a_status_is_told_only_where_it_was_asked_for() {
    let (app, customer) = (TestApp::with_sandbox().await, WebhookReceiver::start().await);
    let agent = id(&app.post("/v1/agents").json(json!({"name": "Desk"})).await.ok());
    app.number_of(&agent, "+14155550100").await;
    app.sell_in_sandbox("+14155550100").await;
    let wish = json!({"url": customer.url(), "events": ["message.status"]});
    app.post(&format!("/v1/agents/{agent}/webhook")).json(wish).await.ok();
    let text = json!({"from": "+14152011234", "to": "+14155550100", "body": "unwanted"});
    app.stranger().post("/sandbox/messages").json(text).await.ok();
    let order = json!({"agent_id": agent, "to_number": "+14152011234", "body": "Hi"});
    let sent = app.post("/v1/messages").json(order).await.ok();
    let received = customer.wait_until(|all| all.iter().any(|one| one.json["data"]["status"] == "delivered")).await;
    assert!(
        received.iter().all(|one| one.json["event"] == "message.status" && one.json["data"]["messageId"] == sent["id"])
    );
}

#[tokio::test]
async fn a_failure_is_tried_again_under_the_same_id() {
    let (app, customer) = (TestApp::start().await, WebhookReceiver::start().await);
    let hook = hook(&app, &customer).await;
    let worker = Worker::start(&app);
    customer.once(Mode::Answer { status: 500, content_type: "text/plain", body: "oh no".into() });
    emit(&app, &hook, &["a"]).await;
    worker.ring(&hook.id);
    let items = log_until(&app, |items| items[0]["attemptCount"] == 1).await;
    assert_eq!((&items[0]["status"], &items[0]["httpStatus"]), (&json!("pending"), &json!(500)));
    assert_eq!(items[0]["responseBody"], "oh no");
    assert!(items[0]["nextRetryAt"].is_string());

    app.later(Duration::from_secs(6));
    worker.ring(&hook.id);
    let received = customer.wait_for(2).await;
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert_eq!(received[0].body, received[1].body);
    assert_ne!(received[0].header("webhook-timestamp"), received[1].header("webhook-timestamp"));
    let items = log_until(&app, all("success")).await;
    assert_eq!((&items[0]["attemptCount"], &items[0]["nextRetryAt"]), (&json!(2), &Value::Null));
    worker.stop().await;
}

#[tokio::test]
async fn six_attempts_and_no_more() {
    let (app, customer) = (TestApp::start().await, WebhookReceiver::start().await);
    let hook = hook(&app, &customer).await;
    let worker = Worker::start(&app);
    customer.redirect("http://127.0.0.1:1/");
    emit(&app, &hook, &["a"]).await;
    for attempt in 1..=6 {
        worker.ring(&hook.id);
        log_until(&app, |items| items[0]["attemptCount"] == attempt).await;
        app.later(Duration::from_secs(3 * 3600));
    }
    let items = log(&app).await;
    assert_eq!(items[0]["status"], "failed");
    assert_eq!(items[0]["errorMessage"], "the endpoint answered 307, and redirects are not followed");
    let totals = app.get("/v1/webhooks/deliveries/all-time").await.ok();
    assert_eq!(totals, json!({"total": 1, "success": 0, "failed": 1, "successRate": 0.0}));
    assert_eq!(customer.received().len(), 6);
    worker.stop().await;
}

#[tokio::test]
async fn conversations_keep_their_order_side_by_side() {
    let (app, customer) = (TestApp::start().await, WebhookReceiver::start().await);
    let hook = hook(&app, &customer).await;
    customer.delay(Duration::from_millis(3));
    let names: Vec<_> = (0..10).map(|n| format!("lane {n}")).collect();
    let lanes: Vec<_> = (0..300).map(|n| names[n * 7 % 10].as_str()).collect();
    emit(&app, &hook, &lanes).await;
    let worker = Worker::start(&app);
    worker.ring(&hook.id);
    let received = customer.wait_for(300).await;
    for name in &names {
        let of_lane: Vec<_> = received.iter().filter(|one| one.json["lane"] == *name).cloned().collect();
        assert!(numbers(&of_lane).is_sorted() && of_lane.len() == 30, "{name}: {:?}", numbers(&of_lane));
    }
    assert!(customer.connections_opened() > 1, "side by side");
    worker.stop().await;
    assert_eq!(customer.received().len(), 300, "each once");
}

#[tokio::test]
async fn the_first_failure_holds_its_conversation_once() {
    let (app, customer) = (TestApp::start().await, WebhookReceiver::start().await);
    let hook = hook(&app, &customer).await;
    emit(&app, &hook, &["a", "a", "b"]).await;
    customer.once(Mode::status(500));
    let worker = Worker::start(&app);
    worker.ring(&hook.id);
    log_until(&app, |items| items[2]["status"] == "success").await;
    assert_eq!(numbers(&customer.received()), [0, 2], "the other conversation goes on");

    customer.once(Mode::status(500));
    app.later(Duration::from_secs(6));
    worker.ring(&hook.id);
    let items = log_until(&app, |items| items[1]["status"] == "success").await;
    assert_eq!(numbers(&customer.received()), [0, 2, 0, 1], "the second failure holds nobody");
    assert_eq!((&items[0]["status"], &items[0]["attemptCount"]), (&json!("pending"), &json!(2)));
    worker.stop().await;
}

#[tokio::test]
async fn what_comes_meanwhile_does_not_overtake() {
    let (app, customer) = (TestApp::start().await, WebhookReceiver::start().await);
    let hook = hook(&app, &customer).await;
    emit(&app, &hook, &["a"]).await;
    customer.once(Mode::status(500));
    let worker = Worker::start(&app);
    worker.ring(&hook.id);
    log_until(&app, |items| items[0]["attemptCount"] == 1).await;
    emit(&app, &hook, &["b", "a", "a"]).await;
    worker.ring(&hook.id);
    log_until(&app, |items| items[1]["status"] == "success").await;
    app.later(Duration::from_secs(6));
    worker.ring(&hook.id);
    let items = log_until(&app, all("success")).await;
    let received = customer.received();
    let order: Vec<_> = received.iter().map(|one| one.header("x-webhook-id")).collect();
    let expected: Vec<_> = [0, 1, 0, 2, 3].map(|n: usize| items[n]["id"].as_str().unwrap()).to_vec();
    assert_eq!(order, expected);
    worker.stop().await;
}

#[tokio::test]
async fn gone_is_gone_until_it_is_set_again() {
    let (app, customer) = (TestApp::start().await, WebhookReceiver::start().await);
    let gone = hook(&app, &customer).await;
    emit(&app, &gone, &["a", "a", "b"]).await;
    customer.answer(410);
    let worker = Worker::start(&app);
    worker.ring(&gone.id);
    let items = log_until(&app, all("failed")).await;
    assert!(items.iter().all(|item| item["errorMessage"] == "the endpoint answered 410 Gone"));
    assert_eq!(customer.received().len(), 1);
    assert_eq!(app.get("/v1/webhooks").await.ok()["status"], "disabled");
    let replay = format!("/v1/webhooks/deliveries/{}/replay", id(&items[0]));
    app.post(&replay).await.refused(400);
    let totals = app.get("/v1/webhooks/deliveries/all-time").await.ok();
    assert_eq!((&totals["total"], &totals["failed"]), (&json!(3), &json!(3)));

    customer.answer(200);
    let again = hook(&app, &customer).await;
    assert_eq!(again.id, gone.id);
    let replayed = app.post(&replay).await.ok();
    assert_ne!(id(&replayed), id(&items[0]));
    worker.ring(&again.id);
    let received = customer.wait_for(2).await;
    assert_eq!(received[0].body, received[1].body);
    assert_eq!(received[1].header("x-webhook-id"), id(&replayed));
    worker.stop().await;
}

#[tokio::test]
async fn an_old_endpoint_that_is_gone_does_not_disable_the_new_one() {
    let (app, old, new) = (TestApp::start().await, WebhookReceiver::start().await, WebhookReceiver::start().await);
    let hook = hook(&app, &old).await;
    old.answer(410);
    old.delay(Duration::from_millis(300));
    emit(&app, &hook, &["a", "a"]).await;
    let worker = Worker::start(&app);
    worker.ring(&hook.id);
    old.wait_for(1).await;
    app.post("/v1/webhooks").json(json!({"url": new.url()})).await.ok();
    worker.ring(&hook.id);
    let items = log_until(&app, |items| items.iter().all(|item| item["status"] != "pending")).await;
    assert_eq!((&items[0]["status"], &items[1]["status"]), (&json!("failed"), &json!("success")));
    assert_eq!(app.get("/v1/webhooks").await.ok()["status"], "active");
    assert_eq!((old.received().len(), new.received().len()), (1, 1));
    worker.stop().await;
}

#[tokio::test]
async fn a_dead_endpoint_delays_nobody() {
    let (app, dead, well) = (TestApp::start().await, WebhookReceiver::start().await, WebhookReceiver::start().await);
    dead.hang();
    let agent = id(&app.post("/v1/agents").json(json!({"name": "Desk"})).await.ok());
    let path = format!("/v1/agents/{agent}/webhook");
    app.post(&path).json(json!({"url": dead.url(), "timeout": 5})).await.ok();
    let hanging = webhook(&app, AgentId::parse(&agent).ok()).await;
    let hook = hook(&app, &well).await;
    let lanes: Vec<_> = (0..200).map(|n| if n % 2 == 0 { "a" } else { "b" }).collect();
    emit(&app, &hanging, &lanes).await;
    let worker = Worker::start(&app);
    worker.ring(&hanging.id);
    dead.wait_for(1).await;
    emit(&app, &hook, &lanes).await;
    worker.ring(&hook.id);
    well.wait_for(200).await;
    assert!(dead.received().len() < 20, "{}", dead.received().len());
}

#[tokio::test]
async fn a_slow_endpoint_leaves_places_to_those_that_answer_at_once() {
    let app = Setup::default()
        .setting("OFFHOOK__WEBHOOKS__CONCURRENCY_TOTAL", 8)
        .setting("OFFHOOK__WEBHOOKS__CONCURRENCY_UNHEALTHY", 2)
        .setting("OFFHOOK__WEBHOOKS__CONCURRENCY_PER_ENDPOINT", 8)
        .start()
        .await;
    let (slow, fast) = (WebhookReceiver::start().await, WebhookReceiver::start().await);
    let agent = id(&app.post("/v1/agents").json(json!({"name": "Desk"})).await.ok());
    app.post(&format!("/v1/agents/{agent}/webhook")).json(json!({"url": slow.url(), "timeout": 30})).await.ok();
    let slow_hook = webhook(&app, AgentId::parse(&agent).ok()).await;
    let hook = hook(&app, &fast).await;
    let worker = Worker::start(&app);
    slow.delay(Duration::from_millis(1500));
    emit(&app, &slow_hook, &["first"]).await;
    worker.ring(&slow_hook.id);
    log_until(&app, all("success")).await;

    slow.delay(Duration::from_secs(20));
    let names: Vec<_> = (0..20).map(|n| format!("lane {n}")).collect();
    let lanes: Vec<_> = names.iter().map(String::as_str).collect();
    emit(&app, &slow_hook, &lanes).await;
    worker.ring(&slow_hook.id);
    slow.wait_for(3).await;
    emit(&app, &hook, &lanes).await;
    worker.ring(&hook.id);
    fast.wait_for(20).await;
    assert_eq!(slow.received().len(), 3, "of eight places two are for those that are slow");
}

#[tokio::test]
async fn a_body_that_drips_is_a_success_all_the_same() {
    let (app, customer) = (TestApp::start().await, WebhookReceiver::start().await);
    let hook = hook(&app, &customer).await;
    let worker = Worker::start(&app);
    customer.set_mode(Mode::Drip(Duration::from_millis(20)));
    emit(&app, &hook, &["a"]).await;
    worker.ring(&hook.id);
    let items = log_until(&app, all("success")).await;
    assert_eq!((&items[0]["httpStatus"], &items[0]["attemptCount"]), (&json!(200), &json!(1)));
    assert!(items[0]["responseBody"].as_str().unwrap().starts_with('.'), "{items:?}");
    worker.stop().await;
    assert_eq!(customer.received().len(), 1);
}

#[tokio::test]
async fn many_endpoints_of_one_dead_server_are_tried_few_at_a_time() {
    let (app, dead, well) = (TestApp::start().await, WebhookReceiver::start().await, WebhookReceiver::start().await);
    dead.hang();
    let worker = Worker::start(&app);
    for n in 0..30 {
        let agent = id(&app.post("/v1/agents").json(json!({"name": format!("Desk {n}")})).await.ok());
        let wish = json!({"url": dead.url(), "timeout": 5});
        app.post(&format!("/v1/agents/{agent}/webhook")).json(wish).await.ok();
        let hanging = webhook(&app, AgentId::parse(&agent).ok()).await;
        emit(&app, &hanging, &["a"]).await;
        worker.ring(&hanging.id);
    }
    dead.wait_for(8).await;
    let hook = hook(&app, &well).await;
    emit(&app, &hook, &["a"]).await;
    worker.ring(&hook.id);
    well.wait_for(1).await;
    assert_eq!(dead.received().len(), 8);
}

#[tokio::test]
async fn an_address_that_turned_private_is_refused() {
    let (app, customer) = (TestApp::start().await, WebhookReceiver::start().await);
    let hook = hook(&app, &customer).await;
    let moved = Webhook { url: "https://10.0.0.1/hook".to_owned(), ..hook.clone() };
    let put = async move |tx: &mut Tx| tx.of(&moved.account_id).put_webhook(moved.clone(), false).await;
    app.app.store.write::<_, StoreError>(put).await.unwrap();
    emit(&app, &hook, &["a"]).await;
    let worker = Worker::start(&app);
    worker.ring(&hook.id);
    let items = log_until(&app, |items| items[0]["attemptCount"] == 1).await;
    assert!(items[0]["errorMessage"].as_str().unwrap().starts_with("refused: "), "{items:?}");
    worker.stop().await;
}

#[tokio::test]
async fn two_kilobytes_of_an_answer_are_kept() {
    let (app, customer) = (TestApp::start().await, WebhookReceiver::start().await);
    let hook = hook(&app, &customer).await;
    customer.answer_with(format!("a\0{}", "é".repeat(5000)));
    emit(&app, &hook, &["a"]).await;
    let worker = Worker::start(&app);
    worker.ring(&hook.id);
    let items = log_until(&app, all("success")).await;
    let kept = items[0]["responseBody"].as_str().unwrap();
    assert!(kept.starts_with("aé") && kept.ends_with('é') && (2040..=2048).contains(&kept.len()), "{}", kept.len());
    worker.stop().await;
}

#[tokio::test]
async fn another_worker_goes_on_where_one_stopped() {
    let (app, customer) = (TestApp::start().await, WebhookReceiver::start().await);
    let hook = hook(&app, &customer).await;
    customer.delay(Duration::from_millis(20));
    emit(&app, &hook, &["a"; 40]).await;
    let first = Worker::start(&app);
    first.ring(&hook.id);
    customer.wait_for(5).await;
    first.stop().await;
    let before = customer.received().len();
    assert!(before < 40);
    let kept = log(&app).await.iter().filter(|item| item["status"] == "success").count();
    assert_eq!(kept, before, "what was under way at the stop was finished and recorded");

    customer.delay(Duration::ZERO);
    let second = Worker::start(&app);
    let received = customer.wait_for(40).await;
    assert_eq!(numbers(&received), (0..40).collect::<Vec<_>>(), "found by the sweep, in order, none twice");
    second.stop().await;
}

#[tokio::test]
async fn a_crash_repeats_rather_than_loses() {
    let (app, customer) = (TestApp::start().await, WebhookReceiver::start().await);
    let hook = hook(&app, &customer).await;
    customer.delay(Duration::from_millis(10));
    emit(&app, &hook, &["a"; 30]).await;
    let first = Worker::start(&app);
    first.ring(&hook.id);
    customer.wait_for(8).await;
    first.running.abort();
    let second = Worker::start(&app);
    let received = customer.wait_until(|all| all.iter().any(|one| one.json["n"] == 29)).await;
    let mut seen = numbers(&received);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, (0..30).collect::<Vec<_>>());
    log_until(&app, all("success")).await;
    second.stop().await;
}

#[tokio::test]
async fn what_waits_for_a_deleted_webhook_ends_failed() {
    let (app, customer) = (TestApp::start().await, WebhookReceiver::start().await);
    let hook = hook(&app, &customer).await;
    let worker = Worker::start(&app);
    customer.once(Mode::status(500));
    emit(&app, &hook, &["a", "a"]).await;
    worker.ring(&hook.id);
    log_until(&app, |items| items[0]["attemptCount"] == 1).await;
    app.delete("/v1/webhooks").await.ok();
    worker.ring(&hook.id);
    let items = log_until(&app, all("failed")).await;
    assert!(items.iter().all(|item| item["errorMessage"] == "the webhook was deleted"), "{items:#?}");
    worker.stop().await;
    assert_eq!(customer.received().len(), 1);
}

#[tokio::test]
async fn a_new_url_gets_what_waited_for_the_old_one() {
    let (app, old, new) = (TestApp::start().await, WebhookReceiver::start().await, WebhookReceiver::start().await);
    let hook = hook(&app, &old).await;
    let worker = Worker::start(&app);
    old.once(Mode::status(500));
    emit(&app, &hook, &["a"]).await;
    worker.ring(&hook.id);
    log_until(&app, |items| items[0]["attemptCount"] == 1).await;
    let made = app.post("/v1/webhooks").json(json!({"url": new.url()})).await.ok();
    new.set_secret(made["secret"].as_str().unwrap());
    app.later(Duration::from_secs(6));
    worker.ring(&hook.id);
    log_until(&app, all("success")).await;
    assert_eq!((old.received().len(), new.received().len()), (1, 1));
    worker.stop().await;
}
