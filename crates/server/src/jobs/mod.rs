//! The workers: what happens after the commit.

pub mod deliver_webhooks;
pub mod housekeeping;
pub mod lines;
mod persist;
pub mod sandbox_air;
pub mod send_messages;
