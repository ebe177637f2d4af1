//! `GET /v1/numbers`, beside a bare axum handler on rusqlite in the same run.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::bare;
use crate::latency::median;
use crate::load::{self, Ask, Target};
use crate::server::{Data, KEY, Server};
use crate::table::{Goal, Table};
use crate::wire::Wire;

const CONNECTIONS: usize = 32;
const WARM_UP: u64 = 5_000;
const TURNS: usize = 5;
const EACH: u64 = 40_000;
pub const NUMBERS: usize = 10;
const SPAN: Duration = Duration::from_secs(3);

pub async fn run(table: &mut Table, data: &Data, suffix: &str) {
    let server = Server::start(data, &[]).await;
    let held = server.ask("GET", "/v1/numbers", "").await["total"].as_u64().unwrap_or(0) as usize;
    for _ in held..NUMBERS {
        server.ask("POST", "/v1/numbers", "{}").await;
    }
    let mut bare = Bare::start(data).await;
    for target in [&bare.target, &server.target] {
        load::closed(target, CONNECTIONS, WARM_UP, list).await;
    }
    let (mut rates, mut ratios, mut tails) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let theirs = load::closed(&bare.target, CONNECTIONS, EACH, list).await.per_second();
        let ours = load::closed(&server.target, CONNECTIONS, EACH, list).await.per_second();
        rates.push(ours);
        ratios.push(ours / theirs);
    }
    bare.stop();
    let ours = median(rates);
    for _ in 0..TURNS {
        let mut half = load::steady(&server.target, ours / 2.0, SPAN, list).await;
        tails.push(half.latencies.millis(0.99));
    }

    let store = data.name();
    table.add(store, format!("lists of numbers{suffix}"), ours, "/s", Goal::None);
    // What stands beside it is SQLite in the same process, so the goals are for SQLite.
    let (ratio, tail) =
        if data.url.is_none() { (Goal::AtLeast(0.6), Goal::AtMost(5.0)) } else { (Goal::None, Goal::None) };
    table.add(store, format!("the same, of a bare handler on SQLite{suffix}"), median(ratios), "", ratio);
    table.add(store, format!("list of numbers at half load{suffix}, p99"), median(tails), "ms", tail);
    server.stop();
}

fn list(_: u64) -> Ask {
    ("GET", "/v1/numbers".to_owned(), String::new())
}

/// The bare handler, in a process of its own.
struct Bare {
    child: Child,
    target: Target,
}

impl Bare {
    async fn start(data: &Data) -> Self {
        let file = data.folder.path().join("bare.db");
        if !file.exists() {
            bare::make(&file, NUMBERS);
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(std::env::current_exe().unwrap());
        let child = command.args([bare::COMMAND, &address]).arg(&file).stdin(Stdio::null()).spawn().unwrap();
        while Wire::open(&address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { child, target: Target { address, key: KEY } }
    }

    fn stop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.stop();
    }
}
