//! The workers: what happens after the commit.

pub mod lines;
mod persist;
pub mod send_messages;
