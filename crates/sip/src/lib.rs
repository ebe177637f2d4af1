//! SIP (RFC 3261) without I/O: bytes and `now` in; bytes to transmit, events and the next deadline out. No socket, no clock,
//! no task, and nothing of ours below it, so that a whole call runs over a simulated network in microseconds.
//!
//! From the bottom: [`message`] is the grammar; [`transaction`] the four machines of §17; [`dialog`] what two user agents
//! hold in common; [`digest`] and [`registration`] how we prove who we are; [`endpoint`] is what a call engine uses.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]
#![warn(missing_docs)]

pub mod dialog;
pub mod digest;
pub mod endpoint;
pub mod message;
pub mod nat;
pub mod registration;
mod tokens;
pub mod transaction;
mod transport;

pub use tokens::Tokens;
pub use transport::{Flow, Transmit, Transport};
