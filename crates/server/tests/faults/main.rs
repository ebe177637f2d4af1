//! Real `offhook dev` processes that are broken, and so is what they stand on, while messages and events are under way;
//! then everything must be accounted for.
//!
//! `kill` ends the process with kill -9, again and again, on both engines; `outages` stops PostgreSQL; `steps` cuts the
//! connection to it at every message of a transaction; `nodes` lets one of two nodes die, stand still or be cut off.
//! `OFFHOOK_FAULT_ROUNDS` makes them longer: so many kills, a tenth as many of the others, and from 20 on every step on
//! either side; `OFFHOOK_FAULT_DOWN_SECONDS` makes the outages longer. `OFFHOOK_FAULT_SEED` repeats a run's moments of
//! death (not the machine's timing).
//!
//! `shaped` kills it while messages wait for their turn. `disk_full` and `bad_disk` are the disk's faults, `carriers` and `customers` those of the outside, `clients` those of
//! who asks; `memory` sees that nothing grows.
//!
//! In: nothing but the API, the sandbox's handsets, a customer's webhook servers and the way to the database; at the end
//! the database itself. Never here: code of the server under test, but for the store that reads the database.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop where it stands")]
#![allow(clippy::disallowed_methods, reason = "tests watch what they start")]
#![allow(clippy::disallowed_types, reason = "a client of its own asks the server under test")]
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
mod shaped;
mod steps;
mod vitals;
mod waiting;

/// A number from the environment, which makes a test longer or repeats it.
fn from_environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number: {text}")))
}
