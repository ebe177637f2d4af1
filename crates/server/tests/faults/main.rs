//! kill -9 while messages and events are under way, again and again; then everything must be accounted for.
//!
//! The real `offhook dev` process, on SQLite and on PostgreSQL. Meanwhile our numbers send, handsets text back, and
//! numbers are bought and released. `OFFHOOK_FAULT_ROUNDS` makes it longer; `OFFHOOK_FAULT_SEED` repeats a run's moments
//! of death (not the machine's timing).
//!
//! Or something else fails than the process: the database, the disk, the carrier, customers' servers, clients. Each has a
//! file of its own, as has what must not grow (`memory.rs`).
//!
//! In: nothing but the API, the sandbox's handsets and a customer's webhook server, and at the end the database at rest.
//! Never here: code of the server under test, but for the store that reads the database.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop where it stands")]
#![allow(clippy::disallowed_methods, reason = "tests watch what they start")]
#![allow(clippy::print_stdout, reason = "the seed, for who wants to repeat a run")]

mod bad_disk;
mod carriers;
mod cast;
mod client;
mod clients;
mod cluster;
mod crowd;
mod customers;
mod database;
mod disk_full;
mod kill;
mod ledger_of_deeds;
mod load;
mod memory;
mod nodes;
mod outages;
mod private_disk;
mod process;
mod reckoning;
mod steps;
mod vitals;
mod waiting;

/// A number from the environment, which makes a test longer or repeats it.
fn from_environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number: {text}")))
}
