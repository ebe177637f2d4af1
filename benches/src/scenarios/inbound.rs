//! From an inbound text to its event on the customer's socket, at half of what the machine can take.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::latency::{Latencies, median};
use crate::load::{self, Ask};
use crate::receiver::Receiver;
use crate::server::{Data, Server};
use crate::table::{Goal, Table};

const CONNECTIONS: usize = 64;
const MOST: u64 = 15_000;
const TURNS: usize = 3;
const SPAN: Duration = Duration::from_secs(5);
const CONVERSATIONS: u64 = 1_000;

/// When each text was due to be sent, and how long its event took.
#[derive(Default)]
struct Watch {
    begun: Mutex<Option<(Instant, f64)>>,
    took: Mutex<Latencies>,
    arrived: AtomicU64,
    measuring: AtomicBool,
}

pub async fn run(table: &mut Table, data: &Data, suffix: &str) {
    let server = Server::start(data, &[]).await;
    let number = first_number(&server).await;
    let watch = Arc::new(Watch::default());
    let seen = watch.clone();
    let receiver = Receiver::start(0, Arc::new(move |_, body: &[u8]| seen.arrive(body))).await;
    server.ask("POST", "/v1/webhooks", &json!({"url": receiver.url("/hook"), "contextLimit": 0}).to_string()).await;

    let most = load::closed(&server.target, CONNECTIONS, MOST, text(number.clone())).await;
    watch.wait_for(MOST).await;

    let rate = most.per_second() / 2.0;
    watch.measuring.store(true, Ordering::Relaxed);
    let (mut p50s, mut p99s) = (Vec::new(), Vec::new());
    let mut sent = MOST;
    for _ in 0..TURNS {
        *watch.begun.lock().unwrap() = Some((Instant::now(), rate));
        sent += load::steady(&server.target, rate, SPAN, text(number.clone())).await.count;
        watch.wait_for(sent).await;
        let mut took = std::mem::take(&mut *watch.took.lock().unwrap());
        p50s.push(took.millis(0.5));
        p99s.push(took.millis(0.99));
    }
    let (p50, p99) = (median(p50s), median(p99s));
    let store = data.name();
    table.add(store, format!("inbound texts accepted{suffix}"), most.per_second(), "/s", Goal::None);
    table.add(store, format!("inbound text to event at half load{suffix}, p50"), p50, "ms", Goal::AtMost(10.0));
    table.add(store, format!("inbound text to event at half load{suffix}, p99"), p99, "ms", Goal::AtMost(50.0));
    server.stop();
}

pub async fn first_number(server: &Server) -> String {
    let numbers = server.ask("GET", "/v1/numbers?limit=100", "").await;
    let numbers = numbers["data"].as_array().expect("a first start buys a number");
    numbers.last().and_then(|number| number["phoneNumber"].as_str()).expect("a number").to_owned()
}

fn text(number: String) -> impl Fn(u64) -> Ask {
    move |n| {
        let from = format!("+1415202{:04}", n % CONVERSATIONS);
        let text = json!({"from": from, "to": number, "body": format!("#{n}#")});
        ("POST", "/sandbox/messages".to_owned(), text.to_string())
    }
}

impl Watch {
    fn arrive(&self, body: &[u8]) {
        if self.measuring.load(Ordering::Relaxed)
            && let Some((begun, rate)) = *self.begun.lock().unwrap()
        {
            let text = String::from_utf8_lossy(body);
            let n: f64 = text.split('#').nth(1).and_then(|n| n.parse().ok()).expect("the text's place");
            let due = begun + Duration::from_secs_f64(n / rate);
            self.took.lock().unwrap().add(due.elapsed());
        }
        self.arrived.fetch_add(1, Ordering::Relaxed);
    }

    async fn wait_for(&self, count: u64) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while self.arrived.load(Ordering::Relaxed) < count {
            assert!(Instant::now() < deadline, "{:?} of {count} events came", self.arrived);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
