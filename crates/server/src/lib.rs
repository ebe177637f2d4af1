//! The Offhook server.

pub mod webhook_signature;
