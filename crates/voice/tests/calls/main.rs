//! Calls from their first ring to their end, over lines without sound: what a host is told of them, and what the other side
//! reads. Time is tokio's, and stands still until somebody waits.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod ends;
mod machines;
mod stage;
mod turns;
