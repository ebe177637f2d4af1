//! Requests in numbers: as fast as they are answered, or at a steady rate.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::latency::Latencies;
use crate::wire::{Answer, Wire};

/// A request: method, path and body.
pub type Ask = (&'static str, String, String);

/// How a load went.
pub struct Outcome {
    pub count: u64,
    pub took: Duration,
    pub latencies: Latencies,
}

impl Outcome {
    pub fn per_second(&self) -> f64 {
        self.count as f64 / self.took.as_secs_f64()
    }
}

/// Where requests go.
#[derive(Debug, Clone)]
pub struct Target {
    pub address: String,
    pub key: &'static str,
}

/// `total` requests over so many connections, each sending its next as soon as it has its answer.
pub async fn closed(target: &Target, connections: usize, total: u64, ask: impl Fn(u64) -> Ask + 'static) -> Outcome {
    let (next, begun) = (Rc::new(Cell::new(0)), Instant::now());
    let local = tokio::task::LocalSet::new();
    let ask = Rc::new(ask);
    let latencies = local.run_until(async {
        let mut clients = JoinSet::new();
        for _ in 0..connections {
            let (target, next, ask) = (target.clone(), next.clone(), ask.clone());
            clients.spawn_local(async move {
                let mut wire = Wire::open(&target.address).await.unwrap();
                let mut latencies = Latencies::default();
                loop {
                    let n = next.replace(next.get() + 1);
                    if n >= total {
                        return latencies;
                    }
                    let began = Instant::now();
                    send(&mut wire, &target, ask(n)).await;
                    latencies.add(began.elapsed());
                }
            });
        }
        all(clients).await
    });
    let latencies = latencies.await;
    Outcome { count: total, took: begun.elapsed(), latencies }
}

/// `rate` requests a second for so long. What waits for a connection counts as waiting for its answer.
pub async fn steady(target: &Target, rate: f64, span: Duration, ask: impl Fn(u64) -> Ask + 'static) -> Outcome {
    let total = (rate * span.as_secs_f64()) as u64;
    let (next, begun) = (Rc::new(Cell::new(0)), Instant::now());
    let ask = Rc::new(ask);
    let local = tokio::task::LocalSet::new();
    let latencies = local.run_until(async {
        let mut clients = JoinSet::new();
        for _ in 0..64 {
            let (target, next, ask) = (target.clone(), next.clone(), ask.clone());
            clients.spawn_local(async move {
                let mut wire = Wire::open(&target.address).await.unwrap();
                let mut latencies = Latencies::default();
                loop {
                    let n = next.replace(next.get() + 1);
                    if n >= total {
                        return latencies;
                    }
                    let due = begun + Duration::from_secs_f64(n as f64 / rate);
                    tokio::time::sleep_until(due.into()).await;
                    send(&mut wire, &target, ask(n)).await;
                    latencies.add(due.elapsed());
                }
            });
        }
        all(clients).await
    });
    let latencies = latencies.await;
    Outcome { count: total, took: begun.elapsed(), latencies }
}

async fn all(mut clients: JoinSet<Latencies>) -> Latencies {
    let mut latencies = Latencies::default();
    while let Some(done) = clients.join_next().await {
        latencies.append(done.unwrap());
    }
    latencies
}

async fn send(wire: &mut Wire, target: &Target, (method, path, body): Ask) -> Answer {
    let answer = wire.ask(method, &path, target.key, &body).await.unwrap();
    // Kannel says 202.
    assert!((200..300).contains(&answer.status), "{path}: {}", String::from_utf8_lossy(&answer.body));
    answer
}
