//! The business of Offhook, without any machinery: what a number, a message, a conversation and a
//! price are, and which transitions they may make.
//!
//! In: values that a door has already parsed. Out: decisions. Never here: tokio, SQL, HTTP, sockets,
//! or a clock that is not passed in.

pub mod agent;
pub mod call;
pub mod contact;
pub mod conversation;
pub mod event;
pub mod ids;
pub mod ledger;
pub mod message;
pub mod number;
pub mod one_time_code;
pub mod phone;
pub mod pii;
pub mod purchase;
pub mod segments;
pub mod time;
pub mod usage;
pub mod webhook;

pub use ids::*;
pub use ledger::{Micros, Prices};
pub use phone::{Country, Destination, E164};
pub use time::{Clock, SystemClock, Timestamp};
