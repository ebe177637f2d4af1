//! SRTP and SRTCP (RFC 3711) with AES in counter mode and HMAC-SHA1, keyed by SDP (RFC 4568, [`crate::sdp::crypto`]).
//! In: packets. Out: the same, sealed; or opened in place, if they are whole, of the agreed key, and not heard before.
//!
//! Of our own, over the RustCrypto ciphers, because the crates that offer it bring a WebRTC stack along and allocate for
//! each packet. Checked against the RFC's vectors and libsrtp's.

pub mod keys;
mod replay;

use std::collections::VecDeque;

use hmac::Mac;

use keys::{MasterKey, SessionKeys, TAG_80};
use replay::Window;

/// How many streams one receiver keeps apart. A call has one, and another after a transfer.
const MOST_STREAMS: usize = 4;
const RTP_HEADER: usize = 12;
const RTCP_HEADER: usize = 8;
/// The encryption flag and the number of a report.
const RTCP_INDEX: usize = 4;
const ENCRYPTED: u32 = 1 << 31;

/// How packets are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// `AES_CM_128_HMAC_SHA1_80`.
    Tag80,
    /// `AES_CM_128_HMAC_SHA1_32`: a short tag for sound; reports keep the long one.
    Tag32,
}

impl Suite {
    /// The best first.
    pub const ALL: [Self; 2] = [Self::Tag80, Self::Tag32];

    /// Its name in SDP.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tag80 => "AES_CM_128_HMAC_SHA1_80",
            Self::Tag32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    const fn tag(self) -> usize {
        match self {
            Self::Tag80 => TAG_80,
            Self::Tag32 => 4,
        }
    }
}

/// Why a packet is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too short to be a sealed packet.
    #[error("too short to be sealed")]
    Short,
    /// Not sealed with the agreed key, or changed on its way.
    #[error("its tag is wrong")]
    WrongTag,
    /// It came before, or is older than can be told.
    #[error("it came before")]
    Repeated,
}

/// Seals what we send.
pub struct Sealer {
    rtp: SessionKeys,
    rtcp: SessionKeys,
    suite: Suite,
    /// The last number that was sealed, without wrapping around.
    last: Option<u64>,
    report: u32,
}

impl Sealer {
    /// With our key.
    #[must_use]
    pub fn new(suite: Suite, key: &MasterKey) -> Self {
        Self { rtp: key.rtp(), rtcp: key.rtcp(), suite, last: None, report: 0 }
    }

    /// Goes on with the same key, and a tag of another length.
    pub fn set_suite(&mut self, suite: Suite) {
        self.suite = suite;
    }

    /// Seals an RTP packet of ours. One that isn't RTP is left as it is.
    pub fn seal(&mut self, packet: &mut Vec<u8>) {
        let Some(header) = rtp_header(packet) else { return };
        let number = be16(packet, 2);
        let index = match self.last {
            // Ours are sent in order.
            Some(last) => last.wrapping_add(u64::from(number.wrapping_sub(last as u16))),
            None => u64::from(number),
        };
        self.last = Some(index);
        let ssrc = be32(packet, 8);
        self.rtp.apply(ssrc, index, &mut packet[header..]);
        let tag = self.rtp.rtp_tag(packet, index);
        packet.extend_from_slice(&tag[..self.suite.tag()]);
    }

    /// Seals a report of ours.
    pub fn seal_report(&mut self, report: &mut Vec<u8>) {
        if report.len() < RTCP_HEADER {
            return;
        }
        self.report = (self.report + 1) & !ENCRYPTED;
        let ssrc = be32(report, 4);
        self.rtcp.apply(ssrc, u64::from(self.report), &mut report[RTCP_HEADER..]);
        report.extend_from_slice(&(self.report | ENCRYPTED).to_be_bytes());
        let tag = self.rtcp.tag().chain_update(&*report).finalize().into_bytes();
        report.extend_from_slice(&tag[..TAG_80]);
    }
}

/// Opens what the other side sends.
pub struct Opener {
    rtp: SessionKeys,
    rtcp: SessionKeys,
    suite: Suite,
    /// What was heard of each stream, the newest last.
    streams: VecDeque<(u32, Stream)>,
}

#[derive(Default)]
struct Stream {
    rtp: Window,
    rtcp: Window,
}

impl Opener {
    /// With their key.
    #[must_use]
    pub fn new(suite: Suite, key: &MasterKey) -> Self {
        Self { rtp: key.rtp(), rtcp: key.rtcp(), suite, streams: VecDeque::new() }
    }

    /// Goes on with the same key, and a tag of another length.
    pub fn set_suite(&mut self, suite: Suite) {
        self.suite = suite;
    }

    /// Opens an RTP packet in place. Answers how long it is then.
    ///
    /// # Errors
    /// It is not sealed as agreed, or was heard before.
    pub fn open(&mut self, packet: &mut [u8]) -> Result<usize, Refused> {
        let end = packet.len().checked_sub(self.suite.tag()).ok_or(Refused::Short)?;
        let header = rtp_header(&packet[..end]).ok_or(Refused::Short)?;
        let (number, ssrc) = (be16(packet, 2), be32(packet, 8));
        let index = self.stream(ssrc).map_or(u64::from(number), |stream| stream.rtp.guess(number));
        if self.stream(ssrc).is_some_and(|stream| stream.rtp.has(index)) {
            return Err(Refused::Repeated);
        }
        let (sealed, tag) = packet.split_at_mut(end);
        let own = self.rtp.rtp_tag(sealed, index);
        if !keys::alike(&own[..tag.len()], tag) {
            return Err(Refused::WrongTag);
        }
        self.rtp.apply(ssrc, index, &mut sealed[header..]);
        self.stream_or_new(ssrc).rtp.add(index);
        Ok(end)
    }

    /// Opens a report in place. Answers how long it is then.
    ///
    /// # Errors
    /// It is not sealed as agreed, or was heard before.
    pub fn open_report(&mut self, report: &mut [u8]) -> Result<usize, Refused> {
        let signed = report.len().checked_sub(TAG_80).ok_or(Refused::Short)?;
        let end = signed.checked_sub(RTCP_INDEX).filter(|&end| end >= RTCP_HEADER).ok_or(Refused::Short)?;
        let ssrc = be32(report, 4);
        let index = be32(report, end);
        let number = u64::from(index & !ENCRYPTED);
        if self.stream(ssrc).is_some_and(|stream| stream.rtcp.has(number)) {
            return Err(Refused::Repeated);
        }
        let own = self.rtcp.tag().chain_update(&report[..signed]).finalize().into_bytes();
        if !keys::alike(&own[..TAG_80], &report[signed..]) {
            return Err(Refused::WrongTag);
        }
        if index & ENCRYPTED != 0 {
            self.rtcp.apply(ssrc, number, &mut report[RTCP_HEADER..end]);
        }
        self.stream_or_new(ssrc).rtcp.add(number);
        Ok(end)
    }

    fn stream(&self, ssrc: u32) -> Option<&Stream> {
        self.streams.iter().find(|(known, _)| *known == ssrc).map(|(_, stream)| stream)
    }

    /// Only for packets that proved to be of the key: no one else can push a stream out.
    fn stream_or_new(&mut self, ssrc: u32) -> &mut Stream {
        let at = self.streams.iter().position(|(known, _)| *known == ssrc).unwrap_or_else(|| {
            if self.streams.len() == MOST_STREAMS {
                self.streams.pop_front();
            }
            self.streams.push_back((ssrc, Stream::default()));
            self.streams.len() - 1
        });
        &mut self.streams[at].1
    }
}

/// How long the header of an RTP packet is, which is not encrypted.
fn rtp_header(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    let fixed = RTP_HEADER + 4 * usize::from(first & 0xF);
    let header = if first & 0x10 == 0 {
        fixed
    } else {
        let words = packet.get(fixed + 2..fixed + 4)?;
        fixed + 4 + 4 * usize::from(be16(words, 0))
    };
    (first >> 6 == 2 && packet.len() >= header).then_some(header)
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
