//! Texts accepted durably, and through the sandbox carrier to `delivered`, at the same time.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::latency::median;
use crate::load;
use crate::server::{Data, Server};
use crate::table::{Goal, Table};

const CONNECTIONS: usize = 64;
const WARM_UP: u64 = 2_000;
const TURNS: u64 = 3;
const EACH: u64 = 30_000;
const CONVERSATIONS: u64 = 1_000;

pub async fn run(table: &mut Table, data: &Data, suffix: &str) {
    let server = Server::start(data, &[]).await;
    let agent = first_agent(&server).await;
    let ask = move |n: u64| {
        let to = format!("+1415201{:04}", n % CONVERSATIONS);
        let text = json!({"agent_id": agent, "to_number": to, "body": format!("Your table is ready, number {n}.")});
        ("POST", "/v1/messages".to_owned(), text.to_string())
    };
    load::closed(&server.target, CONNECTIONS, WARM_UP, ask.clone()).await;
    wait_until_delivered(&server, WARM_UP).await;

    let (mut accepted, mut through, mut p50s, mut p99s) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for turn in 1..=TURNS {
        let began = Instant::now();
        let mut outcome = load::closed(&server.target, CONNECTIONS, EACH, ask.clone()).await;
        wait_until_delivered(&server, WARM_UP + turn * EACH).await;
        through.push(EACH as f64 / began.elapsed().as_secs_f64());
        accepted.push(outcome.per_second());
        p50s.push(outcome.latencies.millis(0.5));
        p99s.push(outcome.latencies.millis(0.99));
    }

    let (accept_goal, through_goal) = match data.url {
        None => (5_000.0, 3_000.0),
        Some(_) => (2_500.0, 1_500.0),
    };
    let store = data.name();
    table.add(store, format!("texts accepted{suffix}"), median(accepted), "/s", Goal::AtLeast(accept_goal));
    table.add(store, format!("texts accepted{suffix}, p50"), median(p50s), "ms", Goal::None);
    table.add(store, format!("texts accepted{suffix}, p99"), median(p99s), "ms", Goal::None);
    table.add(store, format!("texts through to delivered{suffix}"), median(through), "/s", Goal::AtLeast(through_goal));
    server.stop();
}

/// The agent that a first start makes.
pub async fn first_agent(server: &Server) -> String {
    let agents = server.ask("GET", "/v1/agents", "").await;
    agents["data"][0]["id"].as_str().expect("a first start makes an agent").to_owned()
}

async fn wait_until_delivered(server: &Server, count: u64) {
    let deadline = Instant::now() + Duration::from_secs(300);
    while (server.metric("offhook_messages_settled_total", "delivered").await as u64) < count {
        assert!(Instant::now() < deadline, "not all are delivered");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
