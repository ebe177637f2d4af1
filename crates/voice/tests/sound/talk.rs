//! What is said, pressed, recorded and interrupted.

use std::time::Duration;

use offhook_media::codec::Codec;
use offhook_voice::sound::{Floor, Listens, SoundEvent, StreamOptions};

use crate::{RATE, floor, free_ports, hear, listening, pair, sentence, share, tone, until};

#[tokio::test]
async fn what_one_says_the_other_hears_both_ways() {
    for (codec, rate) in [(Codec::Pcmu, 8_000), (Codec::Pcma, 8_000), (Codec::G722, 16_000)] {
        let floor = floor();
        let [mut one, mut other] = pair(&floor, codec, [listening(), listening()]);
        one.mouth().say(sentence(0), tone(440.0, rate, 400)).await;
        other.mouth().say(sentence(0), tone(700.0, rate, 400)).await;
        let (at_other, at_one) = (hear(&mut other, 300).await, hear(&mut one, 300).await);
        assert!(share(&at_other[320..], 440.0, rate) > 0.9, "{codec:?}: {}", share(&at_other, 440.0, rate));
        assert!(share(&at_one[320..], 700.0, rate) > 0.9, "{codec:?}: {}", share(&at_one, 700.0, rate));
    }
}

#[tokio::test]
async fn a_sentence_is_told_of_as_it_is_played_and_keys_come_behind_it() {
    let floor = floor();
    let [mut one, mut other] = pair(&floor, Codec::Pcmu, [StreamOptions::default(), StreamOptions::default()]);
    let mouth = one.mouth();
    mouth.say(sentence(0), tone(440.0, RATE, 300)).await;
    mouth.said_all(sentence(0));
    mouth.press("1w2");
    let event = until(&mut one, |event| matches!(event, SoundEvent::Playing { .. })).await;
    let SoundEvent::Playing { so_far, whole, .. } = event else { panic!("{event:?}") };
    assert!(so_far < whole && whole == Duration::from_millis(300), "{so_far:?} of {whole:?}");
    until(&mut one, |event| *event == SoundEvent::Played(sentence(0))).await;
    let (mut keys, mut heard) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        if let SoundEvent::Key(digit) = until(&mut other, |event| matches!(event, SoundEvent::Key(_))).await {
            keys.push(digit.sign());
            heard.push(std::time::Instant::now());
        }
    }
    assert_eq!(keys, ['1', '2']);
    let apart = heard[1] - heard[0];
    assert!(apart > Duration::from_millis(400), "a key of 100 ms and a wait of 500: {apart:?}");
}

#[tokio::test]
async fn a_hush_ends_what_is_said_at_once() {
    let floor = floor();
    let [mut one, mut other] = pair(&floor, Codec::Pcmu, [StreamOptions::default(), listening()]);
    let mouth = one.mouth();
    mouth.say(sentence(0), tone(440.0, RATE, 5_000)).await;
    mouth.said_all(sentence(0));
    hear(&mut other, 100).await;
    one.hush();
    // What is said next is heard at once, and nothing of what was forgotten.
    mouth.say(sentence(1), tone(900.0, RATE, 400)).await;
    mouth.said_all(sentence(1));
    until(&mut one, |event| {
        assert_ne!(*event, SoundEvent::Played(sentence(0)), "it was not played to its end");
        *event == SoundEvent::Played(sentence(1))
    })
    .await;
    let heard = hear(&mut other, 300).await;
    assert!(share(&heard[heard.len() - 1_600..], 900.0, RATE) > 0.9);
}

#[tokio::test]
async fn who_speaks_faster_than_can_be_heard_waits() {
    let floor = floor();
    let [one, _other] = pair(&floor, Codec::Pcmu, [StreamOptions::default(), StreamOptions::default()]);
    let mouth = one.mouth();
    let began = std::time::Instant::now();
    // Ten seconds of sound; six of them may wait.
    for _ in 0..10 {
        mouth.say(sentence(0), tone(440.0, RATE, 1_000)).await;
    }
    assert!(began.elapsed() > Duration::from_secs(2), "it took {:?}", began.elapsed());
}

#[tokio::test]
async fn a_recording_has_the_agent_on_the_left_and_the_caller_on_the_right() {
    let (floor, folder) = (floor(), tempfile::tempdir().unwrap());
    let file = folder.path().join("deep/call.wav");
    let recorded = StreamOptions { recording: Some(file.clone()), listens: Listens::ToAll };
    let [mut one, other] = pair(&floor, Codec::Pcmu, [recorded, StreamOptions::default()]);
    one.mouth().say(sentence(0), tone(440.0, RATE, 600)).await;
    other.mouth().say(sentence(0), tone(900.0, RATE, 600)).await;
    hear(&mut one, 500).await;
    let closed = one.close().await.unwrap();
    assert!(closed.recorded);
    let mut reader = hound::WavReader::open(&file).unwrap();
    assert_eq!((reader.spec().channels, reader.spec().sample_rate), (2, RATE));
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    // A fifth of a second that is louder than any other.
    let loudest = |side: usize| -> Vec<i16> {
        let all: Vec<i16> = samples.iter().skip(side).step_by(2).copied().collect();
        let energy = |window: &&[i16]| window.iter().map(|sample| i64::from(sample.abs())).sum::<i64>();
        all.windows(1_600).step_by(160).max_by_key(energy).unwrap().to_vec()
    };
    assert!(share(&loudest(0), 440.0, RATE) > 0.8);
    assert!(share(&loudest(1), 900.0, RATE) > 0.8);
    let seconds = samples.len() as f64 / 2.0 / f64::from(RATE);
    assert!((closed.length.as_secs_f64() - seconds).abs() < 1.0, "{seconds} s of {:?}", closed.length);
}

#[tokio::test]
async fn forty_calls_hear_their_own_tone_and_nobody_elses() {
    let floor = floor();
    let mut calls: Vec<_> = (0..40).map(|_| pair(&floor, Codec::Pcmu, [listening(), listening()])).collect();
    let hertz = |n: usize| 300.0 + 40.0 * n as f64;
    for (n, [one, _]) in calls.iter().enumerate() {
        one.mouth().say(sentence(0), tone(hertz(n), RATE, 600)).await;
    }
    for (n, [_, other]) in calls.iter_mut().enumerate() {
        let heard = hear(other, 400).await;
        assert!(share(&heard[800..3_000], hertz(n), RATE) > 0.9, "call {n}");
    }
    assert_eq!(floor.figures().calls, 80);
}

#[tokio::test]
async fn a_stream_that_is_dropped_frees_its_ports() {
    let settings = offhook_voice::sound::Settings {
        threads: 1,
        bind: [127, 0, 0, 1].into(),
        ports: Some(free_ports(4)),
        limits: offhook_voice::sound::Limits::default(),
    };
    let floor = Floor::start(&settings).unwrap();
    for _ in 0..3 {
        let calls = pair(&floor, Codec::Pcmu, [StreamOptions::default(), StreamOptions::default()]);
        assert!(floor.open().is_err(), "both pairs are taken");
        drop(calls);
        let freed = async {
            while (floor.open(), floor.open()).1.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), freed).await.expect("both are free again");
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_leaves_all_of_its_recording() {
    let (floor, folder) = (floor(), tempfile::tempdir().unwrap());
    let file = folder.path().join("call.wav");
    let recorded = StreamOptions { recording: Some(file.clone()), ..listening() };
    let [mut one, other] = pair(&floor, Codec::Pcmu, [recorded, StreamOptions::default()]);
    // Less than is written at a time.
    other.mouth().say(sentence(0), tone(440.0, RATE, 200)).await;
    hear(&mut one, 150).await;
    drop(one);
    let written = async {
        // 150 ms of two channels of 16 bits at 8 kHz, behind the header.
        while std::fs::metadata(&file).map_or(0, |file| file.len()) < 44 + 4_800 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), written).await.expect("what was heard last is in it");
}

#[tokio::test]
async fn silence_for_too_long_is_told() {
    let limits = offhook_voice::sound::Limits { time_out: Duration::from_millis(300), ..Default::default() };
    let settings = offhook_voice::sound::Settings { threads: 1, bind: [127, 0, 0, 1].into(), ports: None, limits };
    let floor = Floor::start(&settings).unwrap();
    let [mut one, other] = pair(&floor, Codec::Pcmu, [StreamOptions::default(), StreamOptions::default()]);
    until(&mut one, |event| *event == SoundEvent::FirstPacketIn).await;
    drop(other);
    until(&mut one, |event| *event == SoundEvent::TimedOut).await;
}
