//! `/v1/audit-log`: who did what to the account, and with which key.

pub mod list;
mod record;

pub use record::{Act, record, record_refusal, target_of_person};
