//! The stream that we send: numbers its packets, and counts them for the reports.

use super::Packet;

/// Our side of a call's stream.
#[derive(Debug, Clone)]
pub struct Outgoing {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    /// Packets and payload bytes so far, as a sender report tells.
    sent: (u32, u32),
    talking: bool,
}

impl Outgoing {
    /// Begins a stream. All three should be random (RFC 3550 §5.1), which is the caller's to see to.
    #[must_use]
    pub const fn new(ssrc: u32, sequence: u16, timestamp: u32) -> Self {
        Self { ssrc, sequence, timestamp, sent: (0, 0), talking: false }
    }

    /// Which stream it is.
    #[must_use]
    pub const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// When the next sample is taken, on the codec's clock.
    #[must_use]
    pub const fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// Packets and payload bytes that were sent.
    #[must_use]
    pub const fn sent(&self) -> (u32, u32) {
        self.sent
    }

    /// The next packet of sound, whose first sample was taken then.
    pub fn packet<'a>(&mut self, payload_type: u8, timestamp: u32, payload: &'a [u8]) -> Packet<'a> {
        let marker = !self.talking;
        self.talking = true;
        self.packet_at(payload_type, timestamp, marker, payload)
    }

    /// The next packet, with a time of its own: an event keeps that of its beginning.
    pub fn packet_at<'a>(&mut self, payload_type: u8, timestamp: u32, marker: bool, payload: &'a [u8]) -> Packet<'a> {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        self.sent = (self.sent.0.wrapping_add(1), self.sent.1.wrapping_add(payload.len() as u32));
        Packet { payload_type, marker, sequence, timestamp, ssrc: self.ssrc, payload }
    }

    /// Time goes on by so many ticks of the codec's clock, whether anything was sent or not.
    pub const fn pass(&mut self, ticks: u32) {
        self.timestamp = self.timestamp.wrapping_add(ticks);
    }

    /// Nothing is sent for a while: the next packet of sound begins a talk spurt.
    pub const fn pause(&mut self) {
        self.talking = false;
    }
}
