//! Whole calls between two sessions, over networks that lose, delay and forge, without a socket.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod speech;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use offhook_media::codec::Codec;
use offhook_media::dtmf::keying::HELD;
use offhook_media::dtmf::{Digit, Key};
use offhook_media::sdp::{Ability, Agreed, Direction, Negotiation, Security};
use offhook_media::session::{Identity, Ignored, Limits, Session};
use offhook_media::srtp::Refused;
use offhook_media::srtp::keys::MasterKey;
use offhook_media::{FRAME, frame_samples};
use proptest::prelude::*;
use speech::{Chance, best_correlation, speech};

fn addr(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], port))
}

/// The negotiations of two that have agreed on a codec.
fn negotiated(codecs: &[Codec], security: Security) -> [Negotiation; 2] {
    let ability = Ability { codecs: codecs.to_vec(), comfort_noise: true, security };
    let mut a = Negotiation::new(ability.clone(), addr(1, 4000), 1, MasterKey::new([1; 30]));
    let mut b = Negotiation::new(ability, addr(2, 5000), 2, MasterKey::new([2; 30]));
    let offer = a.offer(Direction::SendRecv);
    let answer = b.answer(&offer, Direction::SendRecv).unwrap().0;
    a.answered(&answer).unwrap();
    [a, b]
}

fn identity(ssrc: u32) -> Identity {
    Identity { ssrc, sequence: 65_530, timestamp: u32::MAX - 800, name: format!("side-{ssrc}") }
}

/// Two sides and the way between them.
struct Call {
    sides: [Session; 2],
    /// Where each sends from, as the other sees it.
    from: [SocketAddr; 2],
    now: Instant,
    chance: Chance,
    loss: f64,
    jitter: Duration,
    /// What is on its way, by when it arrives.
    way: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    sent: u64,
    heard: [Vec<i16>; 2],
    keys: [Vec<Key>; 2],
    timed_out: [u32; 2],
}

impl Call {
    fn new(agreed: [&Agreed; 2], limits: Limits) -> Self {
        let now = Instant::now();
        Self {
            sides: [0, 1].map(|side| Session::new(agreed[side], identity(side as u32 + 1), limits, now)),
            from: [addr(1, 4000), addr(2, 5000)],
            now,
            chance: Chance(7),
            loss: 0.0,
            jitter: Duration::ZERO,
            way: BTreeMap::new(),
            sent: 0,
            heard: [Vec::new(), Vec::new()],
            keys: [Vec::new(), Vec::new()],
            timed_out: [0, 0],
        }
    }

    fn between(codecs: &[Codec], security: Security) -> Self {
        let sides = negotiated(codecs, security);
        Self::new([sides[0].agreed().unwrap(), sides[1].agreed().unwrap()], Limits::default())
    }

    /// 20 ms, in which each says a frame.
    fn tick(&mut self, said: [Option<&[i16]>; 2]) {
        for (side, said) in said.into_iter().enumerate() {
            let tick = self.sides[side].tick(said, self.now);
            self.heard[side].extend_from_slice(tick.heard);
            self.keys[side].extend_from_slice(tick.keys);
            self.timed_out[side] += u32::from(tick.timed_out);
            for (datagram, _to) in tick.packet.into_iter().chain(tick.report) {
                if self.chance.unit() < self.loss {
                    continue;
                }
                let late = self.jitter.mul_f64(self.chance.unit()) + Duration::from_millis(5);
                self.sent += 1;
                self.way.insert((self.now + late, self.sent), (1 - side, datagram.to_vec()));
            }
        }
        self.now += FRAME;
        while let Some(first) = self.way.first_entry().filter(|first| first.key().0 <= self.now) {
            let (at, (to, mut datagram)) = (first.key().0, first.remove());
            let _ = self.sides[to].receive(&mut datagram, self.from[1 - to], at);
        }
    }

    fn say(&mut self, said: [&[i16]; 2]) {
        let samples = frame_samples(self.sides[0].spoken_rate());
        for (a, b) in said[0].chunks_exact(samples).zip(said[1].chunks_exact(samples)) {
            self.tick([Some(a), Some(b)]);
        }
    }

    fn pass(&mut self, time: Duration) {
        for _ in 0..time.as_millis() / 20 {
            self.tick([None, None]);
        }
    }
}

/// The mean of how well each tenth of a second is heard again within a fifth.
fn understood(rate: u32, said: &[i16], heard: &[i16]) -> f64 {
    let tenth = rate as usize / 10;
    let pieces = said.chunks_exact(tenth).enumerate().filter(|(at, piece)| {
        (at + 4) * tenth < heard.len() && piece.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() > 1e5 * tenth as f64
    });
    let all: Vec<f64> =
        pieces.map(|(at, piece)| best_correlation(piece, &heard[at * tenth..(at + 3) * tenth])).collect();
    all.iter().sum::<f64>() / all.len() as f64
}

fn pressed(keys: &[Key]) -> String {
    keys.iter().filter_map(|key| if let Key::Pressed(digit) = key { Some(digit.sign()) } else { None }).collect()
}

#[test]
fn two_hear_each_other_in_every_codec_open_and_sealed() {
    for (codec, least) in [(Codec::Pcmu, 0.97), (Codec::Pcma, 0.97), (Codec::G722, 0.97), (Codec::Opus, 0.85)] {
        for security in [Security::Never, Security::Always] {
            let mut call = Call::between(&[codec], security);
            let rate = codec.sample_rate();
            let said = speech(rate, 6.0);
            let (first, second) = said.split_at(said.len() / 2);
            call.say([first, second]);
            for (said, heard) in [(second, &call.heard[0]), (first, &call.heard[1])] {
                let well = understood(rate, said, heard);
                assert!(well > least, "{codec:?} {security:?}: {well}");
            }
        }
    }
}

#[test]
fn a_bad_network_is_survived_and_measured() {
    let mut call = Call::between(&[Codec::Pcmu], Security::Always);
    call.loss = 0.05;
    call.jitter = Duration::from_millis(60);
    let said = speech(8000, 15.0);
    call.say([&said, &said]);
    assert!(understood(8000, &said, &call.heard[1]) > 0.88, "{}", understood(8000, &said, &call.heard[1]));
    let quality = call.sides[0].quality();
    println!("{quality:?}");
    assert!((quality.lost as f64 / quality.sent as f64 - 0.05).abs() < 0.03, "{quality:?}");
    assert!((0.03..0.12).contains(&quality.concealed), "{quality:?}");
    assert!((10..60).contains(&quality.jitter.as_millis()), "{quality:?}");
    assert!((3.0..4.2).contains(&quality.opinion), "{quality:?}");
    assert!(quality.lost_by_them.is_some(), "{quality:?}");
    let round_trip = quality.round_trip.unwrap().as_millis();
    assert!((10..200).contains(&round_trip), "{quality:?}");

    let mut good = Call::between(&[Codec::Pcmu], Security::Never);
    good.say([&said, &said]);
    let quality = good.sides[0].quality();
    assert!(quality.lost == 0 && quality.concealed == 0.0 && quality.opinion > 4.2, "{quality:?}");
}

#[test]
fn digits_arrive_as_events_even_where_packets_are_lost() {
    let mut call = Call::between(&[Codec::Pcmu], Security::Never);
    call.loss = 0.1;
    for sign in "0123456789*#".chars() {
        call.sides[0].press(Digit::parse(sign).unwrap(), HELD);
    }
    call.pass(Duration::from_secs(4));
    assert_eq!(pressed(&call.keys[1]), "0123456789*#");
    assert_eq!(call.keys[1].len(), 24, "each is released");
    // Not a beep of it is in the sound.
    assert!(call.heard[1].iter().all(|&sample| sample.abs() < 16));
}

#[test]
fn digits_arrive_as_tones_where_events_are_not_known() {
    for codec in [Codec::Pcmu, Codec::G722] {
        let mut sides = negotiated(&[codec], Security::Never);
        let bare = |negotiation: &mut Negotiation| {
            let number = codec.payload_type();
            negotiation.offer(Direction::SendRecv);
            let remote =
                if negotiation.agreed().unwrap().remote == Some(addr(1, 4000)) { (1, 4000) } else { (2, 5000) };
            let text = format!(
                "v=0\r\no=- 1 1 IN IP4 192.0.2.{0}\r\ns=-\r\nc=IN IP4 192.0.2.{0}\r\nt=0 0\r\nm=audio {1} RTP/AVP {number}\r\n",
                remote.0, remote.1
            );
            negotiation.answered(&text).unwrap().clone()
        };
        let agreed = [bare(&mut sides[0]), bare(&mut sides[1])];
        let mut call = Call::new([&agreed[0], &agreed[1]], Limits::default());
        for sign in "159#".chars() {
            call.sides[0].press(Digit::parse(sign).unwrap(), HELD);
        }
        call.pass(Duration::from_secs(2));
        assert_eq!(pressed(&call.keys[1]), "159#", "{codec:?}");
    }
}

#[test]
fn hold_is_silent_and_the_call_goes_on_after_it() {
    let [mut a, mut b] = negotiated(&[Codec::Pcmu], Security::Always);
    let mut call = Call::new([a.agreed().unwrap(), b.agreed().unwrap()], Limits::default());
    let said = speech(8000, 3.0);
    call.say([&said, &said]);

    let offer = a.offer(Direction::SendOnly);
    let answer = b.answer(&offer, Direction::SendRecv).unwrap().0;
    a.answered(&answer).unwrap();
    call.sides[0].renegotiate(a.agreed().unwrap(), call.now);
    call.sides[1].renegotiate(b.agreed().unwrap(), call.now);
    let before = call.sides[1].quality().sent;
    call.pass(Duration::from_secs(40));
    assert_eq!(call.sides[1].quality().sent, before, "who is on hold sends nothing");
    assert_eq!(call.timed_out, [0, 0], "and neither misses anything");

    let offer = a.offer(Direction::SendRecv);
    let answer = b.answer(&offer, Direction::SendRecv).unwrap().0;
    a.answered(&answer).unwrap();
    call.sides[0].renegotiate(a.agreed().unwrap(), call.now);
    call.sides[1].renegotiate(b.agreed().unwrap(), call.now);
    call.heard = [Vec::new(), Vec::new()];
    call.say([&said, &said]);
    for heard in &call.heard {
        assert!(understood(8000, &said, heard) > 0.95);
    }
}

#[test]
fn a_key_that_stays_is_never_counted_anew() {
    let [mut a, b] = negotiated(&[Codec::Pcmu], Security::Always);
    let mut call = Call::new([a.agreed().unwrap(), b.agreed().unwrap()], Limits::default());
    // Its numbers begin at 65530: they have wrapped around by now.
    call.pass(Duration::from_secs(1));
    // The other side comes with another key of its own; ours stays.
    let mut moved = Negotiation::new(
        Ability { codecs: vec![Codec::Pcmu], comfort_noise: false, security: Security::Always },
        addr(2, 5000),
        2,
        MasterKey::new([9; 30]),
    );
    let answer = a.answer(&moved.offer(Direction::SendRecv), Direction::SendRecv).unwrap().0;
    moved.answered(&answer).unwrap();
    assert_eq!(a.agreed().unwrap().sealed.as_ref().unwrap().theirs, MasterKey::new([9; 30]));
    call.sides[0].renegotiate(a.agreed().unwrap(), call.now);
    // What we seal is still opened by who counts on: our half of the other side's agreement is as it was.
    let before = call.sides[1].quality().received;
    for _ in 0..10 {
        let tick = call.sides[0].tick(None, call.now);
        let (mut datagram, _) = tick.packet.map(|(datagram, to)| (datagram.to_vec(), to)).unwrap();
        call.sides[1].receive(&mut datagram, addr(1, 4000), call.now).unwrap();
    }
    assert_eq!(call.sides[1].quality().received, before + 10);
}

#[test]
fn a_codec_may_change_in_the_midst() {
    let [mut a, mut b] = negotiated(&[Codec::Pcmu], Security::Never);
    let mut call = Call::new([a.agreed().unwrap(), b.agreed().unwrap()], Limits::default());
    call.say([&speech(8000, 2.0), &speech(8000, 2.0)]);
    let wide = "v=0\r\no=- 9 9 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=audio 5000 RTP/AVP 9 101\r\n\
                a=rtpmap:101 telephone-event/8000\r\n";
    // Only who knows G.722 agrees.
    assert!(a.answer(wide, Direction::SendRecv).is_err());
    let ability =
        |codecs: &[Codec]| Ability { codecs: codecs.to_vec(), comfort_noise: false, security: Security::Never };
    a = Negotiation::new(ability(&Codec::ALL), addr(1, 4000), 1, MasterKey::new([1; 30]));
    b = Negotiation::new(ability(&[Codec::G722]), addr(2, 5000), 2, MasterKey::new([2; 30]));
    let answer = a.answer(&b.offer(Direction::SendRecv), Direction::SendRecv).unwrap().0;
    b.answered(&answer).unwrap();
    call.sides[0].renegotiate(a.agreed().unwrap(), call.now);
    call.sides[1].renegotiate(b.agreed().unwrap(), call.now);
    call.heard = [Vec::new(), Vec::new()];
    let said = speech(16_000, 3.0);
    assert_eq!(call.sides[0].spoken_rate(), 16_000);
    call.say([&said, &said]);
    assert!(understood(16_000, &said, &call.heard[0]) > 0.95);
    assert!(understood(16_000, &said, &call.heard[1]) > 0.95);
}

#[test]
fn longer_packets_are_sent_where_they_are_wanted() {
    let [mut a, b] = negotiated(&[Codec::Pcmu], Security::Never);
    let wanted = "v=0\r\no=- 9 9 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0\r\na=ptime:60\r\n";
    a.answer(wanted, Direction::SendRecv).unwrap();
    let mut call = Call::new([a.agreed().unwrap(), b.agreed().unwrap()], Limits::default());
    let said = speech(8000, 3.0);
    call.say([&said, &said]);
    assert_eq!(call.sides[0].quality().sent, 50, "of 150 frames");
    assert_eq!(call.sides[1].quality().concealed, 0.0);
    assert!(understood(8000, &said, &call.heard[1]) > 0.97);
}

#[test]
fn sound_goes_where_it_comes_from() {
    let mut call = Call::between(&[Codec::Pcmu], Security::Never);
    call.pass(Duration::from_millis(200));
    let to = |call: &mut Call| call.sides[0].tick(None, call.now).packet.map(|(_, to)| to);
    assert_eq!(to(&mut call), Some(addr(2, 5000)));
    // Behind a NAT after all.
    let mut natted = Call::between(&[Codec::Pcmu], Security::Never);
    natted.from[1] = addr(77, 31_000);
    natted.pass(Duration::from_millis(200));
    assert_eq!(to(&mut natted), Some(addr(77, 31_000)));
}

#[test]
fn who_is_silent_for_too_long_is_gone() {
    let sides = negotiated(&[Codec::Pcmu], Security::Never);
    let limits = Limits { time_out: Duration::from_secs(5), ..Limits::default() };
    let mut call = Call::new([sides[0].agreed().unwrap(), sides[1].agreed().unwrap()], limits);
    call.pass(Duration::from_secs(2));
    call.loss = 1.0;
    call.pass(Duration::from_secs(20));
    assert_eq!(call.timed_out, [1, 1], "told once");
    call.loss = 0.0;
    call.pass(Duration::from_secs(1));
    call.loss = 1.0;
    call.pass(Duration::from_secs(20));
    assert_eq!(call.timed_out, [2, 2], "and again, when something was heard in between");
}

#[test]
fn the_end_is_said() {
    let mut call = Call::between(&[Codec::Pcmu], Security::Always);
    call.pass(Duration::from_secs(1));
    let (mut report, to) = call.sides[0].close(call.now).map(|(report, to)| (report.to_vec(), to)).unwrap();
    assert_eq!(to, addr(2, 5001));
    call.sides[1].receive(&mut report, addr(1, 4001), call.now).unwrap();
    assert!(call.sides[1].tick(None, call.now).bye);
    assert!(!call.sides[1].tick(None, call.now).bye);
}

#[test]
fn what_is_not_of_the_call_is_not_heard() {
    let mut call = Call::between(&[Codec::Pcmu], Security::Always);
    call.pass(Duration::from_millis(500));
    let now = call.now;
    let side = &mut call.sides[0];
    let mut open = vec![0x80, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9];
    open.resize(172, 1);
    assert_eq!(side.receive(&mut open, addr(2, 5000), now), Err(Ignored::Unsealed(Refused::WrongTag)));
    assert_eq!(side.receive(&mut [0, 1, 0, 0], addr(2, 5000), now), Err(Ignored::Foreign));
    assert_eq!(side.receive(&mut [], addr(2, 5000), now), Err(Ignored::Foreign));

    let mut plain = Call::between(&[Codec::Pcmu], Security::Never);
    plain.pass(Duration::from_millis(500));
    let packet = |payload_type: u8, ssrc: u8| {
        let mut packet = vec![0x80, payload_type, 0, 1, 0, 0, 0, 1, 0, 0, 0, ssrc];
        packet.resize(172, 1);
        packet
    };
    let (now, side) = (plain.now, &mut plain.sides[0]);
    assert_eq!(side.receive(&mut packet(18, 2), addr(2, 5000), now), Err(Ignored::Foreign));
    assert_eq!(side.receive(&mut packet(0, 2), addr(66, 5000), now), Err(Ignored::Elsewhere));
    assert_eq!(side.receive(&mut packet(0, 99), addr(2, 5000), now), Err(Ignored::Stranger));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn anything_may_come(
        codec in prop::sample::select(Codec::ALL.to_vec()),
        sealed: bool,
        datagrams in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..220), 0..4_u8, any::<bool>()), 0..80),
    ) {
        let security = if sealed { Security::Always } else { Security::Never };
        let mut call = Call::between(&[codec], security);
        for (mut datagram, kind, tick) in datagrams {
            if kind > 0 && datagram.len() > 12 {
                datagram[0] = 0x80 | (datagram[0] & 0x3F);
                datagram[1] = match kind { 1 => codec.payload_type(), 2 => 200 + datagram[1] % 8, _ => 101 };
                datagram[8..12].copy_from_slice(&[0, 0, 0, 2]);
            }
            let now = call.now;
            let _ = call.sides[0].receive(&mut datagram, addr(2, 5000), now);
            if tick {
                call.tick([None, None]);
            }
        }
        let quality = call.sides[0].quality();
        prop_assert!((1.0..4.6).contains(&quality.opinion));
    }
}
