//! The caller's side of a session: from opened packets to frames and keys.

use std::time::{Duration, Instant};

use super::Ignored;
use super::quality::{self, Quality};
use crate::codec::Codec;
use crate::dtmf::Key;
use crate::dtmf::keys::Keys;
use crate::dtmf::tones::ToneDetector;
use crate::frame_samples;
use crate::jitter::{JitterBuffer, JitterStats};
use crate::rtp::Packet;
use crate::rtp::incoming::{Incoming, Place, Reception};
use crate::rtp::rtcp::Hears;
use crate::sdp::format::{Format, Mapped};
use crate::sdp::{Agreed, Direction};

/// What is heard of the caller.
pub struct Hearing {
    incoming: Incoming,
    jitter: JitterBuffer,
    longest: Duration,
    /// Of the buffers of codecs that were in use before.
    past: JitterStats,
    receives: Vec<Mapped>,
    /// Whether the caller is to be heard at all.
    open: bool,
    keys: Keys,
    /// Only where digits don't come as events: else each would be heard twice.
    tones: Option<ToneDetector>,
    by_tones: bool,
    frame: Vec<i16>,
}

impl Hearing {
    pub fn new(agreed: &Agreed, longest: Duration) -> Self {
        let mut hearing = Self {
            incoming: Incoming::new(agreed.codec.clock_rate()),
            jitter: JitterBuffer::new(agreed.codec, longest),
            longest,
            past: JitterStats::default(),
            receives: Vec::new(),
            open: true,
            keys: Keys::new(8000),
            tones: None,
            by_tones: false,
            frame: vec![0; frame_samples(agreed.codec.sample_rate())],
        };
        hearing.renegotiate(agreed);
        hearing
    }

    pub fn renegotiate(&mut self, agreed: &Agreed) {
        self.receives.clone_from(&agreed.receives);
        self.open = matches!(agreed.direction, Direction::SendRecv | Direction::RecvOnly);
        self.by_tones = agreed.digits.is_none();
        self.tones = self.by_tones.then(|| ToneDetector::new(agreed.codec.sample_rate()));
        if let Some((_, rate)) = agreed.digits {
            self.keys.set_clock_rate(rate);
        }
        let codec = Format::Codec(self.jitter.codec());
        if !self.receives.iter().any(|mapped| mapped.format == codec) {
            self.change_codec(agreed.codec);
        }
    }

    /// What a datagram is, if its payload type was agreed on.
    pub fn parse<'a>(&self, datagram: &'a [u8]) -> Option<Packet<'a>> {
        let packet = Packet::parse(datagram).ok()?;
        self.format(packet.payload_type).map(|_| packet)
    }

    fn format(&self, payload_type: u8) -> Option<Format> {
        self.receives.iter().find(|mapped| mapped.payload_type == payload_type).map(|mapped| mapped.format)
    }

    pub fn hear(&mut self, packet: &Packet<'_>, at: Instant, keys: &mut Vec<Key>) -> Result<(), Ignored> {
        let format = self.format(packet.payload_type).ok_or(Ignored::Foreign)?;
        if let Format::Codec(codec) = format {
            self.change_codec(codec);
        }
        let place = self.incoming.arrive(packet, at);
        if place == Place::Stranger {
            return Err(Ignored::Stranger);
        }
        match format {
            _ if !self.open => {}
            Format::Codec(_) => self.jitter.push(packet, place, at),
            Format::ComfortNoise => self.jitter.push_noise(packet, place, at),
            Format::Digits(_) => {
                self.jitter.pass(place);
                self.keys.hear(packet.payload, packet.timestamp, at, keys);
            }
        }
        Ok(())
    }

    /// The other side may send any codec that was agreed on, and change it at any time.
    fn change_codec(&mut self, codec: Codec) {
        if codec == self.jitter.codec() {
            return;
        }
        self.past = sum(self.past, self.jitter.stats());
        self.jitter = JitterBuffer::new(codec, self.longest);
        self.incoming.set_clock_rate(codec.clock_rate());
        self.frame.clear();
        self.frame.resize(frame_samples(codec.sample_rate()), 0);
        self.tones = self.by_tones.then(|| ToneDetector::new(codec.sample_rate()));
    }

    pub fn tick(&mut self, at: Instant, keys: &mut Vec<Key>) {
        self.jitter.pop(at, &mut self.frame);
        self.keys.tick(at, keys);
        if let Some(tones) = &mut self.tones {
            keys.extend(tones.hear(&self.frame).map(Key::Pressed));
        }
    }

    /// What was heard in the last 20 ms.
    pub fn frame(&self) -> &[i16] {
        &self.frame
    }

    pub const fn rate(&self) -> u32 {
        self.jitter.codec().sample_rate()
    }

    pub fn report(&mut self) -> Option<Reception> {
        self.incoming.report()
    }

    pub fn quality(&self, hears: Option<Hears>, sent: u32) -> Quality {
        let counts = self.incoming.counts();
        let stats = sum(self.past, self.jitter.stats());
        let round_trip = hears.and_then(|hears| hears.round_trip);
        let mut quality = Quality {
            sent: u64::from(sent),
            received: counts.received,
            lost: counts.lost(),
            late: stats.late,
            concealed: if stats.heard == 0 { 0.0 } else { stats.concealed as f32 / stats.heard as f32 },
            jitter: self.incoming.jitter(),
            delay: self.jitter.target(),
            round_trip,
            lost_by_them: hears.map(|hears| hears.fraction_lost),
            opinion: 0.0,
        };
        quality.opinion = quality::opinion(self.jitter.codec(), &quality);
        quality
    }
}

const fn sum(a: JitterStats, b: JitterStats) -> JitterStats {
    JitterStats {
        late: a.late + b.late,
        repeated: a.repeated + b.repeated,
        overrun: a.overrun + b.overrun,
        broken: a.broken + b.broken,
        concealed: a.concealed + b.concealed,
        heard: a.heard + b.heard,
    }
}
