//! The jitter buffer over bad networks: what is heard is what was said, soon.

mod speech;

use std::time::{Duration, Instant};

use offhook_media::codec::Codec;
use offhook_media::frame_samples;
use offhook_media::jitter::JitterBuffer;
use offhook_media::rtp::Packet;
use offhook_media::rtp::incoming::{Incoming, Place};
use proptest::prelude::*;
use speech::{Chance, best_correlation, speech};

const LONGEST: Duration = Duration::from_millis(300);

/// A packet on its way: when it arrives, in µs, its number, its timestamp, and what it says.
type Sent = (u64, u16, u32, Vec<u8>);

/// The packets of speech, each 20 ms, none delayed.
fn packets(codec: Codec, said: &[i16]) -> Vec<Sent> {
    let mut encoder = codec.encoder();
    let ticks = codec.clock_rate() / 50;
    said.chunks_exact(frame_samples(codec.sample_rate()))
        .enumerate()
        .map(|(i, frame)| {
            let mut payload = Vec::new();
            encoder.encode(frame, &mut payload);
            (i as u64 * 20_000, (i as u16).wrapping_add(65_500), (i as u32 * ticks).wrapping_sub(9000), payload)
        })
        .collect()
}

struct Heard {
    sound: Vec<i16>,
    buffer: JitterBuffer,
}

/// Plays packets as they arrive; frames are taken each 20 ms, 7 ms off the sender's beat.
fn play(codec: Codec, mut packets: Vec<Sent>, ms: u64) -> Heard {
    packets.sort_by_key(|packet| packet.0);
    let start = Instant::now();
    let (mut buffer, mut incoming) = (JitterBuffer::new(codec, LONGEST), Incoming::new(codec.clock_rate()));
    let mut frame = vec![0; frame_samples(codec.sample_rate())];
    let mut sound = Vec::new();
    let mut coming = packets.iter().peekable();
    for tick in 0..ms / 20 {
        let now = tick * 20_000 + 7_000;
        while let Some((at, sequence, timestamp, payload)) = coming.next_if(|packet| packet.0 <= now) {
            let (sequence, timestamp) = (*sequence, *timestamp);
            let packet = Packet { payload_type: 0, marker: false, sequence, timestamp, ssrc: 1, payload };
            let at = start + Duration::from_micros(*at);
            let place = incoming.arrive(&packet, at);
            buffer.push(&packet, place, at);
        }
        buffer.pop(start + Duration::from_micros(now), &mut frame);
        sound.extend_from_slice(&frame);
    }
    Heard { sound, buffer }
}

/// How alike speech and what was heard of it are: the mean over pieces of 60 ms of their best correlation with what was
/// heard up to `within` ms later; and the share of the pieces that are well heard.
fn intelligibility(codec: Codec, said: &[i16], heard: &[i16], within: usize) -> (f64, f64) {
    let rate = codec.sample_rate() as usize;
    let piece = rate * 60 / 1000;
    let (mut sum, mut good, mut count) = (0.0, 0.0, 0.0);
    for (i, said) in said.chunks_exact(piece).enumerate() {
        let power = said.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / piece as f64;
        let end = (i * piece + piece + rate * within / 1000).min(heard.len());
        if power < 300.0 * 300.0 || i * piece >= heard.len() {
            continue;
        }
        let alike = best_correlation(said, &heard[i * piece..end]);
        sum += alike;
        good += f64::from(u8::from(alike > 0.7));
        count += 1.0;
    }
    (sum / count, good / count)
}

fn lossy(packets: Vec<Sent>, loss: f64, jitter_us: f64, seed: u64) -> Vec<Sent> {
    let mut chance = Chance(seed);
    packets
        .into_iter()
        .filter_map(|(at, sequence, timestamp, payload)| {
            let (lost, late) = (chance.unit() < loss, chance.unit());
            (!lost).then_some((at + (late * jitter_us) as u64, sequence, timestamp, payload))
        })
        .collect()
}

#[test]
fn an_even_network_gives_exactly_what_was_said() {
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722] {
        let said = speech(codec.sample_rate(), 4.0);
        let heard = play(codec, packets(codec, &said), 4000);
        let mut expected = Vec::new();
        let mut decoder = codec.decoder();
        for (.., payload) in packets(codec, &said) {
            decoder.decode(&payload, &mut expected).unwrap();
        }
        let delay =
            heard.sound.iter().position(|&s| s != 0).unwrap_or(0) - expected.iter().position(|&s| s != 0).unwrap_or(0);
        assert!(delay <= frame_samples(codec.sample_rate()) * 3, "{codec:?} waits {delay}");
        // The first wait is a guess; once it has come down, by squeezing a little, sound is as it was said.
        let late = &heard.sound[frame_samples(codec.sample_rate()) * 50..];
        let stats = heard.buffer.stats();
        assert_eq!((stats.late, stats.concealed, stats.broken), (0, 0, 0));
        let (mean, good) = intelligibility(codec, &expected, &heard.sound, 80);
        assert!(mean > 0.99 && good == 1.0, "{codec:?}: {mean} {good}");
        assert!(!late.is_empty());
        assert!(heard.buffer.target() <= Duration::from_millis(20));
    }
}

#[test]
fn speech_is_understood_at_five_percent_loss_and_sixty_ms_jitter() {
    for (codec, least_mean) in [(Codec::Pcmu, 0.9), (Codec::G722, 0.88), (Codec::Opus, 0.8)] {
        let said = speech(codec.sample_rate(), 10.0);
        let clean = play(codec, packets(codec, &said), 10_000);
        let (best, _) = intelligibility(codec, &said, &clean.sound, 120);
        let heard = play(codec, lossy(packets(codec, &said), 0.05, 60_000.0, 42), 10_000);
        let (mean, good) = intelligibility(codec, &said, &heard.sound, 200);
        let (stats, target) = (heard.buffer.stats(), heard.buffer.target());
        println!("{codec:?}: {mean:.3} of {best:.3}, {:.1} % well heard, {stats:?}, waits {target:?}", good * 100.0);
        assert!(mean > least_mean && good > 0.85, "{codec:?}: {mean} {good} {stats:?}");
        assert!(target <= Duration::from_millis(90), "{target:?}");
    }
}

#[test]
fn a_clock_that_runs_differently_is_followed() {
    for ppm in [-1000_i64, 1000] {
        let said = speech(8000, 60.0);
        let skewed = packets(Codec::Pcmu, &said)
            .into_iter()
            .map(|(at, sequence, timestamp, payload)| {
                ((at as i64 + at as i64 * ppm / 1_000_000) as u64, sequence, timestamp, payload)
            })
            .collect();
        let heard = play(Codec::Pcmu, skewed, 59_000);
        let stats = heard.buffer.stats();
        // 60 ms of drift in a minute: taken up by stretching, not by dropping or making up.
        assert!(stats.late + stats.overrun <= 3 && stats.concealed <= 8 * 100, "{ppm}: {stats:?}");
        let tail = 55 * 8000;
        let (mean, _) = intelligibility(Codec::Pcmu, &said[tail..tail + 16_000], &heard.sound[tail - 800..], 260);
        assert!(mean > 0.9, "{ppm}: {mean}");
    }
}

#[test]
fn a_burst_after_a_pause_of_the_network_does_not_leave_a_delay() {
    let said = speech(8000, 12.0);
    let stalled = packets(Codec::Pcmu, &said)
        .into_iter()
        .map(|(at, sequence, timestamp, payload)| {
            let held = if (4_000_000..4_800_000).contains(&at) { 4_800_000 } else { at };
            (held, sequence, timestamp, payload)
        })
        .collect();
    let heard = play(Codec::Pcmu, stalled, 12_000);
    let tail = 8 * 8000;
    let (mean, good) = intelligibility(Codec::Pcmu, &said[tail..], &heard.sound[tail..], 100);
    assert!(mean > 0.95 && good > 0.95, "{mean} {good} {:?}", heard.buffer.stats());
}

#[test]
fn a_way_that_becomes_longer_is_followed() {
    let said = speech(8000, 20.0);
    let longer = packets(Codec::Pcmu, &said)
        .into_iter()
        .map(|(at, sequence, timestamp, payload)| {
            (if at > 5_000_000 { at + 400_000 } else { at }, sequence, timestamp, payload)
        })
        .collect();
    let heard = play(Codec::Pcmu, longer, 20_000);
    let tail = 14 * 8000;
    let (mean, good) = intelligibility(Codec::Pcmu, &said[tail..], &heard.sound[tail + 3200..], 150);
    assert!(mean > 0.95 && good > 0.95, "{mean} {good} {:?}", heard.buffer.stats());
}

#[test]
fn pauses_that_are_not_sent_are_quiet_and_cost_nothing() {
    let said = speech(8000, 10.0);
    // Every other second is not sent; the timestamps go on.
    let mut sequence = 0;
    let spurts: Vec<Sent> = packets(Codec::Pcmu, &said)
        .into_iter()
        .filter(|(at, ..)| at / 1_000_000 % 2 == 0)
        .map(|(at, _, timestamp, payload)| {
            sequence += 1;
            (at, sequence, timestamp, payload)
        })
        .collect();
    let heard = play(Codec::Pcmu, spurts, 10_000);
    for second in [0, 2, 4, 6, 8] {
        let range = second * 8000..second * 8000 + 7600;
        let (mean, _) =
            intelligibility(Codec::Pcmu, &said[range.clone()], &heard.sound[range.start..range.end + 400], 80);
        assert!(mean > 0.95, "second {second}: {mean}");
        let pause = &heard.sound[second * 8000 + 8000 + 2400..(second * 8000 + 15_800)];
        assert!(pause.iter().all(|&s| s == 0));
    }
    assert_eq!(heard.buffer.stats().late, 0);
}

#[test]
fn repeats_and_swapped_packets_change_nothing() {
    let said = speech(8000, 5.0);
    let mut sent = packets(Codec::Pcmu, &said);
    let straight = play(Codec::Pcmu, sent.clone(), 5000);
    let twice: Vec<Sent> = sent.iter().step_by(3).cloned().map(|(at, s, t, p)| (at + 100, s, t, p)).collect();
    sent.extend(twice);
    assert!(play(Codec::Pcmu, sent, 5000).sound == straight.sound);

    // Each fourth packet comes after its successor.
    let swapped = packets(Codec::Pcmu, &said)
        .into_iter()
        .map(|(at, s, t, p)| (if s % 4 == 0 { at + 25_000 } else { at }, s, t, p))
        .collect();
    let heard = play(Codec::Pcmu, swapped, 5000);
    let (mean, good) = intelligibility(Codec::Pcmu, &said, &heard.sound, 120);
    assert!(mean > 0.97 && good > 0.97, "{mean} {good} {:?}", heard.buffer.stats());
}

#[test]
fn packets_of_any_length_are_played() {
    let said = speech(8000, 6.0);
    for ms in [10, 30, 40, 60, 100] {
        let samples = 8 * ms as usize;
        let sent: Vec<Sent> = said
            .chunks_exact(samples)
            .zip(0..)
            .map(|(piece, i)| {
                let mut payload = Vec::new();
                Codec::Pcma.encoder().encode(piece, &mut payload);
                // A packet is sent when its last sample was said.
                (u64::from(i + 1) * ms * 1000, i as u16, i * samples as u32, payload)
            })
            .collect();
        let heard = play(Codec::Pcma, sent, 6000);
        let (mean, good) = intelligibility(Codec::Pcma, &said, &heard.sound, 220);
        let stats = heard.buffer.stats();
        assert!(mean > 0.96 && good > 0.95, "{ms} ms: {mean} {good} {stats:?}");
        assert_eq!((stats.concealed, stats.late), (0, 0), "{ms} ms");
    }
}

#[test]
fn one_lost_packet_is_hardly_heard() {
    let said = speech(8000, 6.0);
    let sent = packets(Codec::Pcmu, &said);
    let holed = play(Codec::Pcmu, sent.into_iter().filter(|(at, ..)| at / 20_000 % 12 != 7).collect(), 6000);
    let (mean, good) = intelligibility(Codec::Pcmu, &said, &holed.sound, 120);
    println!("one in twelve lost: {mean:.3} {good:.3}");
    assert!(mean > 0.9 && good > 0.9, "{mean} {good}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Order is kept and delay bounded whatever the network does: sound that rises steadily is heard so.
    #[test]
    fn what_is_heard_is_in_order_and_not_long_ago(
        fates in prop::collection::vec((0..100_u32, 0..150_u64), 150),
    ) {
        // Each packet is one level throughout, so that a frame tells which packet it came from.
        let sent: Vec<Sent> = fates.iter().enumerate().flat_map(|(i, &(fate, late))| {
            let level = offhook_media::codec::g711::Law::A.compress((i as i16 + 1) * 200);
            let packet = (i as u64 * 20_000 + late * 1000, i as u16, i as u32 * 160, vec![level; 160]);
            let copies = match fate { 0..8 => 0, 8..15 => 2, _ => 1 };
            std::iter::repeat_n(packet, copies)
        }).collect();
        let heard = play(Codec::Pcma, sent, 4000);
        let mut highest = 0;
        for (tick, frame) in heard.sound.chunks(160).enumerate() {
            // The middle of the frame: its ends may be faded.
            let level = i32::from(frame[80]);
            // Made-up sound falls; anything that rises is a packet, and none may come before one that was said earlier.
            prop_assert!(level <= highest + 200 * 150);
            highest = highest.max(level);
            let said = (level - 700).max(0) / 200;
            prop_assert!(said <= tick as i32 + 1, "tick {tick} hears packet {said} before it was said");
        }
        prop_assert!(heard.buffer.target() <= LONGEST);
        prop_assert!(heard.buffer.stats().broken == 0);
    }

    #[test]
    fn nothing_that_comes_can_break_it(
        codec in prop::sample::select(Codec::ALL.to_vec()),
        packets in prop::collection::vec(
            (0..60_000_u64, any::<u16>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..400), 0..12_u8), 0..150),
    ) {
        let start = Instant::now();
        let mut buffer = JitterBuffer::new(codec, LONGEST);
        let mut frame = vec![0; frame_samples(codec.sample_rate())];
        let (mut now, mut near, mut place) = (0, 0_u32, 0_i64);
        for (pause, sequence, timestamp, payload, kind) in packets {
            now += pause;
            let at = start + Duration::from_micros(now);
            near = near.wrapping_add(160);
            place += 1;
            let timestamp = if kind < 6 { near } else { timestamp };
            let packet = Packet { payload_type: 0, marker: kind == 1, sequence, timestamp, ssrc: 1, payload: &payload };
            match kind {
                0 => buffer.push_noise(&packet, Place::At(place), at),
                1 => buffer.pass(Place::At(i64::from(sequence))),
                2 => buffer.push(&packet, Place::Restart(i64::from(sequence)), at),
                3 => buffer.push(&packet, Place::At(i64::MAX - i64::from(sequence)), at),
                _ => buffer.push(&packet, Place::At(place), at),
            }
            buffer.pop(at, &mut frame);
        }
    }
}
