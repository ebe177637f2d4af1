//! What Offhook does per second on this machine, its client included. See README.md beside this.
//!
//! In: names of scenarios. Out: a table of figures, each with its goal and the ratio of the two, on the screen and in a
//! dated file. Never here: a verdict that fails a build.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a command that measures and prints, and may stop where it stands"
)]

mod bare;
mod fill;
mod https;
mod kannel;
mod latency;
mod load;
mod phones;
mod postgres;
mod receiver;
mod scenarios;
mod server;
mod table;
mod wire;

use scenarios::Bench;
use table::Table;

const USAGE: &str =
    "usage: offhook-benches [sqlite|postgres] [accept] [inbound] [webhooks] [numbers] [life] [shaped] [smpp] [calls] [filled] [soak]
Without a scenario: all but filled and soak, which take long. Without an engine: both.";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == bare::COMMAND) {
        // As many threads as a server would have.
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        return runtime.block_on(bare::serve(&arguments[1..]));
    }
    let Some(plan) = scenarios::plan(&arguments) else {
        println!("{USAGE}");
        std::process::exit(2);
    };
    // One thread for all clients, so that they cost little beside the server.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(measure(plan));
}

async fn measure(plan: Vec<scenarios::Step>) {
    let mut bench = Bench { table: Table::new(), cluster: None };
    for step in plan {
        println!("== {step}");
        scenarios::run(&mut bench, step).await;
    }
    scenarios::conclude(&mut bench);
    println!("\n{}", bench.table);
    println!("written to {}", bench.table.write().display());
}
