//! Ten million events delivered by one process: does its memory stay where it was?

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::fill;
use crate::receiver::Receiver;
use crate::scenarios::webhooks::hooks;
use crate::server::{Data, Server};
use crate::table::{Goal, Table};

const ENDPOINTS: u64 = 100;
const LANES: u64 = 100;

pub async fn run(table: &mut Table, data: &Data) {
    let events: u64 = std::env::var("BENCH_EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000_000);
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    let take = move |_: &str, _: &[u8]| {
        counted.fetch_add(1, Ordering::Relaxed);
    };
    let receiver = Receiver::start(0, Arc::new(take)).await;
    let server = Server::start(data, &[]).await;
    let hooks = hooks(&server, &receiver, ENDPOINTS).await;
    server.stop();
    let (store, began) = (data.open().await, Instant::now());
    fill::backlog(&store, &hooks, LANES, events / ENDPOINTS / LANES).await;
    drop(store);
    println!("filled in {:.0} s", began.elapsed().as_secs_f64());

    let (server, began) = (Server::start(data, &[]).await, Instant::now());
    // The largest seen in each tenth of the way.
    let mut tenths = [0.0_f64; 10];
    let mut seen = 0;
    let mut moved = Instant::now();
    while seen < events {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = count.load(Ordering::Relaxed);
        if now > seen {
            moved = Instant::now();
        }
        assert!(moved.elapsed() < Duration::from_secs(60), "{now} of {events} events came");
        seen = now;
        // Some may come twice.
        let place = (seen * 10 / events).min(9) as usize;
        if tenths[place] == 0.0 {
            println!("{seen} events after {:.0} s: {:.0} MB", began.elapsed().as_secs_f64(), server.resident_mb());
        }
        tenths[place] = tenths[place].max(server.resident_mb());
    }
    let shown: Vec<String> = tenths.iter().map(|mb| format!("{mb:.0}")).collect();
    println!("{:.0} s; MB by tenths: {}", began.elapsed().as_secs_f64(), shown.join(" "));
    table.add(
        data.name(),
        "resident after all events, over after a fifth",
        tenths[9] / tenths[1],
        "",
        Goal::AtMost(1.1),
    );
    table.add(data.name(), "resident after all events", tenths[9], "MB", Goal::None);
    server.stop();
}
