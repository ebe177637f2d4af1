//! The business of Offhook, without any machinery: what a number, a message, a conversation and a
//! price are, and which transitions they may make.
//!
//! In: values that a door has already parsed. Out: decisions. Never here: tokio, SQL, HTTP, sockets,
//! or a clock that is not passed in.

pub mod agent;
pub mod call;
pub mod call_routing;
pub mod campaign;
pub mod circuit;
pub mod contact;
pub mod conversation;
pub mod destinations;
pub mod event;
pub mod guards;
pub mod ids;
pub mod key_scope;
pub mod ledger;
pub mod message;
pub mod number;
pub mod one_time_code;
pub mod opt_out;
pub mod phone;
pub mod pii;
pub mod purchase;
pub mod routing;
pub mod segments;
pub mod shaping;
pub mod sip_trunk;
pub mod time;
pub mod usage;
pub mod vcard;
pub mod webhook;
mod words;

pub use ids::*;
pub use key_scope::{KeyScope, KeyScopes};
pub use ledger::{Micros, Prices};
pub use phone::{Country, Destination, E164};
pub use time::{Clock, SystemClock, Timestamp};
