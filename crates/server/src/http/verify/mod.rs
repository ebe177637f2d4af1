//! `/v1/verify`: whose a phone number is.

pub mod check;
pub mod send;
