//! Everything else once more, with ten million messages stored: how much slower than when empty, and how large.

use std::time::Instant;

use super::{accept, inbound, numbers, webhooks};
use crate::fill;
use crate::receiver::Receiver;
use crate::server::{Data, Server};
use crate::table::{Goal, Table};

const CONVERSATIONS_SHARE: u64 = 20;

pub async fn run(table: &mut Table, data: &Data) {
    prepare(table, data, stored()).await;
    let suffix = suffix();
    let suffix = suffix.as_str();
    numbers::run(table, data, suffix).await;
    accept::run(table, data, suffix).await;
    inbound::run(table, data, suffix).await;
    webhooks::run(table, data, suffix).await;
}

fn stored() -> u64 {
    std::env::var("BENCH_STORED").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000_000)
}

/// What the names of figures end in that were measured full.
fn suffix() -> String {
    format!(", {} million stored", stored() as f64 / 1e6)
}

/// Fills the database as eighty days of use would have.
async fn prepare(table: &mut Table, data: &Data, messages: u64) {
    let receiver = Receiver::start(0, std::sync::Arc::new(|_, _: &[u8]| {})).await;
    let server = Server::start(data, &[]).await;
    // As many as are listed when empty.
    for _ in 1..numbers::NUMBERS {
        server.ask("POST", "/v1/numbers", "{}").await;
    }
    let hook = webhooks::hooks(&server, &receiver, 1).await.remove(0);
    let list = server.ask("GET", "/v1/numbers?limit=100", "").await;
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let numbers: Vec<_> = list["data"]
        .as_array()
        .expect("numbers")
        .iter()
        .map(|number| (text(&number["id"]), text(&number["phoneNumber"])))
        .collect();
    server.stop();
    let (store, began) = (data.open().await, Instant::now());
    fill::history(&store, &numbers, &hook, messages, messages / CONVERSATIONS_SHARE).await;
    println!("filled in {:.0} s", began.elapsed().as_secs_f64());
    settle(data, &store).await;
    let bytes = size(data, &store).await;
    drop(store);
    let what = "stored for each message, every second one with its event";
    table.add(data.name(), what, bytes / messages as f64, "bytes", Goal::None);
}

/// Has PostgreSQL do at once what it would have done over the months: else it does so while others are measured.
async fn settle(data: &Data, store: &offhook_store::Store) {
    if data.url.is_none() {
        return;
    }
    for chore in [offhook_store::Sql("VACUUM ANALYZE"), offhook_store::Sql("CHECKPOINT")] {
        // A read, because that runs without BEGIN.
        let work = async move |tx: &mut offhook_store::Tx| tx.rows(chore, []).await.map(drop);
        store.read::<_, offhook_store::StoreError>(work).await.unwrap();
    }
}

async fn size(data: &Data, store: &offhook_store::Store) -> f64 {
    if data.url.is_none() {
        return data.file_size() as f64;
    }
    let ask = offhook_store::Sql("SELECT pg_database_size(current_database())");
    let read = async move |tx: &mut offhook_store::Tx| tx.one(ask, []).await?.take::<i64>();
    store.read::<_, offhook_store::StoreError>(read).await.unwrap() as f64
}

/// How each figure stands to the one without messages, where both were measured in the same run.
pub fn compare(table: &mut Table, store: &'static str) {
    let full = suffix();
    let full = full.as_str();
    let rates = [
        "texts accepted",
        "texts through to delivered",
        "lists of numbers",
        "events to one endpoint",
        "events to 100 endpoints",
    ];
    for what in rates {
        if let (Some(empty), Some(filled)) = (table.value(store, what), table.value(store, &format!("{what}{full}"))) {
            table.add(store, format!("{what}: empty over full"), empty / filled, "", Goal::AtMost(1.3));
        }
    }
    for share in ["p50", "p99"] {
        let named = |suffix: &str| format!("inbound text to event at half load{suffix}, {share}");
        if let (Some(empty), Some(filled)) = (table.value(store, &named("")), table.value(store, &named(full))) {
            table.add(store, format!("{}: full over empty", named("")), filled / empty, "", Goal::AtMost(1.3));
        }
    }
}
