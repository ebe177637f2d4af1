//! Whole calls between endpoints over a simulated network: what a call engine orders, what it is told, and what goes over
//! the wire.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod calls;
mod chaos;
mod failover;
mod garbage;
mod intake;
mod network;
mod offers;
mod registering;
mod reliable;
mod timers;
mod torture;
mod transfers;
