//! The Offhook server.

pub mod guarded_http;
pub mod webhook_signature;
