//! Clients that open connections and dawdle: half a head, half a body, answers that nobody takes.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::Client;
use crate::database::Database;
use crate::process::{Launch, Offhook};
use crate::{vitals, waiting};

/// Open files that the server may have; a third of them is for clients.
const FILES: usize = 256;
const DAWDLERS: usize = 300;
/// What they may cost: heads of up to 64 KB on 85 connections, 32 large bodies, what the kernel takes for answered.
const MORE_KIB: u64 = 96 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_dawdle_take_nothing_from_others() {
    let database = Database::sqlite();
    let limit = format!("--nofile={FILES}:{FILES}");
    let before = ["prlimit", &limit, "--"].map(str::to_owned).to_vec();
    // The stop at the end may wait for half a body, and for nothing else.
    let settings = [("DRAIN", "600"), ("REQUEST_TIMEOUT", "5")];
    let settings =
        settings.map(|(name, value)| (format!("OFFHOOK__SERVER__{name}_SECONDS"), value.to_owned())).to_vec();
    let mut offhook = Offhook::launch(&database, Launch { before, settings }).await;
    let client = offhook.client();
    let idle = vitals::memory(offhook.pid());

    let mut connections = Vec::new();
    let head = format!("GET /v1/numbers HTTP/1.1\r\nhost: here\r\nx-long: {}", "x".repeat(60_000));
    for beginning in ["", "GET", &head] {
        connections.extend(dawdle(&offhook, beginning, DAWDLERS).await);
        is_served(&client).await;
    }
    let body =
        format!("POST /v1/agents HTTP/1.1\r\nhost: here\r\ncontent-length: 1000000\r\n\r\n{}", "x".repeat(900_000));
    connections.extend(dawdle(&offhook, &body, 60).await);
    is_served(&client).await;
    // Eight megabytes for each, and nobody reads them.
    let answers = "GET /openapi.json HTTP/1.1\r\nhost: here\r\n\r\n".repeat(40);
    connections.extend(dawdle(&offhook, &answers, 60).await);
    is_served(&client).await;

    let (memory, files) = (vitals::peak_memory(offhook.pid()), vitals::open_files(offhook.pid()));
    println!("{} dawdlers: {} MB, {} MB before, {files} open files", connections.len(), memory >> 10, idle >> 10);
    assert!(memory < idle + MORE_KIB, "{memory} KiB, {idle} KiB before");
    assert!(files < FILES, "{files} open files");
    let log = offhook.whole_log();
    assert!(!log.contains("os error 24"), "it ran out of files\n{}", offhook.log());
    offhook.stop().await;
}

/// Connections on which this is said, as far as it is heard.
async fn dawdle(offhook: &Offhook, text: &str, count: usize) -> Vec<TcpStream> {
    let address = offhook.base_url().strip_prefix("http://").unwrap();
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Some hang up on us, and some stop listening.
        let saying = stream.write_all(text.as_bytes());
        drop(tokio::time::timeout(Duration::from_millis(50), saying).await);
        all.push(stream);
    }
    all
}

/// Others are, meanwhile.
async fn is_served(client: &Client) {
    for n in 0..10 {
        let agent = json!({"name": format!("Desk {n}")});
        waiting::until("served", async || client.post("/v1/agents", &agent).await.is_ok_and(|a| a.status < 300)).await;
    }
}
