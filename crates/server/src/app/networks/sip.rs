//! Calls over SIP: signalling, sound and speech of this node, as the configuration has them.
//!
//! In: trunks as they are known, and calls to place. Out: lines with sound. Calls that come are brought to the exchange.

pub mod ping;
mod referrals;
mod speech;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use offhook_domain::call::EndReason;
use offhook_domain::call_routing::TrunkOwner;
use offhook_domain::pii;
use offhook_domain::sip_trunk::{MediaEncryption, SipTransport};
use offhook_store::call_flow::OpenCall;
use offhook_voice::audio_line::{AudioLine, LineParts};
use offhook_voice::exchange::Exchange;
use offhook_voice::host::{Arrival, Plan};
use offhook_voice::line::Line;
use offhook_voice::signalling::Trunk as SignalledTrunk;
use offhook_voice::signalling::{
    ArrivingLeg, Credentials, LegOrder, OpenError, PlaceOrder, Settings, Signalling, Strangers, Transport,
    TrunkRegistration, TrunkTarget,
};
use offhook_voice::sound::{self, Ability, Codec, Floor, Limits, Security};
use offhook_voice::speech::Speech;
use secrecy::ExposeSecret;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::app::trunks::{Trunk, TrunkLogin};
use crate::config::voice::{Codec as ConfiguredCodec, SipStrangers};
use crate::telemetry::names;

/// What is left of requests when calls are over.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// SIP can't be spoken on this node.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    #[error(transparent)]
    Sockets(#[from] OpenError),
    #[error("sound can't be paced: {0}")]
    Sound(std::io::Error),
    #[error("voice.sip.tls_certificate: {0}")]
    Tls(String),
    #[error("voice.speech: {0}")]
    Speech(String),
}

/// SIP on this node.
pub struct SipNetwork {
    app: App,
    signalling: Signalling,
    floor: Arc<Floor>,
    speech: Speech,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl SipNetwork {
    pub async fn open(app: &App, exchange: &Exchange) -> Result<Self, NotOpened> {
        let voice = &app.config.voice;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let threads = match voice.media.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        };
        let limits = Limits { time_out: voice.media.timeout, ..Limits::default() };
        let settings = sound::Settings { threads, bind: voice.media.listen, ports: voice.media.ports.clone(), limits };
        let floor = Arc::new(Floor::start(&settings).map_err(NotOpened::Sound)?);
        let speech = speech::of(&voice.speech, &tasks).map_err(|error| NotOpened::Speech(error.to_string()))?;
        let tls = voice.sip.tls.as_ref().map(|(certificate, key)| tls::load(certificate, key)).transpose();
        let (signalling, arriving) =
            Signalling::open(settings_of(app, tls.map_err(NotOpened::Tls)?), &tasks, stop.clone()).await?;
        for (transport, address) in signalling.listeners() {
            tracing::info!(transport = transport.as_str(), %address, "SIP is listened for");
        }
        let network = Self { app: app.clone(), signalling, floor, speech, tasks, stop };
        network.follow_trunks();
        network.take_calls(arriving, exchange.clone());
        Ok(network)
    }

    /// Tells signalling of the trunks, now and whenever they change.
    fn follow_trunks(&self) {
        let (signalling, mut trunks) = (self.signalling.clone(), self.app.trunks.subscribe());
        signalling.set_trunks(trunks.borrow_and_update().iter().map(signalled).collect());
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            while let Some(Ok(())) = stop.run_until_cancelled(trunks.changed()).await {
                signalling.set_trunks(trunks.borrow_and_update().iter().map(signalled).collect());
            }
        });
    }

    fn take_calls(&self, mut arriving: mpsc::UnboundedReceiver<ArrivingLeg>, exchange: Exchange) {
        let (app, floor, speech, tasks) =
            (self.app.clone(), self.floor.clone(), self.speech.clone(), self.tasks.clone());
        let signalling = self.signalling.clone();
        self.tasks.spawn(async move {
            while let Some(arriving) = arriving.recv().await {
                let ArrivingLeg { leg, offer, from, to, trunks, local, remote } = arriving;
                let Ok(port) = floor.open().inspect_err(|error| tracing::error!(%error, "a call can't be taken"))
                else {
                    leg.order(LegOrder::Reject(503));
                    continue;
                };
                let known = app.trunks.now();
                let trunk = known.iter().find(|trunk| trunks.contains(&trunk.name));
                let over: Vec<Trunk> = known.iter().filter(|trunk| trunks.contains(&trunk.name)).cloned().collect();
                // Where it may have come over several, only where it came from is certain.
                let host = trunk.filter(|_| over.len() == 1).and_then(host_of);
                let parts = LineParts {
                    port,
                    ability: ability(&app, trunk.map_or(app.config.voice.media.srtp, |trunk| trunk.srtp)),
                    address: sound_address(&app, local, remote.ip()),
                    speech: speech.clone(),
                    transfer_host: Some(host.unwrap_or_else(|| remote.to_string())),
                    referrals: referrals::over(&app, &signalling, over, &to, &from),
                    tasks: tasks.clone(),
                };
                let arrival = Arrival { from: pii::phone(number(from)), to, trunks, over: "sip" };
                exchange.take(arrival, Box::new(AudioLine::arriving(leg, offer, parts)));
            }
        });
    }

    /// Calls somebody over the first of these trunks that can be reached.
    ///
    /// # Errors
    /// None can.
    pub async fn dial(&self, call: &OpenCall, plan: &Plan, trunks: &[Trunk]) -> Result<Box<dyn Line>, EndReason> {
        for trunk in trunks {
            match self.place(call, plan, trunk).await {
                Ok(line) => return Ok(line),
                Err(why) => {
                    tracing::warn!(call.id = %call.id, trunk = trunk.name, %why, "a call can't be placed over this trunk")
                }
            }
        }
        Err(EndReason::Failed)
    }

    async fn place(&self, call: &OpenCall, plan: &Plan, trunk: &Trunk) -> Result<Box<dyn Line>, String> {
        let port = self.floor.open().map_err(|error| error.to_string())?;
        let mut parts = LineParts {
            port,
            ability: ability(&self.app, trunk.srtp),
            address: IpAddr::from([127, 0, 0, 1]),
            speech: self.speech.clone(),
            transfer_host: host_of(trunk),
            referrals: referrals::over(&self.app, &self.signalling, vec![trunk.clone()], &call.from, &call.to),
            tasks: self.tasks.clone(),
        };
        let order = PlaceOrder {
            trunk: signalled(trunk),
            from: call.from.clone(),
            to: call.to.clone(),
            ring_for: plan.ring_for,
        };
        let mut negotiation = None;
        let leg = self
            .signalling
            .place(order, |local, remote| {
                parts.address = sound_address(&self.app, local, remote);
                let (offer, ours) = AudioLine::offer(&parts);
                negotiation = Some(ours);
                offer.into_bytes()
            })
            .await
            .map_err(|error| error.to_string())?;
        let negotiation = negotiation.ok_or("nothing was offered")?;
        Ok(Box::new(AudioLine::placed(leg, negotiation, parts)))
    }

    pub fn measure(&self) {
        let figures = self.floor.figures();
        metrics::gauge!(names::SOUND_LATENESS_SECONDS).set(figures.p99.as_secs_f64());
        metrics::gauge!(names::SOUND_LATE_FRAMES).set(figures.late as f64);
        metrics::gauge!(names::RECORDINGS_LOST).set(figures.recordings_lost as f64);
    }

    pub fn drain(&self) {
        self.signalling.drain();
    }

    pub async fn close(&self) {
        tokio::time::sleep(LAST_WORDS).await;
        self.stop.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(LAST_WORDS, self.tasks.wait()).await;
    }
}

fn settings_of(app: &App, tls: Option<offhook_voice::signalling::Tls>) -> Settings {
    let voice = &app.config.voice;
    let (trunks, guard) = (app.trunks.clone(), app.guard.clone());
    Settings {
        listeners: voice.sip.listen.iter().map(|(transport, address)| (transport_of(*transport), *address)).collect(),
        tls,
        public_address: voice.public_address,
        realm: voice.sip.domain.clone().unwrap_or_else(|| "offhook".to_owned()),
        strangers: match voice.sip.strangers {
            SipStrangers::Ignored => Strangers::Ignored,
            SipStrangers::Refused => Strangers::Refused,
            SipStrangers::Welcome => Strangers::Welcome,
        },
        most_calls: voice.sip.most_calls,
        // The operator's own carriers may be anywhere; what a customer names is judged as a webhook's address is.
        may_reach: Arc::new(move |name: &str, address: IpAddr| {
            let all = trunks.now();
            let owner = all.iter().find(|trunk| trunk.name == name).map(|trunk| &trunk.owner);
            match owner {
                Some(TrunkOwner::Carrier { .. }) => true,
                Some(TrunkOwner::Account(_)) => guard.permits_address(address),
                None => false,
            }
        }),
    }
}

const fn transport_of(transport: SipTransport) -> Transport {
    match transport {
        SipTransport::Udp => Transport::Udp,
        SipTransport::Tcp => Transport::Tcp,
        SipTransport::Tls => Transport::Tls,
    }
}

fn signalled(trunk: &Trunk) -> SignalledTrunk {
    let login = |login: &TrunkLogin| Credentials {
        username: login.username.clone(),
        password: login.password.expose_secret().to_owned(),
    };
    let host = host_of(trunk);
    SignalledTrunk {
        name: trunk.name.clone(),
        ways_in: trunk.ways_in.iter().map(|way| (way.networks.clone(), way.login.as_ref().map(login))).collect(),
        targets: trunk
            .targets
            .iter()
            .map(|target| TrunkTarget {
                uri: target.sip_uri.as_str().to_owned(),
                priority: target.priority,
                weight: target.weight,
            })
            .collect(),
        credentials: trunk.login.as_ref().map(login),
        transport: trunk.transport.map(transport_of),
        registration: trunk.registration.as_ref().map(|wanted| {
            let user = trunk.login.as_ref().map_or("offhook", |login| login.username.as_str());
            let host = host.unwrap_or_else(|| wanted.registrar.host().to_owned());
            TrunkRegistration {
                registrar: wanted.registrar.as_str().to_owned(),
                address_of_record: format!("sip:{user}@{host}"),
                expires: wanted.expires,
            }
        }),
    }
}

/// The host of a trunk's first address.
fn host_of(trunk: &Trunk) -> Option<String> {
    let first = trunk.targets.iter().min_by_key(|target| target.priority)?;
    let port = first.sip_uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}{port}", first.sip_uri.host()))
}

fn ability(app: &App, srtp: MediaEncryption) -> Ability {
    let codec = |codec: &ConfiguredCodec| match codec {
        ConfiguredCodec::Pcmu => Codec::Pcmu,
        ConfiguredCodec::Pcma => Codec::Pcma,
        ConfiguredCodec::G722 => Codec::G722,
        ConfiguredCodec::Opus => Codec::Opus,
    };
    Ability {
        codecs: app.config.voice.media.codecs.iter().map(codec).collect(),
        comfort_noise: true,
        security: match srtp {
            MediaEncryption::Never => Security::Never,
            MediaEncryption::Offered => Security::IfOffered,
            MediaEncryption::Always => Security::Always,
        },
    }
}

/// Our address for sound as somebody sees it: the public one, but for who is in our own network.
fn sound_address(app: &App, local: IpAddr, remote: IpAddr) -> IpAddr {
    let voice = &app.config.voice;
    let public = voice.media.public_address.or(voice.public_address);
    let bound = Some(voice.media.listen).filter(|ip| !ip.is_unspecified());
    let local = SocketAddr::new(bound.unwrap_or(local), 0);
    offhook_voice::signalling::advertised(public, local, remote).ip()
}

/// A caller as he is shown: E.164 with its plus, where it is a number.
fn number(from: String) -> String {
    let digits = from.strip_prefix('+').unwrap_or(&from);
    if (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) {
        return format!("+{digits}");
    }
    if from.is_empty() { "anonymous".to_owned() } else { from.chars().filter(|c| !c.is_control()).take(64).collect() }
}
