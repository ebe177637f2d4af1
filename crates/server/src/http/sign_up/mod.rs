//! `/v0/agent`: an account that somebody opens himself, without a key.

pub mod request;
pub mod verify;
