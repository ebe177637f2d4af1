//! `/v1/messages`: what an agent says.

pub mod send;
