//! How many calls one core bears, by codec: `cargo run --release -p offhook-media --example frames`. A call here is
//! a packet received and a frame heard, said and recorded on both channels, each 20 ms; without sockets, VAD or speech.

#![expect(clippy::print_stdout, reason = "it is what this program is for")]

use std::hint::black_box;
use std::io::{Cursor, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use offhook_media::codec::Codec;
use offhook_media::recording::{Channel, Recording};
use offhook_media::sdp::{Ability, Direction, Negotiation, Security};
use offhook_media::session::{Identity, Limits, Session};
use offhook_media::srtp::keys::MasterKey;
use offhook_media::{FRAME, frame_samples};

/// A file that forgets, so that the disk is not measured.
struct Nowhere;

impl Write for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        black_box(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Seek for Nowhere {
    fn seek(&mut self, _: SeekFrom) -> std::io::Result<u64> {
        Ok(0)
    }
}

fn pair(codec: Codec, security: Security, start: Instant) -> Option<[Session; 2]> {
    let ability = Ability { codecs: vec![codec], comfort_noise: true, security };
    let at = |host: u8| SocketAddr::from(([192, 0, 2, host], 4000));
    let mut caller = Negotiation::new(ability.clone(), at(1), 1, MasterKey::new([1; 30]));
    let mut callee = Negotiation::new(ability, at(2), 2, MasterKey::new([2; 30]));
    let answer = callee.answer(&caller.offer(Direction::SendRecv), Direction::SendRecv).ok()?.0;
    let agreed = [caller.answered(&answer).ok()?.clone(), callee.agreed()?.clone()];
    let identity = |ssrc| Identity { ssrc, sequence: 0, timestamp: 0, name: "measured".to_owned() };
    Some([1, 2].map(|ssrc| Session::new(&agreed[ssrc as usize - 1], identity(ssrc), Limits::default(), start)))
}

/// What a phone sends while someone speaks.
fn packets(codec: Codec, security: Security, start: Instant, count: u32) -> Vec<Vec<u8>> {
    let Some([_, mut phone]) = pair(codec, security, start) else { return Vec::new() };
    let samples = frame_samples(codec.sample_rate());
    let voice = |frame: u32| -> Vec<i16> {
        let angle = |i: usize| (frame as usize * samples + i) as f32;
        (0..samples).map(|i| ((angle(i) * 0.05).sin() * (angle(i) * 0.0007).sin() * 9000.0) as i16).collect()
    };
    let packet =
        |frame| phone.tick(Some(&voice(frame)), start + FRAME * frame).packet.map(|(datagram, _)| datagram.to_vec());
    (0..count).filter_map(packet).collect()
}

/// The time that one call takes of each 20 ms.
fn measure(codec: Codec, security: Security) -> Option<Duration> {
    const CALLS: usize = 200;
    const FRAMES: u32 = 250;
    let start = Instant::now();
    let packets = packets(codec, security, start, FRAMES);
    let rate = codec.sample_rate();
    let said: Vec<i16> = (0..frame_samples(rate)).map(|i| ((i as f32 * 0.1).sin() * 8000.0) as i16).collect();
    let mut calls = Vec::new();
    for _ in 0..CALLS {
        let [session, _] = pair(codec, security, start)?;
        calls.push((session, Recording::begin(Nowhere, rate).ok()?));
    }
    let from = SocketAddr::from(([192, 0, 2, 2], 4000));
    let mut datagram = Vec::new();
    let began = Instant::now();
    for (frame, packet) in (0..).zip(&packets) {
        let now = start + FRAME * frame;
        for (session, recording) in &mut calls {
            datagram.clear();
            datagram.extend_from_slice(packet);
            let _ = session.receive(&mut datagram, from, now);
            let tick = session.tick(Some(&said), now);
            let place = tick.frame * said.len() as u64;
            recording.add(Channel::Caller, place, tick.heard).ok()?;
            recording.add(Channel::Agent, place, &said).ok()?;
            black_box(&tick);
        }
    }
    Some(began.elapsed() / (FRAMES * CALLS as u32))
}

/// Resident memory, in kB.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4
}

/// What one call takes once it runs, on average of many.
fn memory(codec: Codec) -> Option<(f64, f64)> {
    const CALLS: usize = 1000;
    let start = Instant::now();
    let packets = packets(codec, Security::Always, start, 60);
    let from = SocketAddr::from(([192, 0, 2, 2], 4000));
    let before = resident();
    let mut calls = Vec::new();
    for _ in 0..CALLS {
        let [mut session, _] = pair(codec, Security::Always, start)?;
        for (frame, packet) in (0..).zip(&packets) {
            let _ = session.receive(&mut packet.clone(), from, start + FRAME * frame);
            session.tick(None, start + FRAME * frame);
        }
        calls.push(session);
    }
    let sessions = resident();
    let rate = codec.sample_rate();
    let mut recordings = Vec::new();
    for _ in 0..CALLS {
        let mut recording = Recording::begin(Cursor::new([0; 44]), rate).ok()?;
        for frame in 0..20 {
            let _ = recording.add(Channel::Agent, frame * u64::from(rate) / 50, &vec![1; frame_samples(rate)]);
        }
        recordings.push(recording);
    }
    let both = resident();
    // Not given back, so that the next codec's are not made of them.
    std::mem::forget((calls, recordings));
    Some(((sessions - before) as f64 / CALLS as f64, (both - sessions) as f64 / CALLS as f64))
}

fn main() {
    for codec in Codec::ALL.into_iter().rev() {
        let (session, recording) = memory(codec).unwrap_or_default();
        println!("{codec:?}: {session:.1} kB a session, {recording:.1} kB its recording");
    }
    for codec in Codec::ALL {
        for security in [Security::Never, Security::Always] {
            let Some(time) = measure(codec, security) else { continue };
            let calls = FRAME.as_nanos() / time.as_nanos().max(1);
            println!("{codec:?}, sealed {security:?}: {time:?} of each 20 ms, so {calls} calls on a core");
        }
    }
}
