//! The Offhook server: its doors (`http`, `cli`), its operations (`app`) and its workers (`jobs`).

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests may"))]

pub mod app;
pub mod guarded_http;
pub mod http;
pub mod webhook_signature;
