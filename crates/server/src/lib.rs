//! The Offhook server.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "clippy.toml's bans are for what runs in production"))]

pub mod config;
pub mod lifecycle;
pub mod secret_key;
pub mod telemetry;
