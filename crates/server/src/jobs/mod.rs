//! The workers: what happens after the commit.

pub mod deliver_webhooks;
pub mod fetch_media;
pub mod follow_trunks;
pub mod give_back_numbers;
pub mod housekeeping;
pub mod lead_calls;
pub mod lines;
pub mod numbers;
pub(crate) mod persist;
pub mod remove_media;
pub mod renew_numbers;
pub mod retention;
pub mod sandbox_air;
pub mod send_mails;
pub mod send_messages;
