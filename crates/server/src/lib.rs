//! The Offhook server: its doors (`http`, `cli`), its operations (`app`) and its workers (`jobs`).

#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        clippy::unwrap_used,
        reason = "the bans are for what runs in production"
    )
)]

pub mod app;
pub mod cli;
pub mod clients;
pub mod config;
pub mod control;
pub mod docs_site;
#[doc(hidden)]
pub mod fuzzed;
pub mod guarded_http;
pub mod http;
pub mod jobs;
pub mod lifecycle;
mod open_files;
pub mod secret_key;
pub mod serve;
pub mod startup;
pub mod telemetry;
pub mod voices;
pub mod webhook_signature;
