//! The agent's side of a session: from frames and keys to packets.

use std::time::Duration;

use super::Identity;
use crate::codec::{Codec, Encoder};
use crate::dtmf::Digit;
use crate::dtmf::keying::Keying;
use crate::dtmf::tones::Tone;
use crate::frame_samples;
use crate::rtp::outgoing::Outgoing;
use crate::sdp::{Agreed, Direction};
use crate::srtp::Sealer;

/// Between two digits that are sent as tones.
const GAP_FRAMES: u32 = 4;

/// What is sent of the agent.
pub struct Speaking {
    outgoing: Outgoing,
    codec: Codec,
    payload_type: u8,
    encoder: Box<dyn Encoder>,
    /// How many frames a packet has, how many are in the payload, and when the first of them was said.
    per_packet: u32,
    gathered: u32,
    began: u32,
    payload: Vec<u8>,
    /// Whether the other side is to hear us at all.
    open: bool,
    digits: Option<u8>,
    keying: Keying,
    tones: Tones,
    frame: Vec<i16>,
    datagram: Vec<u8>,
}

/// Digits that are sent as sound.
#[derive(Default)]
struct Tones {
    waiting: std::collections::VecDeque<(Digit, u32)>,
    now: Option<(Tone, u32)>,
    gap: u32,
}

impl Speaking {
    pub fn new(agreed: &Agreed, identity: &Identity) -> Self {
        let mut speaking = Self {
            outgoing: Outgoing::new(identity.ssrc, identity.sequence, identity.timestamp),
            codec: agreed.codec,
            payload_type: agreed.payload_type,
            encoder: agreed.codec.encoder(),
            per_packet: 1,
            gathered: 0,
            began: 0,
            payload: Vec::new(),
            open: true,
            digits: None,
            keying: Keying::default(),
            tones: Tones::default(),
            frame: Vec::new(),
            datagram: Vec::new(),
        };
        speaking.renegotiate(agreed);
        speaking
    }

    pub fn renegotiate(&mut self, agreed: &Agreed) {
        if agreed.codec != self.codec {
            self.codec = agreed.codec;
            self.encoder = agreed.codec.encoder();
            self.drop_gathered();
        }
        self.payload_type = agreed.payload_type;
        self.digits = agreed.digits.map(|(payload_type, _)| payload_type);
        self.open = matches!(agreed.direction, Direction::SendRecv | Direction::SendOnly);
        // Packets of Opus can't simply be put behind each other.
        self.per_packet = match agreed.codec {
            Codec::Opus => 1,
            _ => (agreed.packet_time.as_millis() / 20).clamp(1, 3) as u32,
        };
    }

    pub fn press(&mut self, digit: Digit, held: Duration) {
        if self.digits.is_some() {
            self.keying.press(digit, held);
        } else {
            let frames = (held.as_millis() / 20).clamp(3, 500) as u32;
            self.tones.waiting.push_back((digit, frames));
        }
    }

    pub const fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    /// What is to be sent, after a tick that said so.
    pub fn datagram(&self) -> &[u8] {
        &self.datagram
    }

    /// 20 ms go by. Answers whether there is a packet to send.
    pub fn tick(&mut self, said: Option<&[i16]>, reachable: bool, sealer: Option<&mut Sealer>) -> bool {
        let ticks = self.codec.clock_rate() / 50;
        let written = if self.open && reachable {
            match self.digits {
                Some(payload_type) if self.keying.busy() => self.key(payload_type, ticks),
                _ => self.speak(said),
            }
        } else {
            self.outgoing.pause();
            self.drop_gathered();
            false
        };
        self.outgoing.pass(ticks);
        if written && let Some(sealer) = sealer {
            sealer.seal(&mut self.datagram);
        }
        written
    }

    fn key(&mut self, payload_type: u8, ticks: u32) -> bool {
        self.drop_gathered();
        self.outgoing.pause();
        let Some(keyed) = self.keying.tick(self.outgoing.timestamp(), ticks) else { return false };
        self.outgoing.packet_at(payload_type, keyed.timestamp, keyed.marker, &keyed.payload).write(&mut self.datagram);
        true
    }

    fn speak(&mut self, said: Option<&[i16]>) -> bool {
        let samples = frame_samples(self.codec.sample_rate());
        self.frame.clear();
        self.frame.extend_from_slice(said.unwrap_or_default());
        self.frame.resize(samples, 0);
        self.tones.fill(&mut self.frame, self.codec.sample_rate());
        if self.gathered == 0 {
            self.began = self.outgoing.timestamp();
        }
        self.encoder.encode(&self.frame, &mut self.payload);
        self.gathered += 1;
        if self.gathered < self.per_packet {
            return false;
        }
        self.outgoing.packet(self.payload_type, self.began, &self.payload).write(&mut self.datagram);
        self.drop_gathered();
        true
    }

    fn drop_gathered(&mut self) {
        self.payload.clear();
        self.gathered = 0;
    }
}

impl Tones {
    /// Puts a digit's sound in the place of a frame, if one is due.
    fn fill(&mut self, frame: &mut [i16], rate: u32) {
        if self.gap > 0 {
            self.gap -= 1;
            frame.fill(0);
            return;
        }
        if self.now.is_none() {
            self.now = self.waiting.pop_front().map(|(digit, frames)| (Tone::new(digit, rate), frames));
        }
        if let Some((tone, left)) = &mut self.now {
            tone.fill(frame);
            *left -= 1;
            if *left == 0 {
                self.now = None;
                self.gap = GAP_FRAMES;
            }
        }
    }
}
