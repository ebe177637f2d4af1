//! Two ports of one floor that call each other on loopback: what one says the other hears, in real time.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod talk;

use std::net::SocketAddr;
use std::time::Duration;

use offhook_media::sdp::{Direction, Negotiation};
use offhook_media::srtp::keys::MasterKey;
use offhook_voice::sound::{
    Ability, Codec, Floor, Limits, Listens, Security, Settings, SoundEvent, Stream, StreamOptions,
};
use offhook_voice::turn::taking::SentenceId;

pub const RATE: u32 = 8_000;

/// So many ports from an even one on that nobody has. Below those that the kernel gives to whoever asks for any.
pub fn free_ports(count: u16) -> std::ops::RangeInclusive<u16> {
    loop {
        let first = rand::random_range(5_000..15_000_u16) * 2;
        let ports = first..=first + count - 1;
        if ports.clone().all(|port| std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok()) {
            return ports;
        }
    }
}

pub fn floor() -> Floor {
    let settings = Settings { threads: 1, bind: [127, 0, 0, 1].into(), ports: None, limits: Limits::default() };
    Floor::start(&settings).unwrap()
}

/// Two streams that have agreed on a codec.
pub fn pair(floor: &Floor, codec: Codec, options: [StreamOptions; 2]) -> [Stream; 2] {
    let ports = [floor.open().unwrap(), floor.open().unwrap()];
    let ability = Ability { codecs: vec![codec], comfort_noise: false, security: Security::Never };
    let negotiation =
        |at: SocketAddr, n: u8| Negotiation::new(ability.clone(), at, u64::from(n), MasterKey::new([n; 30]));
    let mut ours = negotiation(ports[0].address(), 1);
    let mut theirs = negotiation(ports[1].address(), 2);
    let (answer, agreed) = theirs.answer(&ours.offer(Direction::SendRecv), Direction::SendRecv).unwrap();
    let agreed = agreed.clone();
    let ours = ours.answered(&answer).unwrap().clone();
    let [first, second] = ports;
    let [of_first, of_second] = options;
    [first.begin(&ours, of_first), second.begin(&agreed, of_second)]
}

pub fn listening() -> StreamOptions {
    StreamOptions { listens: Listens::ToAll, recording: None }
}

pub fn sentence(number: usize) -> SentenceId {
    SentenceId { turn: 1, number }
}

/// A tone of so many milliseconds.
pub fn tone(hertz: f64, rate: u32, millis: u32) -> Vec<i16> {
    let sample = |n: u32| ((f64::from(n) * hertz * std::f64::consts::TAU / f64::from(rate)).sin() * 8_000.0) as i16;
    (0..rate * millis / 1_000).map(sample).collect()
}

/// How much of a tone is in some sound: 1 where it is nothing else.
pub fn share(samples: &[i16], hertz: f64, rate: u32) -> f64 {
    let (mut sine, mut cosine, mut energy) = (0.0, 0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let (x, angle) = (f64::from(*sample), n as f64 * hertz * std::f64::consts::TAU / f64::from(rate));
        sine += x * angle.sin();
        cosine += x * angle.cos();
        energy += x * x;
    }
    if energy == 0.0 { 0.0 } else { 2.0 * (sine * sine + cosine * cosine) / (energy * samples.len() as f64) }
}

/// What is heard until so much of it is loud.
pub async fn hear(stream: &mut Stream, loud_millis: u32) -> Vec<i16> {
    let mut loud: Vec<i16> = Vec::new();
    let hearing = async {
        loop {
            if let SoundEvent::Heard { samples, rate } = stream.next().await {
                // By pieces of 20 ms; the first and the last of a tone may be half of it.
                let is_loud = |piece: &&[i16]| piece.iter().any(|sample| sample.abs() > 1_000);
                samples.chunks(rate as usize / 50).filter(is_loud).for_each(|piece| loud.extend(piece));
                if loud.len() >= (rate * loud_millis / 1_000) as usize {
                    return;
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), hearing).await.expect("heard in time");
    loud
}

pub async fn until(stream: &mut Stream, wanted: impl Fn(&SoundEvent) -> bool) -> SoundEvent {
    let waiting = async {
        loop {
            let event = stream.next().await;
            if wanted(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("in time")
}
