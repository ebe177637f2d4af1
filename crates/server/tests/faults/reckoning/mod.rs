//! When the dust has settled: what was asked for against what is there.
//!
//! In: the deeds, the API of a server that is left alone, what the customer received, and then the database at rest. Out:
//! nothing, or a panic that names what is lost, doubled, out of order or miscounted.

mod at_rest;
mod events;
mod fates;
mod messages;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cast::{Cast, text};
use crate::client::Client;
use crate::database::Database;
use crate::ledger_of_deeds::{Deeds, Pair};
use crate::process::Offhook;

pub use self::messages::Lateness;

const QUIET_WITHIN: Duration = Duration::from_secs(120);

/// Longer than a round of the server's housekeeping, which applies receipts that met their send half-way.
const SWEPT: Duration = Duration::from_secs(3);

/// Waits until nothing is under way any more, and holds what is there against what was asked for. Stops the servers.
pub async fn reckon(nodes: &mut [Offhook], database: &Database, cast: &Cast, deeds: &Deeds, lateness: Lateness) {
    let books = settle(nodes, database, cast).await;
    books.check_sent(deeds, lateness);
    books.check_received(deeds, lateness);
    at_rest::check_orders(&database.open().await, deeds).await;
    println!("{}", deeds.summary());
}

/// Waits until nothing is under way any more, stops the servers, and looks whether all that is there fits together.
pub async fn settle(nodes: &mut [Offhook], database: &Database, cast: &Cast) -> Books {
    let client = nodes[0].client();
    database.wait_until_numbers_are_settled().await;
    wait_until_quiet(&client, cast, &nodes[0]).await;
    let books = Books::read(&client, cast).await;
    for node in nodes {
        node.stop().await;
    }
    let store = database.open().await;
    let log = events::Log::read(&store).await;
    log.check(&books, cast);
    at_rest::check(&store).await;
    books.check_usage(&at_rest::Sums::read(&store).await);
    println!("{}, {}", books.summary(), log.summary(cast));
    books
}

/// Waits until nothing is under way any more.
async fn wait_until_quiet(client: &Client, cast: &Cast, offhook: &Offhook) {
    let deadline = Instant::now() + QUIET_WITHIN;
    loop {
        let left = left_to_do(client, cast).await;
        if left.is_empty() {
            tokio::time::sleep(SWEPT).await;
            return;
        }
        let (count, some) = (left.len(), &left[..left.len().min(10)]);
        assert!(Instant::now() < deadline, "{count} things are still under way: {some:#?}\n{}", offhook.log());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn left_to_do(client: &Client, cast: &Cast) -> Vec<String> {
    let stats = client.get("/v1/usage").await.unwrap().ok()["stats"].take();
    let told = |name: &str| stats[name].as_i64().unwrap();
    if told("totalWebhookDeliveries") != told("successfulWebhookDeliveries") + told("failedWebhookDeliveries") {
        return vec![format!("events: {stats}")];
    }
    let mut left = Vec::new();
    for message in messages(client, cast).await {
        let status = field(&message["status"]);
        let handset = field(&message["to"]);
        if status == "queued" || status == "sent" && !fates::may_end(handset, "sent") {
            left.push(message.to_string());
        }
    }
    left
}

/// Everything the server knows, as its API tells it.
pub struct Books {
    /// Messages of a conversation, the oldest first.
    conversations: BTreeMap<Pair, Vec<Value>>,
    /// What each handset received, in order.
    inboxes: BTreeMap<Pair, Vec<String>>,
    usage: Value,
    deliveries: u64,
}

impl Books {
    async fn read(client: &Client, cast: &Cast) -> Self {
        let mut conversations: BTreeMap<Pair, Vec<Value>> = BTreeMap::new();
        for message in messages(client, cast).await.into_iter().rev() {
            let (from, to) = (text(&message["from"]), text(&message["to"]));
            let inbound = message["direction"] == "inbound";
            let (number, handset) = if inbound { (to, from) } else { (from, to) };
            conversations.entry(Pair { number, handset }).or_default().push(message);
        }
        let mut inboxes = BTreeMap::new();
        for conversation in &cast.conversations {
            inboxes.insert(conversation.pair.clone(), inbox(client, &conversation.pair).await);
        }
        let log = client.get("/v1/webhooks/deliveries?limit=1").await.unwrap().ok();
        let usage = client.get("/v1/usage").await.unwrap().ok();
        Self { conversations, inboxes, usage, deliveries: log["total"].as_u64().unwrap() }
    }

    fn summary(&self) -> String {
        let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
        for message in self.all() {
            *ends.entry(field(&message["status"])).or_default() += 1;
        }
        format!("messages: {ends:?}")
    }
}

fn field(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text was expected: {value}"))
}

/// All messages of our numbers, page by page, the newest of each number first.
async fn messages(client: &Client, cast: &Cast) -> Vec<Value> {
    let mut all = Vec::new();
    for number in &cast.numbers {
        let mut before = String::new();
        loop {
            let path = format!("/v1/numbers/{}/messages?limit=200&before={before}", number.id);
            let page = client.get(&path).await.unwrap().ok();
            let items = page["data"].as_array().unwrap().clone();
            if let Some(last) = items.last() {
                before = text(&last["id"]);
            }
            all.extend(items);
            if page["hasMore"] != true {
                break;
            }
        }
    }
    all
}

async fn inbox(client: &Client, pair: &Pair) -> Vec<String> {
    let mut bodies = Vec::new();
    loop {
        let handset = pair.handset.replace('+', "%2B");
        let path = format!("/sandbox/handsets/{handset}/messages?limit=100&offset={}", bodies.len());
        let page = client.get(&path).await.unwrap().ok();
        for item in page["data"].as_array().unwrap() {
            let ours = item["from"] == pair.number.as_str() && item["to"] == pair.handset.as_str();
            bodies.push(ours.then(|| text(&item["body"])));
        }
        if page["hasMore"] != true {
            // The newest came first.
            return bodies.into_iter().rev().flatten().collect();
        }
    }
}
