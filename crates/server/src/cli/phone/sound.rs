//! A handset with sound: a WAV is what it says, and both sides are kept in another. In: where the server listens for SIP. Out: the
//! file, the left side what was said, the right side what was heard.
//!
//! It calls as any telephone does, over SIP and RTP, so that all of a call is tried: codecs, speech, turn taking.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use offhook_voice::signalling::{
    Leg, LegEvent, LegOrder, PlaceOrder, Settings, Signalling, SipEnded, Strangers, Transport, Trunk, TrunkTarget,
};
use offhook_voice::sound::{
    Ability, Agreed, Codec, Direction, Floor, Limits, Listens, MasterKey, Negotiation, Port, Resampler, Security,
    SoundEvent, Stream, StreamOptions,
};
use offhook_voice::speech::wav;
use offhook_voice::turn::taking::SentenceId;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::{Failure, print};

/// What it says is one sentence of one turn.
const ALL: SentenceId = SentenceId { turn: 1, number: 0 };
const RING_FOR: Duration = Duration::from_secs(60);
/// After the last word of both it hangs up.
const QUIET: Duration = Duration::from_secs(5);

/// A call that is to be made.
pub struct Call {
    pub from: String,
    pub to: String,
    /// What to say.
    pub says: PathBuf,
    /// Where both sides are kept.
    pub keeps: PathBuf,
    /// Where the server listens for SIP over UDP.
    pub server: SocketAddr,
}

/// Calls, says all of it, hears what comes, and hangs up when both have been quiet for a while.
///
/// # Errors
/// The file is no sound, the call is not taken, or the recording can't be written.
pub async fn call(call: Call) -> Result<(), Failure> {
    let bytes = std::fs::read(&call.says).map_err(|error| format!("{}: {error}", call.says.display()))?;
    let sound = wav::read(&bytes).ok_or_else(|| format!("{} is no WAV of 16-bit samples", call.says.display()))?;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let ours: IpAddr = if call.server.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
    let bound = if call.server.ip().is_loopback() { ours } else { unspecified(call.server) };
    let settings = Settings {
        listeners: vec![(Transport::Udp, SocketAddr::new(bound, 0))],
        tls: None,
        public_address: None,
        realm: "handset".to_owned(),
        strangers: Strangers::Ignored,
        most_calls: 1,
        // Of the person's own choice.
        may_reach: Arc::new(|_: &str, _: IpAddr| true),
    };
    let (signalling, _arriving) = Signalling::open(settings, &tasks, stop.clone()).await?;
    let paced = offhook_voice::sound::Settings { threads: 1, bind: bound, ports: None, limits: Limits::default() };
    let floor = Floor::start(&paced)?;
    let talked = talk(&call, &signalling, floor.open()?, sound).await;
    // What is still to be said on the network is said first.
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    talked
}

fn unspecified(like: SocketAddr) -> IpAddr {
    if like.is_ipv4() { [0, 0, 0, 0].into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() }
}

async fn talk(call: &Call, signalling: &Signalling, port: Port, sound: (u32, Vec<i16>)) -> Result<(), Failure> {
    let uri = format!("sip:{}", call.server);
    let trunk = Trunk {
        name: "handset".to_owned(),
        ways_in: Vec::new(),
        targets: vec![TrunkTarget { uri, priority: 10, weight: 10 }],
        credentials: None,
        transport: Some(Transport::Udp),
        registration: None,
    };
    let order = PlaceOrder { trunk, from: call.from.clone(), to: call.to.clone(), ring_for: RING_FOR };
    let ability = Ability {
        codecs: vec![Codec::G722, Codec::Pcmu, Codec::Pcma],
        comfort_noise: false,
        security: Security::Never,
    };
    let mut negotiation = None;
    let placing = signalling.place(order, |local, _| {
        let at = SocketAddr::new(local, port.address().port());
        let mut ours = Negotiation::new(ability, at, rand::random::<u64>() >> 1, MasterKey::new([0; 30]));
        let offer = ours.offer(Direction::SendRecv);
        negotiation = Some(ours);
        offer.into_bytes()
    });
    let mut leg = placing.await?;
    let mut negotiation = negotiation.ok_or("nothing was offered")?;
    print(&format!("You are {}, calling {} at {}.", call.from, call.to, call.server));
    let agreed = answered(&mut leg, &mut negotiation).await?;
    print(&format!("… they answer, in {}", agreed.codec.name()));
    let options = StreamOptions { recording: Some(call.keeps.clone()), listens: Listens::Nobody };
    let mut stream = port.begin(&agreed, options);
    let said = Said::of(sound, &stream);
    let ended = both(&mut leg, &mut negotiation, &mut stream, said).await;
    let closed = stream.close().await;
    print(&format!("… {ended}"));
    match closed {
        Some(closed) if closed.recorded => {
            print(&format!("{}: left what was said, right what was heard", shown(&call.keeps)));
            Ok(())
        }
        _ => Err(format!("{} could not be written", shown(&call.keeps)).into()),
    }
}

fn shown(file: &Path) -> std::path::Display<'_> {
    file.display()
}

/// Until they take the call.
async fn answered(leg: &mut Leg, negotiation: &mut Negotiation) -> Result<Agreed, Failure> {
    loop {
        let answer = match leg.next().await {
            LegEvent::Progress { status: 180, .. } => {
                print("… it rings");
                continue;
            }
            LegEvent::Answered { answer: Some(answer) } => answer,
            LegEvent::Failed { status } => return Err(format!("the call is not taken: {status}").into()),
            LegEvent::Ended(_) => return Err("the call is not taken".into()),
            _ => continue,
        };
        let agreed = negotiation.answered(&String::from_utf8_lossy(&answer))?;
        return Ok(agreed.clone());
    }
}

/// What is to be said, at the call's own rate.
struct Said(Vec<i16>);

impl Said {
    fn of((rate, samples): (u32, Vec<i16>), stream: &Stream) -> Self {
        let wanted = stream.mouth().rate();
        match Resampler::new(rate, wanted).filter(|_| rate != wanted) {
            Some(mut resampler) => {
                let mut out = Vec::new();
                resampler.push(&samples, &mut out);
                Self(out)
            }
            None => Self(samples),
        }
    }
}

/// Until both are quiet, or they hang up.
async fn both(leg: &mut Leg, negotiation: &mut Negotiation, stream: &mut Stream, said: Said) -> &'static str {
    let mouth = stream.mouth();
    let saying = async move {
        for piece in said.0.chunks(mouth.rate() as usize / 10) {
            mouth.say(ALL, piece.to_vec()).await;
        }
        mouth.said_all(ALL);
        std::future::pending::<()>().await;
    };
    tokio::pin!(saying);
    let (mut speaking, mut said_all, mut quiet_since) = (false, false, Instant::now());
    loop {
        tokio::select! {
            () = &mut saying => {}
            event = stream.next() => match event {
                SoundEvent::SpeechBegan => speaking = true,
                SoundEvent::SpeechEnded => (speaking, quiet_since) = (false, Instant::now()),
                SoundEvent::Played(_) => (said_all, quiet_since) = (true, Instant::now()),
                SoundEvent::TimedOut => {
                    leg.order(LegOrder::HangUp);
                    return "nothing is heard any more; you hang up";
                }
                _ => {}
            },
            event = leg.next() => match event {
                LegEvent::Ended(SipEnded::ByThem(_)) => return "they hang up",
                LegEvent::Ended(_) | LegEvent::Failed { .. } => return "the call is over",
                LegEvent::Referred { .. } => leg.order(LegOrder::RefuseReferral(603)),
                LegEvent::Offer { offer } => answer_again(leg, negotiation, stream, offer),
                _ => {}
            },
            () = sleep_until(quiet_since + QUIET), if said_all && !speaking => {
                leg.order(LegOrder::HangUp);
                return "both are quiet; you hang up";
            }
        }
    }
}

fn answer_again(leg: &Leg, negotiation: &mut Negotiation, stream: &Stream, offer: Option<Vec<u8>>) {
    let Some(offer) = offer else {
        return leg.order(LegOrder::AnswerOffer(negotiation.offer(Direction::SendRecv).into_bytes()));
    };
    match negotiation.answer(&String::from_utf8_lossy(&offer), Direction::SendRecv) {
        Ok((answer, agreed)) => {
            stream.renegotiate(agreed);
            leg.order(LegOrder::AnswerOffer(answer.into_bytes()));
        }
        Err(_) => leg.order(LegOrder::RefuseOffer(488)),
    }
}
