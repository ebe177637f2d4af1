//! What Offhook does per second on this machine, the client included. See README.md beside this.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a command that measures and prints"
)]

mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wire::Wire;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let address = std::env::var("BENCH_ADDRESS").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let key = std::env::var("BENCH_KEY").unwrap();
    let connections: u64 = std::env::var("BENCH_CONNECTIONS").ok().and_then(|v| v.parse().ok()).unwrap_or(64);
    let total: u64 = std::env::var("BENCH_TOTAL").ok().and_then(|v| v.parse().ok()).unwrap_or(20_000);
    let conversations: u64 = 1_000;
    let mut wire = Wire::open(&address).await.unwrap();
    let agents: Value = serde_json::from_slice(&wire.ask("GET", "/v1/agents", &key, "").await.unwrap().body).unwrap();
    let agent = agents["data"][0]["id"].as_str().unwrap().to_owned();
    let before = delivered(&mut wire, &key).await;

    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let tasks: Vec<_> = (0..connections)
        .map(|_| {
            let (address, key, agent, next) = (address.clone(), key.clone(), agent.clone(), next.clone());
            tokio::spawn(async move {
                let mut wire = Wire::open(&address).await.unwrap();
                let mut latencies = Vec::new();
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= total {
                        return latencies;
                    }
                    let to = format!("+1415201{:04}", i % conversations);
                    let body = json!({"agent_id": agent, "to_number": to, "body": format!("Your table is ready, number {i}.")});
                    let asked = Instant::now();
                    let answer = wire.ask("POST", "/v1/messages", &key, &body.to_string()).await.unwrap();
                    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
                    latencies.push(asked.elapsed());
                }
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    let accepted = started.elapsed();
    latencies.sort();
    println!(
        "accepted {total} in {:.2?}: {:.0}/s  p50 {:.2?} p99 {:.2?}",
        accepted,
        total as f64 / accepted.as_secs_f64(),
        latencies[latencies.len() / 2],
        latencies[latencies.len() * 99 / 100]
    );
    while delivered(&mut wire, &key).await < before + total {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let through = started.elapsed();
    println!("through to delivered in {:.2?}: {:.0}/s", through, total as f64 / through.as_secs_f64());
}

/// Messages the carrier has taken and receipted, by the server's own count.
async fn delivered(wire: &mut Wire, key: &str) -> u64 {
    let text = wire.ask("GET", "/metrics", key, "").await.unwrap().body;
    let text = String::from_utf8_lossy(&text);
    text.lines()
        .filter(|line| line.starts_with("offhook_messages_settled_total") && line.contains("delivered"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum::<f64>() as u64
}
