//! What each codec keeps of speech, and that none is put out of step by where its payloads are cut.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod speech;

use offhook_media::codec::Codec;
use offhook_media::frame_samples;
use speech::{signal_to_noise, speech};

/// Encodes and decodes frame by frame, as a call does.
fn round_trip(codec: Codec, said: &[i16]) -> (Vec<i16>, usize) {
    let (mut encoder, mut decoder) = (codec.encoder(), codec.decoder());
    let (mut heard, mut bytes) = (Vec::new(), 0);
    for frame in said.chunks_exact(frame_samples(codec.sample_rate())) {
        let mut payload = Vec::new();
        encoder.encode(frame, &mut payload);
        assert_eq!(decoder.duration(&payload), frame.len(), "{codec:?}");
        decoder.decode(&payload, &mut heard).unwrap();
        bytes += payload.len();
    }
    (heard, bytes)
}

#[test]
fn speech_survives_each_codec() {
    // G.722 and Opus are late by their filters. Opus codes what is heard, not the wave: 24 kbit/s need not follow it closely.
    for (codec, at_least, late, most_bytes) in [
        (Codec::Pcmu, 30.0, 0, 8000),
        (Codec::Pcma, 30.0, 0, 8000),
        (Codec::G722, 22.0, 22, 8000),
        (Codec::Opus, 8.0, 400, 4500),
    ] {
        let said = speech(codec.sample_rate(), 3.0);
        let (heard, bytes) = round_trip(codec, &said);
        let kept = signal_to_noise(&said[..said.len() - late], &heard, late);
        println!("{codec:?}: {kept:.1} dB, {} bytes a second", bytes / 3);
        assert!(kept >= at_least, "{codec:?} keeps only {kept:.1} dB");
        assert!(bytes / 3 <= most_bytes, "{codec:?} takes {bytes} bytes");
    }
}

#[test]
fn where_payloads_are_cut_does_not_matter() {
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722] {
        let said = speech(codec.sample_rate(), 0.5);
        let (heard, _) = round_trip(codec, &said);
        let mut payload = Vec::new();
        codec.encoder().encode(&said, &mut payload);
        let mut whole = Vec::new();
        codec.decoder().decode(&payload, &mut whole).unwrap();
        assert!(heard == whole, "{codec:?}");
    }
}

#[test]
fn the_loudest_sound_does_not_wrap_around() {
    for codec in Codec::ALL {
        let square: Vec<i16> = (0..codec.sample_rate())
            .map(|i| if i / (codec.sample_rate() / 400) % 2 == 0 { i16::MAX } else { i16::MIN })
            .collect();
        let (heard, _) = round_trip(codec, &square);
        let late = if codec == Codec::Opus { 400 } else { 22 };
        let kept = signal_to_noise(&square[2000..square.len() - late], &heard[2000..], late);
        assert!(kept > 5.0, "{codec:?} keeps only {kept:.1} dB");
    }
}

#[test]
fn a_lost_opus_packet_is_recovered_from_the_copy_in_the_next() {
    let said = speech(16_000, 10.0);
    let mut encoder = Codec::Opus.encoder();
    let packets: Vec<Vec<u8>> = said
        .chunks_exact(320)
        .map(|frame| {
            let mut payload = Vec::new();
            encoder.encode(frame, &mut payload);
            payload
        })
        .collect();
    let mut whole = Vec::new();
    let mut decoder = Codec::Opus.decoder();
    packets.iter().for_each(|packet| decoder.decode(packet, &mut whole).unwrap());

    // Signal to noise in the frames that were lost, with and without the packet behind them.
    let without = |looks_ahead: bool| {
        let mut decoder = Codec::Opus.decoder();
        let mut heard = Vec::new();
        for (i, packet) in packets.iter().enumerate() {
            if i % 10 == 9 {
                let next = packets.get(i + 1).filter(|_| looks_ahead).map(Vec::as_slice);
                assert!(decoder.recover(next, 320, &mut heard));
            } else {
                decoder.decode(packet, &mut heard).unwrap();
            }
        }
        assert_eq!(heard.len(), whole.len());
        let lost = |sound: &[i16]| -> Vec<i16> { sound.chunks(320).skip(9).step_by(10).flatten().copied().collect() };
        signal_to_noise(&lost(&whole), &lost(&heard), 0)
    };
    let (guessed, copied) = (without(false), without(true));
    println!("guessed {guessed:.1} dB, copied {copied:.1} dB");
    assert!(copied > guessed + 1.0, "{guessed} {copied}");
}
