//! The workers: what happens after the commit.

pub mod deliver_webhooks;
pub mod give_back_numbers;
pub mod housekeeping;
pub mod lines;
pub mod numbers;
mod persist;
pub mod renew_numbers;
pub mod retention;
pub mod sandbox_air;
pub mod send_mails;
pub mod send_messages;
