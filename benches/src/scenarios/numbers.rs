//! `GET /v1/numbers`, beside a bare axum handler on rusqlite in the same run.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::bare;
use crate::load::{self, Ask, Target};
use crate::server::{Data, KEY, Server};
use crate::table::{Goal, Table};
use crate::wire::Wire;

const CONNECTIONS: usize = 32;
const WARM_UP: u64 = 5_000;
const TOTAL: u64 = 100_000;
pub const NUMBERS: usize = 10;
const SPAN: Duration = Duration::from_secs(10);

pub async fn run(table: &mut Table, data: &Data, suffix: &str) {
    let server = Server::start(data, &[]).await;
    let held = server.ask("GET", "/v1/numbers", "").await["total"].as_u64().unwrap_or(0) as usize;
    for _ in held..NUMBERS {
        server.ask("POST", "/v1/numbers", "{}").await;
    }
    let bare = most_of_bare(data).await;
    load::closed(&server.target, CONNECTIONS, WARM_UP, list).await;
    let ours = load::closed(&server.target, CONNECTIONS, TOTAL, list).await.per_second();
    let mut half = load::steady(&server.target, ours / 2.0, SPAN, list).await;

    let store = data.name();
    table.add(store, format!("lists of numbers{suffix}"), ours, "/s", Goal::None);
    // What stands beside it is SQLite in the same process, so the goals are for SQLite.
    let (ratio, tail) =
        if data.url.is_none() { (Goal::AtLeast(0.6), Goal::AtMost(5.0)) } else { (Goal::None, Goal::None) };
    table.add(store, format!("the same, of a bare handler on SQLite{suffix}"), ours / bare, "", ratio);
    let p99 = half.latencies.millis(0.99);
    table.add(store, format!("list of numbers at half load{suffix}, p99"), p99, "ms", tail);
    server.stop();
}

fn list(_: u64) -> Ask {
    ("GET", "/v1/numbers".to_owned(), String::new())
}

/// How many lists a second the bare handler answers, in a process of its own.
async fn most_of_bare(data: &Data) -> f64 {
    let file = data.folder.path().join("bare.db");
    if !file.exists() {
        bare::make(&file, NUMBERS);
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut child = command.args([bare::COMMAND, &address]).arg(&file).stdin(Stdio::null()).spawn().unwrap();
    while Wire::open(&address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let target = Target { address, key: KEY };
    load::closed(&target, CONNECTIONS, WARM_UP, list).await;
    let most = load::closed(&target, CONNECTIONS, TOTAL, list).await.per_second();
    child.kill().unwrap();
    child.wait().unwrap();
    most
}
