//! offhook-testkit.

pub mod clock;
pub mod tcp_proxy;
pub mod webhook_receiver;
