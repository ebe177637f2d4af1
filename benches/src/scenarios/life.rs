//! What a process costs that has nothing to do, and how soon it is there: fresh, and after a kill -9 in mid-work.

use std::time::{Duration, Instant};

use offhook_store::{Sql, StoreError, Tx};
use serde_json::json;

use super::accept::first_agent;
use crate::load;
use crate::server::{Data, Server};
use crate::table::{Goal, Table};

const UNDER_WAY: f64 = 100_000.0;
const PORTION: u64 = 10_000;

pub async fn run(table: &mut Table, data: &Data) {
    let store = data.name();
    Server::start(data, &[]).await.stop();
    let mut ready: Vec<f64> = Vec::new();
    for _ in 0..5 {
        let server = Server::start(data, &[]).await;
        ready.push(server.ready_after.as_secs_f64() * 1000.0);
        server.stop();
    }
    ready.sort_by(f64::total_cmp);
    table.add(store, "ready after start", ready[2], "ms", Goal::AtMost(300.0));
    let server = Server::start(data, &[]).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    table.add(store, "idle, resident", server.resident_mb(), "MB", Goal::AtMost(40.0));
    server.stop();

    // One submission at a time: far fewer leave than come.
    let server = Server::start(data, &[("OFFHOOK__SENDING__CONCURRENCY", "1")]).await;
    let agent = first_agent(&server).await;
    let ask = move |n: u64| {
        let text = json!({"agent_id": agent, "to_number": format!("+1415203{:04}", n % 5_000), "body": format!("{n}")});
        ("POST", "/v1/messages".to_owned(), text.to_string())
    };
    let began = Instant::now();
    while waiting(&server).await < UNDER_WAY * 1.1 {
        assert!(began.elapsed() < Duration::from_secs(300), "they leave as fast as they come");
        load::closed(&server.target, 64, PORTION, ask.clone()).await;
    }
    server.kill();
    table.add(store, "under way at a kill -9", under_way(data).await, "messages", Goal::AtLeast(UNDER_WAY));
    let server = Server::start(data, &[]).await;
    let recovered = server.ready_after.as_secs_f64() * 1000.0;
    table.add(store, "ready after that", recovered, "ms", Goal::AtMost(2_000.0));
    server.kill();
}

/// Messages that are accepted and not yet recorded as sent, as the store has them.
async fn under_way(data: &Data) -> f64 {
    let ask = async |tx: &mut Tx| tx.one(Sql("SELECT COUNT(*) FROM send_jobs"), []).await?.take::<i64>();
    data.open().await.read::<_, StoreError>(ask).await.unwrap() as f64
}

/// Messages that wait to be handed to their carrier, as of the last second.
async fn waiting(server: &Server) -> f64 {
    server.metric("offhook_queue_depth", "queue=\"send\"").await
}
