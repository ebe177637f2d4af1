//! The media of a phone call, sans-IO: codecs, RTP, DTMF, the jitter buffer, SRTP, SDP, recording, and the session that
//! joins them.
//!
//! In: datagrams, what the agent says, and the time. Out: datagrams, what the caller says, and events. Never here:
//! sockets, tasks, a clock of its own, or anything of the platform. So a whole call can be tested over a bad network in
//! milliseconds.
//!
//! Audio is mono `i16` in frames of 20 ms ([`FRAME`]), at the rate of its codec.

pub mod codec;
pub mod dtmf;
pub mod jitter;
pub mod recording;
pub mod resample;
pub mod rtp;
pub mod sdp;
pub mod session;
pub mod srtp;

use std::time::Duration;

/// The pace of everything here: one frame is heard, and one said, each 20 ms.
pub const FRAME: Duration = Duration::from_millis(20);

/// How many samples a frame has at a rate.
#[must_use]
pub const fn frame_samples(rate: u32) -> usize {
    rate as usize / 50
}
