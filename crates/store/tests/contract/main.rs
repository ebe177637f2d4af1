//! What the store promises, told once and run on both engines.
//!
//! In: a fresh database per test, SQLite in a temporary folder or PostgreSQL at `OFFHOOK_TEST_POSTGRES`, which
//! `./test store` sets. Never here: HTTP, carriers, or a test that knows one engine only, but for what only one has.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop where it stands")]
#![allow(clippy::disallowed_methods, reason = "tests watch what they start")]

#[macro_use]
mod engines;
mod fixtures;

mod accounts;
mod agents;
mod calls;
mod concurrency;
mod connections;
mod contacts;
mod conversations;
mod deliveries;
mod files;
mod idempotency;
mod inventory;
mod leases;
mod ledger;
mod many;
mod migrations;
mod numbers;
mod pacers;
mod plans;
mod purchases;
mod rate_buckets;
mod renewals;
mod sandbox_world;
mod sends;
mod sip_trunks;
mod smpp_parts;
mod statements;
mod transactions;
mod usage;
mod wal;
