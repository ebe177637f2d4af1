//! offhook-testkit.

pub mod clock;
pub mod webhook_receiver;
