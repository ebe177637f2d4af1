//! offhook-testkit.

pub mod webhook_receiver;
