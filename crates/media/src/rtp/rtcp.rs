//! Reports about streams (RTCP): what we tell, and what we are told.

use std::time::{Duration, Instant};

use rtcp_types::{
    Bye, Compound, CompoundBuilder, Packet as Rtcp, ReceiverReport, ReportBlock, RtcpPacketWriterExt, Sdes, SdesChunk,
    SdesItem, SenderReport,
};

use super::incoming::Reception;
use super::outgoing::Outgoing;

/// The name item of a source description.
const CNAME: u8 = 1;

/// Our clock for the reports. Only its steps matter (RFC 3550 §6.4.1 lets a sender count from when it joined), so it
/// tells nothing of the machine's date.
#[derive(Debug, Clone, Copy)]
pub struct ReportClock(Instant);

impl ReportClock {
    /// A clock that began then.
    #[must_use]
    pub const fn since(start: Instant) -> Self {
        Self(start)
    }

    /// Seconds in the upper half, their fraction in the lower. Begins at one, since zero means "never".
    fn read(self, at: Instant) -> u64 {
        let passed = at.saturating_duration_since(self.0);
        ((passed.as_secs() + 1) << 32) | ((u64::from(passed.subsec_nanos()) << 32) / 1_000_000_000)
    }
}

/// What the other side told us, of use to a call.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Told {
    /// The middle of its clock, if it sent a sender report: we give it back in ours.
    pub clock: Option<u32>,
    /// How it hears us.
    pub hears: Option<Hears>,
    /// It says that the stream ends.
    pub bye: bool,
}

/// How the other side hears us.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hears {
    /// Lost since its last report, between 0 and 1.
    pub fraction_lost: f32,
    /// In ticks of our codec's clock.
    pub jitter: u32,
    /// There and back, where it could be told.
    pub round_trip: Option<Duration>,
}

/// Reads a report. What can't be read of it is passed over: reports decide nothing.
#[must_use]
pub fn read(datagram: &[u8], ours: u32, clock: ReportClock, at: Instant) -> Told {
    let mut told = Told::default();
    let Ok(compound) = Compound::parse(datagram) else { return told };
    for packet in compound.flatten() {
        match packet {
            Rtcp::Sr(report) => {
                told.clock = Some((report.ntp_timestamp() >> 16) as u32);
                told.hears = hears(report.report_blocks(), ours, clock, at).or(told.hears);
            }
            Rtcp::Rr(report) => told.hears = hears(report.report_blocks(), ours, clock, at).or(told.hears),
            Rtcp::Bye(_) => told.bye = true,
            _ => {}
        }
    }
    told
}

fn hears<'a>(
    mut blocks: impl Iterator<Item = ReportBlock<'a>>,
    ours: u32,
    clock: ReportClock,
    at: Instant,
) -> Option<Hears> {
    let block = blocks.find(|block| block.ssrc() == ours)?;
    let sent = block.last_sender_report_timestamp();
    let held = block.delay_since_last_sender_report_timestamp();
    let now = (clock.read(at) >> 16) as u32;
    let took = now.wrapping_sub(sent).wrapping_sub(held);
    // More than half a minute is a clock that makes no sense.
    let sensible = sent != 0 && took < 30 << 16;
    Some(Hears {
        fraction_lost: f32::from(block.fraction_lost()) / 256.0,
        jitter: block.interarrival_jitter(),
        round_trip: sensible.then(|| Duration::from_secs_f64(f64::from(took) / 65536.0)),
    })
}

/// What a report of ours says.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// Our stream.
    pub outgoing: &'a Outgoing,
    /// Theirs, and when their last sender report came, with its clock.
    pub reception: Option<Reception>,
    /// Their clock in the last sender report, and when it came.
    pub their_clock: Option<(u32, Instant)>,
    /// Our name.
    pub name: &'a str,
    /// The stream ends.
    pub bye: bool,
}

/// Replaces what is in `datagram` by a report: a sender's if we sent anything, else a receiver's; our name; and perhaps
/// the end.
pub fn write(report: &Report<'_>, clock: ReportClock, at: Instant, datagram: &mut Vec<u8>) {
    let ssrc = report.outgoing.ssrc();
    let block = report.reception.map(|reception| {
        let (last, held) =
            report.their_clock.map_or((0, Duration::ZERO), |(last, came)| (last, at.saturating_duration_since(came)));
        ReportBlock::builder(reception.ssrc)
            .fraction_lost(reception.fraction_lost)
            .cumulative_lost(reception.lost)
            .extended_sequence_number(reception.highest)
            .interarrival_jitter(reception.jitter)
            .last_sender_report_timestamp(last)
            .delay_since_last_sender_report_timestamp((held.as_secs_f64() * 65536.0) as u32)
    });
    let (packets, bytes) = report.outgoing.sent();
    let mut compound = if packets > 0 {
        let mut sender = SenderReport::builder(ssrc)
            .ntp_timestamp(clock.read(at))
            .rtp_timestamp(report.outgoing.timestamp())
            .packet_count(packets)
            .octet_count(bytes);
        if let Some(block) = block {
            sender = sender.add_report_block(block);
        }
        Compound::builder().add_packet(sender)
    } else {
        let mut receiver = ReceiverReport::builder(ssrc);
        if let Some(block) = block {
            receiver = receiver.add_report_block(block);
        }
        Compound::builder().add_packet(receiver)
    };
    let name = SdesChunk::builder(ssrc).add_item(SdesItem::builder(CNAME, report.name));
    compound = compound.add_packet(Sdes::builder().add_chunk(name));
    if report.bye {
        compound = compound.add_packet(Bye::builder().add_source(ssrc));
    }
    fill(&compound, datagram);
}

fn fill(compound: &CompoundBuilder<'_>, datagram: &mut Vec<u8>) {
    // Three small packets; a name is at most 255 bytes.
    datagram.resize(512, 0);
    let written = compound.write_into(datagram).unwrap_or(0);
    datagram.truncate(written);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_sides_understand_each_other_and_measure_the_way() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let clock = ReportClock::since(start);
        let mut outgoing = Outgoing::new(0xA1, 5, 1000);
        outgoing.packet(0, 1000, &[0; 160]);
        let mut datagram = Vec::new();
        let first = Report { outgoing: &outgoing, reception: None, their_clock: None, name: "a", bye: false };
        write(&first, clock, start + ms(5000), &mut datagram);
        assert!(datagram.len().is_multiple_of(4));

        let other_clock = ReportClock::since(start);
        let told = read(&datagram, 0xB2, other_clock, start + ms(5040));
        assert!(!told.bye && told.hears.is_none());

        let silent = Outgoing::new(0xB2, 0, 0);
        let reception = Reception { ssrc: 0xA1, fraction_lost: 64, lost: 9, highest: 700, jitter: 80 };
        let their_clock = told.clock.map(|told| (told, start + ms(5040)));
        let answer = Report { outgoing: &silent, reception: Some(reception), their_clock, name: "b", bye: true };
        write(&answer, other_clock, start + ms(7040), &mut datagram);

        let told = read(&datagram, 0xA1, clock, start + ms(7080));
        assert!(told.bye);
        let hears = told.hears.unwrap();
        assert!((hears.fraction_lost - 0.25).abs() < 1e-6);
        assert_eq!(hears.jitter, 80);
        let round_trip = hears.round_trip.unwrap().as_secs_f64();
        assert!((round_trip - 0.08).abs() < 0.001, "{round_trip}");
    }

    proptest! {
        #[test]
        fn anything_may_come(mut datagram in prop::collection::vec(any::<u8>(), 0..120), kind in 192..224_u8, short: bool) {
            if short && datagram.len() > 4 {
                // A packet whose length is right gets further.
                let words = (datagram.len() / 4 - 1) as u8;
                datagram.truncate((usize::from(words) + 1) * 4);
                datagram[0] = (datagram[0] & 0x3F) | 0x80;
                datagram[1] = kind;
                datagram[2] = 0;
                datagram[3] = words;
            }
            let now = Instant::now();
            let _ = read(&datagram, 0, ReportClock::since(now), now);
        }
    }
}
