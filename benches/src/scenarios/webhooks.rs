//! A backlog of events to one healthy endpoint, and to a hundred, in order per conversation.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::fill::{self, Hook};
use crate::receiver::Receiver;
use crate::server::{Data, Server};
use crate::table::{Goal, Table};

const TOTAL: u64 = 100_000;
const ENDPOINTS: u64 = 100;
const LANES: u64 = 10;

/// What came, lane by lane.
#[derive(Default)]
struct Arrivals {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    next: HashMap<String, u64>,
    count: u64,
    first: Option<Instant>,
    last: Option<Instant>,
    out_of_order: u64,
}

pub async fn run(table: &mut Table, data: &Data, suffix: &str) {
    let one = measure(data, 1, 1_000).await;
    table.add(data.name(), format!("events to one endpoint{suffix}"), one, "/s", Goal::AtLeast(5_000.0));
    let hundred = measure(data, ENDPOINTS, LANES).await;
    table.add(data.name(), format!("events to 100 endpoints{suffix}"), hundred, "/s", Goal::AtLeast(4_000.0));
}

/// Events a second from the first to the last, to so many endpoints with so many conversations each.
async fn measure(data: &Data, endpoints: u64, lanes: u64) -> f64 {
    let arrivals = Arc::new(Arrivals::default());
    let seen = arrivals.clone();
    let receiver = Receiver::start(0, Arc::new(move |_, body: &[u8]| seen.arrive(body))).await;
    let server = Server::start(data, &[]).await;
    let hooks = hooks(&server, &receiver, endpoints).await;
    server.stop();
    let store = data.open().await;
    fill::backlog(&store, &hooks, lanes, TOTAL / endpoints / lanes).await;
    drop(store);

    let server = Server::start(data, &[]).await;
    let waiting = arrivals.clone();
    let rate = tokio::task::spawn_blocking(move || waiting.wait_for(TOTAL)).await.unwrap();
    server.stop();
    rate
}

/// Webhooks, of one account or of its agents.
pub async fn hooks(server: &Server, receiver: &Receiver, endpoints: u64) -> Vec<Hook> {
    let wish = |n: u64| json!({"url": receiver.url(&format!("/hook/{n}")), "contextLimit": 0}).to_string();
    if endpoints == 1 {
        let made = server.ask("POST", "/v1/webhooks", &wish(0)).await;
        return vec![Hook { id: text(&made["id"]), agent_key: String::new() }];
    }
    let mut hooks = Vec::new();
    for n in 0..endpoints {
        let agent = server.ask("POST", "/v1/agents", &json!({"name": format!("Desk {n}")}).to_string()).await;
        let agent = text(&agent["id"]);
        let made = server.ask("POST", &format!("/v1/agents/{agent}/webhook"), &wish(n)).await;
        hooks.push(Hook { id: text(&made["id"]), agent_key: agent });
    }
    hooks
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().expect("a text").to_owned()
}

impl Arrivals {
    fn arrive(&self, body: &[u8]) {
        let now = Instant::now();
        let body = String::from_utf8_lossy(body);
        let field = |name: &str| body.split(&format!("\"{name}\":\"")).nth(1)?.split('"').next();
        let (lane, sequence) = (field("conversationId").unwrap(), field("message").unwrap().parse::<u64>().unwrap());
        let mut state = self.state.lock().unwrap();
        let next = state.next.entry(lane.to_owned()).or_default();
        let in_order = *next == sequence;
        *next = sequence + 1;
        state.out_of_order += u64::from(!in_order);
        state.count += 1;
        state.first.get_or_insert(now);
        state.last = Some(now);
        self.changed.notify_one();
    }

    fn wait_for(&self, total: u64) -> f64 {
        let mut state = self.state.lock().unwrap();
        while state.count < total {
            let (next, timeout) = self.changed.wait_timeout(state, Duration::from_secs(60)).unwrap();
            assert!(!timeout.timed_out(), "{} of {total} events came", next.count);
            state = next;
        }
        assert_eq!(state.out_of_order, 0, "conversations keep their order");
        let span = state.last.unwrap().duration_since(state.first.unwrap());
        total as f64 / span.as_secs_f64()
    }
}
