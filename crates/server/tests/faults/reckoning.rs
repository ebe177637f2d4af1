//! When the dust has settled: what was asked for against what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use offhook_store::{Engine, Tx};
use offhook_testkit::webhook_receiver::Received;
use serde_json::Value;

use crate::client::Client;
use crate::database::{Database, column, one};
use crate::ledger_of_deeds::{Deeds, Pair, Text};
use crate::load::{Cast, text};
use crate::process::Offhook;

const QUIET_WITHIN: Duration = Duration::from_secs(120);

/// Longer than a round of the server's housekeeping, which applies receipts that met their send half-way.
const SWEPT: Duration = Duration::from_secs(3);

/// Waits until nothing is under way any more.
pub async fn wait_until_quiet(client: &Client, cast: &Cast, offhook: &Offhook) {
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
    let mut left = Vec::new();
    for message in messages(client, cast).await {
        let under_way = matches!(message["status"].as_str(), Some("queued" | "sent"));
        if under_way && message["direction"] == "outbound" {
            left.push(message.to_string());
        }
    }
    for delivery in deliveries(client).await {
        if delivery["status"] == "pending" {
            left.push(delivery.to_string());
        }
    }
    left
}

/// Everything the server knows, as its API tells it.
pub struct Books {
    /// Messages by their body, which is one text's own.
    messages: BTreeMap<String, Vec<Value>>,
    /// What each handset received, in order.
    inboxes: BTreeMap<Pair, Vec<String>>,
    deliveries: Vec<Value>,
    secret: String,
}

impl Books {
    pub async fn read(client: &Client, cast: &Cast) -> Self {
        let mut by_body: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for message in messages(client, cast).await {
            by_body.entry(text(&message["body"])).or_default().push(message);
        }
        let mut inboxes = BTreeMap::new();
        for pair in &cast.pairs {
            inboxes.insert(pair.clone(), inbox(client, pair).await);
        }
        Self { messages: by_body, inboxes, deliveries: deliveries(client).await, secret: cast.secret.clone() }
    }

    /// Every text that was accepted came to its end, arrived once unless its end is unknown, and in order.
    pub fn check_sent(&self, deeds: &Deeds) {
        for (pair, texts) in deeds.all_sent() {
            let inbox = &self.inboxes[&pair];
            for Text { body, answered } in &texts {
                let arrived = inbox.iter().filter(|one| *one == body).count();
                let Some(message) = self.only_message(body, answered.as_deref()) else {
                    assert_eq!(arrived, 0, "{body}: arrived, but the server knows nothing of it");
                    continue;
                };
                let status = text(&message["status"]);
                match status.as_str() {
                    "delivered" => assert_eq!(arrived, 1, "{body}: delivered"),
                    "unconfirmed" => assert!(arrived <= 1, "{body}: sent {arrived} times"),
                    _ => panic!("{body}: ended {status}: {message}"),
                }
            }
            let order: Vec<&String> = texts.iter().map(|text| &text.body).filter(|body| inbox.contains(body)).collect();
            assert_eq!(
                inbox.iter().collect::<Vec<_>>(),
                order,
                "{pair:?}: in another order than sent, or more than sent"
            );
        }
    }

    /// Every text of a handset that was accepted is there, once.
    pub fn check_received(&self, deeds: &Deeds) {
        for texts in deeds.all_texted().values() {
            for Text { body, answered } in texts {
                if let Some(message) = self.only_message(body, None) {
                    assert_eq!(message["direction"], "inbound");
                } else {
                    assert!(answered.is_none(), "{body}: accepted, and lost");
                }
            }
        }
    }

    /// What was answered with a 5xx did not happen.
    pub fn check_refused(&self, bodies: &[String]) {
        for body in bodies {
            assert!(!self.messages.contains_key(body), "{body}: refused, and stored: {:?}", self.messages[body]);
            let arrived = self.inboxes.values().flatten().any(|one| one == body);
            assert!(!arrived, "{body}: refused, and sent");
        }
    }

    /// Every message that came in was told to the customer, signed, and in order but for repeats.
    pub fn check_told(&self, received: &[Received]) {
        let mut told: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for one in received {
            one.verify(&self.secret).unwrap_or_else(|error| panic!("{error}: {one}"));
            told.entry(one.header("x-webhook-id")).or_default().push(field(&one.json["data"]["messageId"]));
        }
        let mut logged = BTreeSet::new();
        for delivery in &self.deliveries {
            let (id, status) = (field(&delivery["id"]), field(&delivery["status"]));
            assert!(["success", "failed"].contains(&status), "{delivery}");
            assert_eq!(status, "success", "the customer answers 200 to everything: {delivery}");
            assert!(told.contains_key(id), "logged as delivered, but it never came: {delivery}");
            logged.insert(field(&delivery["messageId"]));
        }
        for (id, messages) in &told {
            assert!(messages.iter().all(|message| message == &messages[0]), "{id} changed: {messages:?}");
        }
        let inbound = || self.messages.values().flatten().filter(|message| message["direction"] == "inbound");
        for message in inbound() {
            assert!(logged.contains(field(&message["id"])), "never told: {message}");
        }
        assert_eq!(logged.len(), inbound().count(), "told of more than came in");
        check_order(received);
    }

    pub fn summary(&self, deeds: &Deeds, received: &[Received]) -> String {
        let count = |status: &str| self.messages.values().flatten().filter(|m| m["status"] == status).count();
        let repeats = received.len() - self.deliveries.len();
        format!(
            "{} deeds: {} delivered, {} unconfirmed, {} events ({} repeated)",
            deeds.count(),
            count("delivered"),
            count("unconfirmed"),
            self.deliveries.len(),
            repeats,
        )
    }

    /// The message with this body: one where it was answered, else one or none.
    fn only_message(&self, body: &str, answered: Option<&str>) -> Option<&Value> {
        let found = self.messages.get(body).map(Vec::as_slice).unwrap_or_default();
        assert!(found.len() <= 1, "{body}: stored twice: {found:?}");
        if let Some(id) = answered {
            let message = found.first().unwrap_or_else(|| panic!("{body}: accepted as {id}, and lost"));
            assert_eq!(field(&message["id"]), id);
        }
        found.first()
    }
}

/// Per conversation, what came first came in the order it was texted.
fn check_order(received: &[Received]) {
    let mut seen: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for one in received {
        let (conversation, body) = (field(&one.json["data"]["conversationId"]), field(&one.json["data"]["message"]));
        if known.insert(body) {
            seen.entry(conversation).or_default().push(body);
        }
    }
    for (conversation, bodies) in seen {
        assert!(bodies.is_sorted(), "{conversation}: out of order: {bodies:#?}");
    }
}

fn field(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text was expected: {value}"))
}

/// All messages of our numbers, page by page.
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

async fn deliveries(client: &Client) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let path = format!("/v1/webhooks/deliveries?limit=100&hours=24&offset={}", all.len());
        let page = client.get(&path).await.unwrap().ok();
        let items = page["items"].as_array().unwrap();
        all.extend(items.iter().cloned());
        if items.is_empty() || Some(all.len() as u64) >= page["total"].as_u64() {
            return all;
        }
    }
}

/// Rows that must not exist: a query for them, and what they would mean.
const NEVER: &[(&str, &str)] = &[
    ("SELECT message_id FROM send_jobs", "a message left to send"),
    ("SELECT id FROM sandbox_air", "something left in the air"),
    ("SELECT carrier_message_id FROM early_receipts", "a receipt that was never applied"),
    ("SELECT id FROM purchases WHERE state IN ('reserved', 'unconfirmed')", "a purchase left half way"),
    ("SELECT number_id FROM carrier_releases", "a number not given back"),
    (
        "SELECT id FROM accounts a WHERE numbers_held <>
            (SELECT COUNT(*) FROM numbers n WHERE n.account_id = a.id AND n.status = 'active')",
        "a wrong count of numbers held",
    ),
    (
        "SELECT phone_number FROM numbers WHERE status = 'active'
            AND phone_number NOT IN (SELECT phone_number FROM sandbox_numbers)",
        "a number stored, but not bought",
    ),
    (
        "SELECT phone_number FROM sandbox_numbers
            WHERE phone_number NOT IN (SELECT phone_number FROM numbers WHERE status = 'active')",
        "a number bought, but not stored",
    ),
    (
        "SELECT id FROM conversations c
            WHERE message_count <> (SELECT COUNT(*) FROM messages m WHERE m.conversation_id = c.id)",
        "a wrong count of messages",
    ),
    (
        "SELECT id FROM messages m WHERE direction = 'inbound' AND
            (SELECT COUNT(*) FROM deliveries d WHERE d.message_id = m.id AND d.event_type = 'agent.message') <> 1",
        "a message without its event, or with two",
    ),
    (
        "SELECT reference FROM ledger_entries WHERE kind IN ('message_out', 'message_in')
            GROUP BY reference HAVING COUNT(*) > 1",
        "a message charged twice",
    ),
    (
        "SELECT id FROM messages WHERE price > 0 AND id NOT IN (SELECT reference FROM ledger_entries)",
        "a message not charged",
    ),
];

/// Counts that must be equal.
const EQUAL: &[(&str, &str)] = &[
    (
        "SELECT CAST(SUM(messages_in) AS BIGINT) FROM usage_hours",
        "SELECT COUNT(*) FROM messages WHERE direction = 'inbound'",
    ),
    (
        "SELECT CAST(SUM(messages_out) AS BIGINT) FROM usage_hours",
        "SELECT COUNT(*) FROM messages WHERE direction = 'outbound'",
    ),
    ("SELECT CAST(SUM(webhooks) AS BIGINT) FROM usage_hours", "SELECT COUNT(*) FROM deliveries"),
    (
        "SELECT CAST(SUM(webhooks_succeeded) AS BIGINT) FROM usage_hours",
        "SELECT COUNT(*) FROM deliveries WHERE status = 'success'",
    ),
];

/// What only the database can tell, with the server stopped.
pub async fn check_at_rest(database: &Database) {
    let store = database.open().await;
    for (rows, meaning) in NEVER {
        let found: Vec<String> = column(&store, rows).await;
        assert!(found.is_empty(), "{meaning}: {found:?}");
    }
    for (left, right) in EQUAL {
        let (a, b): (i64, i64) = (one(&store, left).await, one(&store, right).await);
        assert_eq!(a, b, "{left} against {right}");
    }
    if store.engine() == Engine::Postgres {
        let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        assert_eq!(one::<i64>(&store, deadlocks).await, 0, "transactions waited for each other: see PostgreSQL's log");
    }
    let disagreeing = store.read(async |tx: &mut Tx| tx.disagreeing_books().await).await.unwrap();
    assert!(disagreeing.is_empty(), "books that their lines don't add up to: {disagreeing:?}");
}
