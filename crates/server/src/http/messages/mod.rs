//! `/v1/messages`: what an agent says.

pub mod react;
pub mod send;
