//! The stream that we hear: which packets belong to it, what was lost of it, and how unevenly it comes (RFC 3550 A.1,
//! A.3, A.8). In: packets and when they came. Out: their place in the stream, or that they are not of it.

use std::time::{Duration, Instant};

use super::Packet;

/// A packet this far ahead is still one of the same numbering.
const MAX_DROPOUT: u16 = 3000;
/// And this far behind.
const MAX_MISORDER: u16 = 100;
/// A stream that was quiet for so long may be replaced by another at once.
const QUIET: Duration = Duration::from_millis(200);

/// What is known of the stream that we hear.
#[derive(Debug, Clone, Default)]
pub struct Incoming {
    source: Option<Source>,
    /// A packet of another stream or numbering, which is believed when its successor comes.
    stranger: Option<(u32, u16)>,
    clock_rate: u32,
    past: Counts,
}

/// A packet's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// So many packets after the stream's first, counted without wrapping around.
    At(i64),
    /// The first of a new stream, or of an old one that was numbered anew: what is known of time begins again.
    Restart(i64),
    /// Not of the stream, so far as is known.
    Stranger,
}

/// How many packets there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// By their numbers.
    pub expected: u64,
    /// That came, repeats included.
    pub received: u64,
}

impl Counts {
    /// That never came. Repeats can make it less than nothing, which is nothing.
    #[must_use]
    pub const fn lost(self) -> u64 {
        self.expected.saturating_sub(self.received)
    }
}

#[derive(Debug, Clone)]
struct Source {
    ssrc: u32,
    first: i64,
    highest: i64,
    received: u64,
    /// At the last report.
    reported: Counts,
    jitter: f64,
    /// When the last packet came, its timestamp.
    last: (Instant, u32),
}

impl Incoming {
    /// Ready to hear a stream whose timestamps count so many ticks a second.
    #[must_use]
    pub fn new(clock_rate: u32) -> Self {
        Self { clock_rate, ..Self::default() }
    }

    /// The codec changed, and with it perhaps the clock.
    pub fn set_clock_rate(&mut self, clock_rate: u32) {
        self.clock_rate = clock_rate;
    }

    /// Takes note of a packet.
    pub fn arrive(&mut self, packet: &Packet<'_>, at: Instant) -> Place {
        let clock_rate = self.clock_rate;
        let Some(source) = &mut self.source else { return self.begin(packet, at) };
        if source.ssrc == packet.ssrc {
            let ahead = packet.sequence.wrapping_sub(source.highest as u16);
            if !(MAX_DROPOUT..=u16::MAX - MAX_MISORDER).contains(&ahead) {
                self.stranger = None;
                return Place::At(source.arrive(packet, ahead as i16, clock_rate, at));
            }
        }
        let believed = self.stranger == Some((packet.ssrc, packet.sequence));
        if believed || at.saturating_duration_since(source.last.0) > QUIET {
            return self.begin(packet, at);
        }
        self.stranger = Some((packet.ssrc, packet.sequence.wrapping_add(1)));
        Place::Stranger
    }

    /// Which stream it is, once one was heard.
    #[must_use]
    pub fn ssrc(&self) -> Option<u32> {
        self.source.as_ref().map(|source| source.ssrc)
    }

    /// Of the whole call.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let own = self.source.as_ref().map(Source::counts).unwrap_or_default();
        Counts { expected: self.past.expected + own.expected, received: self.past.received + own.received }
    }

    /// How unevenly packets come, smoothed.
    #[must_use]
    pub fn jitter(&self) -> Duration {
        let ticks = self.source.as_ref().map_or(0.0, |source| source.jitter);
        Duration::from_secs_f64(ticks / f64::from(self.clock_rate.max(1)))
    }

    /// What a report tells of the stream: its name, loss since the last report in 256ths, all that was lost, the highest
    /// number, the jitter in ticks.
    pub fn report(&mut self) -> Option<Reception> {
        let source = self.source.as_mut()?;
        let now = source.counts();
        let expected = now.expected - source.reported.expected;
        let received = now.received - source.reported.received;
        source.reported = now;
        let lost = expected.saturating_sub(received);
        Some(Reception {
            ssrc: source.ssrc,
            fraction_lost: ((lost * 256).checked_div(expected).unwrap_or(0)).min(255) as u8,
            lost: now.lost().min(0x7F_FFFF) as u32,
            highest: source.highest as u32,
            jitter: source.jitter as u32,
        })
    }

    fn begin(&mut self, packet: &Packet<'_>, at: Instant) -> Place {
        self.past = self.counts();
        self.stranger = None;
        let first = i64::from(packet.sequence);
        self.source = Some(Source {
            ssrc: packet.ssrc,
            first,
            highest: first,
            received: 1,
            reported: Counts::default(),
            jitter: 0.0,
            last: (at, packet.timestamp),
        });
        Place::Restart(first)
    }
}

/// What we tell the other side of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reception {
    /// Which stream.
    pub ssrc: u32,
    /// Since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Since the beginning.
    pub lost: u32,
    /// The highest number, with how often it wrapped around.
    pub highest: u32,
    /// In ticks of the codec's clock.
    pub jitter: u32,
}

impl Source {
    fn arrive(&mut self, packet: &Packet<'_>, ahead: i16, clock_rate: u32, at: Instant) -> i64 {
        self.received += 1;
        let place = self.highest + i64::from(ahead);
        if ahead > 0 {
            self.highest = place;
            self.note_jitter(packet.timestamp, clock_rate, at);
        }
        place
    }

    fn note_jitter(&mut self, timestamp: u32, clock_rate: u32, at: Instant) {
        let took = at.saturating_duration_since(self.last.0).as_secs_f64() * f64::from(clock_rate);
        let should = f64::from(timestamp.wrapping_sub(self.last.1) as i32);
        self.last = (at, timestamp);
        // Packets of one event share a timestamp, and a new clock jumps: neither says how even the network is.
        let off = (took - should).abs();
        if should > 0.0 && off < f64::from(clock_rate) {
            self.jitter += (off - self.jitter) / 16.0;
        }
    }

    fn counts(&self) -> Counts {
        Counts { expected: (self.highest - self.first + 1).unsigned_abs(), received: self.received }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(ssrc: u32, sequence: u16) -> Packet<'static> {
        let timestamp = u32::from(sequence).wrapping_mul(160);
        Packet { payload_type: 0, marker: false, sequence, timestamp, ssrc, payload: &[] }
    }

    fn hear(incoming: &mut Incoming, start: Instant, packets: &[(u32, u16, u64)]) -> Vec<Place> {
        let at = |ms| start + Duration::from_millis(ms);
        packets.iter().map(|&(ssrc, sequence, ms)| incoming.arrive(&packet(ssrc, sequence), at(ms))).collect()
    }

    #[test]
    fn numbers_go_on_where_they_wrap_around() {
        let mut incoming = Incoming::new(8000);
        let places = hear(
            &mut incoming,
            Instant::now(),
            &[(1, 65534, 0), (1, 65535, 20), (1, 1, 60), (1, 0, 61), (1, 2, 80), (1, 65533, 81)],
        );
        use Place::{At, Restart};
        assert_eq!(places, [Restart(65534), At(65535), At(65537), At(65536), At(65538), At(65533)]);
        assert_eq!(incoming.counts(), Counts { expected: 5, received: 6 });
        assert_eq!(incoming.counts().lost(), 0);
    }

    #[test]
    fn what_is_lost_is_reported_since_last_time_and_in_all() {
        let mut incoming = Incoming::new(8000);
        let start = Instant::now();
        hear(&mut incoming, start, &[(1, 10, 0), (1, 11, 20), (1, 13, 60)]);
        let first = incoming.report().unwrap();
        assert_eq!((first.fraction_lost, first.lost, first.highest), (64, 1, 13));
        hear(&mut incoming, start, &[(1, 14, 80)]);
        let second = incoming.report().unwrap();
        assert_eq!((second.fraction_lost, second.lost, second.highest), (0, 1, 14));
        assert_eq!(second.jitter, 0);
    }

    #[test]
    fn one_stray_packet_does_not_take_the_stream_over() {
        let mut incoming = Incoming::new(8000);
        let places = hear(
            &mut incoming,
            Instant::now(),
            &[(1, 10, 0), (2, 500, 5), (1, 11, 20), (2, 501, 40), (2, 502, 60), (2, 503, 80)],
        );
        use Place::{At, Restart, Stranger};
        assert_eq!(places, [Restart(10), Stranger, At(11), Stranger, Restart(502), At(503)]);
        assert_eq!(incoming.ssrc(), Some(2));
    }

    #[test]
    fn a_stream_that_was_quiet_is_replaced_at_once() {
        let mut incoming = Incoming::new(8000);
        let places =
            hear(&mut incoming, Instant::now(), &[(1, 10, 0), (2, 500, 300), (2, 40000, 301), (2, 40001, 321)]);
        use Place::{Restart, Stranger};
        assert_eq!(places, [Restart(10), Restart(500), Stranger, Restart(40001)]);
        // The numbers between two numberings were never sent.
        assert_eq!(incoming.counts(), Counts { expected: 3, received: 3 });
    }

    #[test]
    fn jitter_is_what_rfc_3550_says() {
        let mut incoming = Incoming::new(8000);
        let mut at = Instant::now();
        for sequence in 0..200 {
            // Every second packet 10 ms late: each step is 10 ms off.
            let late = Duration::from_millis(if sequence % 2 == 0 { 0 } else { 10 });
            incoming.arrive(&packet(1, sequence), at + late);
            at += Duration::from_millis(20);
        }
        let jitter = incoming.jitter().as_secs_f64() * 1000.0;
        assert!((jitter - 10.0).abs() < 0.1, "{jitter}");
    }
}
