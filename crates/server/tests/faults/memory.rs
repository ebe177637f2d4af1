//! Some ten thousand messages and events through one process: what is done with takes no memory.
//!
//! `OFFHOOK_FAULT_ROUNDS` makes it longer, and shows a smaller leak.

use std::time::Duration;

use offhook_testkit::webhook_receiver::{Mode, WebhookReceiver};
use serde_json::json;
use tokio::task::JoinSet;

use crate::cast::text;
use crate::client::Client;
use crate::database::Database;
use crate::process::{Launch, Offhook};
use crate::{from_environment, vitals, waiting};

/// Messages each way, in each half.
const MESSAGES: usize = 1_400;
const AT_A_TIME: usize = 32;
const HANDSETS: usize = 200;
/// What the second half may take more than the first: caches that are not full yet, and the allocator's slack. A leak of
/// a kilobyte for each message and each event would be 7 MB.
const MORE_KIB: u64 = 5 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_with_takes_no_memory_on_sqlite() {
    stays_flat(Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_with_takes_no_memory_on_postgres() {
    stays_flat(Database::postgres().await).await;
}

async fn stays_flat(database: Database) {
    let customer = WebhookReceiver::start().await;
    // It forgets what it is sent, and is not always well.
    customer.answer_each(|received| Mode::status(if received.body.len() % 50 == 0 { 500 } else { 200 }));
    let mut offhook = Offhook::launch(&database, Launch::default()).await;
    let client = offhook.client();
    let webhook = json!({"url": customer.url(), "events": ["agent.message", "message.status"]});
    client.post("/v1/webhooks", &webhook).await.unwrap().ok();
    let bought = client.post("/v1/numbers", &json!({"areaCode": "415"})).await.unwrap().ok();
    let number = text(&bought["phoneNumber"]);
    let messages = from_environment("OFFHOOK_FAULT_ROUNDS").map_or(1, |rounds: usize| rounds.div_ceil(5)) * MESSAGES;

    let mut seen = Vec::new();
    for quarter in 0..4 {
        exchange(&client, &number, quarter * messages / 2, messages / 2).await;
        is_quiet(&client).await;
        seen.push(vitals::memory(offhook.pid()));
    }
    let in_mb: Vec<u64> = seen.iter().map(|kib| kib >> 10).collect();
    println!("{messages} messages each way in each half; MB after each quarter: {in_mb:?}");
    assert!(seen[3] < seen[1] + MORE_KIB, "{seen:?} KiB");
    offhook.stop().await;
}

/// So many texts each way.
async fn exchange(client: &Client, number: &str, from: usize, count: usize) {
    let mut workers = JoinSet::new();
    for worker in 0..AT_A_TIME {
        let (client, number) = (client.clone(), number.to_owned());
        workers.spawn(async move {
            for n in (from + worker..from + count).step_by(AT_A_TIME) {
                let handset = format!("+1415201{:04}", n % HANDSETS);
                let out = json!({"from_number": number, "to_number": handset, "body": format!("out {n}")});
                client.post("/v1/messages", &out).await.unwrap().ok();
                let back = json!({"from": handset, "to": number, "body": format!("in {n}")});
                client.post("/sandbox/messages", &back).await.unwrap().ok();
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }
}

/// Everything has been sent, and every event told.
async fn is_quiet(client: &Client) {
    waiting::until("nothing is under way", async || {
        let stats = client.get("/v1/usage").await.unwrap().ok()["stats"].take();
        let told = |name: &str| stats[name].as_i64().unwrap();
        let waits = client.metric("offhook_queue_depth").await.unwrap() > 0.0;
        let done = told("successfulWebhookDeliveries") + told("failedWebhookDeliveries");
        !waits && told("totalWebhookDeliveries") == done
    })
    .await;
    // The gauges are a second old at most.
    tokio::time::sleep(Duration::from_secs(1)).await;
}
