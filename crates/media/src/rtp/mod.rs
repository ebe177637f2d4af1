//! RTP and RTCP (RFC 3550). In: datagrams, which may be anything. Out: packets, what is known of the stream that they
//! belong to, and the reports about it. The bits are `rtp-types`' and `rtcp-types`' work, which stay behind this module.

pub mod incoming;
pub mod outgoing;
pub mod rtcp;

use rtp_types::{RtpPacket, RtpPacketBuilder};

/// Why a datagram is no RTP packet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an RTP packet: {0}")]
pub struct NotRtp(String);

/// What a datagram on a media port claims to be, by its first two bytes (RFC 5761, RFC 7983).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sound, or a digit.
    Rtp,
    /// A report.
    Rtcp,
    /// STUN, DTLS, or noise.
    Other,
}

impl Kind {
    /// Looks at a datagram.
    #[must_use]
    pub const fn of(datagram: &[u8]) -> Self {
        match datagram {
            [first, second, ..] if *first >> 6 == 2 => {
                if *second >= 192 && *second <= 223 {
                    Self::Rtcp
                } else {
                    Self::Rtp
                }
            }
            _ => Self::Other,
        }
    }
}

/// One RTP packet, without what a phone call has no use for: contributors, extension and padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What the payload is, as agreed.
    pub payload_type: u8,
    /// The first after a pause, or of an event.
    pub marker: bool,
    /// Its place in the stream, modulo 2¹⁶.
    pub sequence: u16,
    /// When its first sample was taken, on the codec's clock, modulo 2³².
    pub timestamp: u32,
    /// Which stream it belongs to.
    pub ssrc: u32,
    /// The sound.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    /// It is not RTP of version 2, or shorter than it says.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, NotRtp> {
        let packet = RtpPacket::parse(datagram).map_err(|error| NotRtp(error.to_string()))?;
        let start = packet.payload_offset();
        let payload = datagram.get(start..start + packet.payload_len()).unwrap_or_default();
        Ok(Self {
            payload_type: packet.payload_type(),
            marker: packet.marker_bit(),
            sequence: packet.sequence_number(),
            timestamp: packet.timestamp(),
            ssrc: packet.ssrc(),
            payload,
        })
    }

    /// Replaces what is in `datagram` by this packet.
    pub fn write(&self, datagram: &mut Vec<u8>) {
        datagram.clear();
        RtpPacketBuilder::<&[u8], &[u8]>::new()
            .payload_type(self.payload_type & 0x7F)
            .marker_bit(self.marker)
            .sequence_number(self.sequence)
            .timestamp(self.timestamp)
            .ssrc(self.ssrc)
            .payload(self.payload)
            .write_into_vec_unchecked(datagram);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_written_packet_is_read_as_it_was(
            payload_type in 0..128_u8, marker: bool, sequence: u16, timestamp: u32, ssrc: u32,
            payload in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let packet = Packet { payload_type, marker, sequence, timestamp, ssrc, payload: &payload };
            let mut datagram = vec![1, 2, 3];
            packet.write(&mut datagram);
            prop_assert_eq!(Packet::parse(&datagram), Ok(packet));
        }

        #[test]
        fn anything_may_come(mut datagram in prop::collection::vec(any::<u8>(), 0..80), version_two: bool) {
            if version_two && let Some(first) = datagram.first_mut() {
                *first = (*first & 0x3F) | 0x80;
            }
            let _ = Kind::of(&datagram);
            if let Ok(packet) = Packet::parse(&datagram) {
                prop_assert!(packet.payload.len() + 12 <= datagram.len());
            }
        }
    }

    #[test]
    fn reports_and_sound_are_told_apart() {
        assert_eq!(Kind::of(&[0x80, 0]), Kind::Rtp);
        assert_eq!(Kind::of(&[0x80, 0x80 | 101]), Kind::Rtp);
        assert_eq!(Kind::of(&[0x81, 200]), Kind::Rtcp);
        assert_eq!(Kind::of(&[0x00, 0x01]), Kind::Other);
        assert_eq!(Kind::of(&[22, 254]), Kind::Other);
        assert_eq!(Kind::of(&[]), Kind::Other);
    }

    #[test]
    fn contributors_extensions_and_padding_are_passed_over() {
        let mut datagram = vec![0xB1, 0x80, 0, 7, 0, 0, 0, 9, 1, 2, 3, 4];
        datagram.extend([9, 9, 9, 9]); // a contributor
        datagram.extend([0xBE, 0xDE, 0, 1, 5, 5, 5, 5]); // an extension
        datagram.extend([42, 43, 0, 0, 3]); // two bytes of sound, three of padding
        let packet = Packet::parse(&datagram).unwrap();
        assert_eq!((packet.sequence, packet.timestamp, packet.marker), (7, 9, true));
        assert_eq!(packet.payload, [42, 43]);
    }
}
