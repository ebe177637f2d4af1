//! offhook-testkit.

pub mod clock;
pub mod fake_carriers;
pub mod published_api;
pub mod smsc;
pub mod tcp_proxy;
pub mod webhook_receiver;
