//! kill -9 while messages and events are under way, again and again; then everything must be accounted for.
//!
//! The real `offhook dev` process, on SQLite and on PostgreSQL. Meanwhile our numbers send, handsets text back, and
//! numbers are bought and released. `OFFHOOK_FAULT_ROUNDS` makes it longer; `OFFHOOK_FAULT_SEED` repeats a run's moments
//! of death (not the machine's timing).
//!
//! In: nothing but the API, the sandbox's handsets and a customer's webhook server, and at the end the database at rest.
//! Never here: code of the server under test, but for the store that reads the database.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop where it stands")]
#![allow(clippy::disallowed_methods, reason = "tests watch what they start")]
#![allow(clippy::disallowed_types, reason = "a client of its own asks the server under test")]
#![allow(clippy::print_stdout, reason = "the seed, for who wants to repeat a run")]

mod client;
mod database;
mod ledger_of_deeds;
mod load;
mod process;
mod reckoning;

use std::time::Duration;

use offhook_testkit::webhook_receiver::WebhookReceiver;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use database::Database;
use ledger_of_deeds::Deeds;
use process::Offhook;

const ROUNDS: u32 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_on_sqlite() {
    survive(Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_on_postgres() {
    survive(Database::postgres().await).await;
}

async fn survive(database: Database) {
    let rounds = from_environment("OFFHOOK_FAULT_ROUNDS").unwrap_or(ROUNDS);
    let seed: u64 = from_environment("OFFHOOK_FAULT_SEED").unwrap_or_else(rand::random);
    println!("OFFHOOK_FAULT_SEED={seed} OFFHOOK_FAULT_ROUNDS={rounds}");
    let mut chance = StdRng::seed_from_u64(seed);
    let customer = WebhookReceiver::start().await;
    let deeds = Deeds::default();

    let mut offhook = Offhook::start(&database).await;
    let cast = load::prepare(&offhook.client(), &customer).await;
    let load = load::Load::start(offhook.client(), &cast, &deeds);
    for round in 1..=rounds {
        tokio::time::sleep(Duration::from_millis(chance.random_range(300..2500))).await;
        offhook.kill().await;
        println!("round {round}: killed with {} deeds done", deeds.count());
        offhook.restart().await;
    }
    load.stop().await;
    offhook.kill().await;
    database.let_time_pass().await;
    offhook.restart().await;

    let client = offhook.client();
    reckoning::wait_until_quiet(&client, &cast, &offhook).await;
    let books = reckoning::Books::read(&client, &cast).await;
    books.check_sent(&deeds);
    books.check_received(&deeds);
    books.check_told(&customer.received());
    offhook.stop().await;
    reckoning::check_at_rest(&database).await;
    println!("{}", books.summary(&deeds, &customer.received()));
}

fn from_environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number: {text}")))
}
