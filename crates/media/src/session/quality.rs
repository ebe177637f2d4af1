//! How well a call is heard: for its trace.

use std::time::Duration;

use crate::codec::Codec;

/// How well a call is heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// Packets that we sent.
    pub sent: u64,
    /// Packets that came, repeats included.
    pub received: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came too late.
    pub late: u64,
    /// The share of what was heard that was made up.
    pub concealed: f32,
    /// How unevenly packets come (RFC 3550).
    pub jitter: Duration,
    /// How long the jitter buffer holds sound up.
    pub delay: Duration,
    /// There and back, where the other side reports.
    pub round_trip: Option<Duration>,
    /// The share of our packets that it last missed, where it reports.
    pub lost_by_them: Option<f32>,
    /// The mean opinion score that is to be expected, from 1 to 4.4, by the E-model of ITU-T G.107.
    pub opinion: f32,
}

/// The E-model with the defaults of G.107 for all that is not known here. How much a codec bears is G.113's.
pub(super) fn opinion(codec: Codec, quality: &Quality) -> f32 {
    let (impairment, robustness) = match codec {
        Codec::Pcmu | Codec::Pcma => (0.0, 25.1),
        Codec::G722 => (0.0, 20.0),
        Codec::Opus => (0.0, 30.0),
    };
    let way = quality.round_trip.unwrap_or_default().as_secs_f32() * 500.0;
    let delay = way + quality.delay.as_secs_f32() * 1000.0 + 20.0;
    let delayed = 0.024 * delay + 0.11 * (delay - 177.3).max(0.0);
    let loss = quality.concealed * 100.0;
    let lossy = impairment + (95.0 - impairment) * loss / (loss + robustness);
    let rating = (93.2 - delayed - lossy).clamp(0.0, 100.0);
    let opinion = 1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6;
    opinion.max(1.0)
}
