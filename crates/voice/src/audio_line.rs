//! A line with sound: a leg that signals, a stream that carries sound, and speech at both ends of it. The pipeline is built in
//! one place, in signal order:
//!
//! ```text
//! RTP ─ stream ─▶ speech begins, ends ─▶ transcriber ─▶ words ─▶ the call
//! the call ─▶ sentence ─▶ speaker ─▶ samples ─▶ stream ─▶ RTP
//! ```
//!
//! In: orders. Out: events. What fails of speech is told on the timeline, and the call goes on.

mod referral;
mod speaking;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use offhook_media::sdp::{Ability, Agreed, Direction, Negotiation};
use offhook_media::session::quality::Quality;
use offhook_media::srtp::keys::MasterKey;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;

use crate::host::Plan;
use crate::line::{Line, LineEnd, LineEvent, LineOrder};
use crate::signalling::{Leg, LegEvent, LegOrder, SipEnded};
use crate::sound::{Listens, Port, SoundEvent, Stream, StreamOptions};
use crate::speech::{Listening, Speech, Understood, Wishes};
use crate::timeline::Mark;
use crate::turn::taking::{Input, SentenceId};
pub use referral::Referrals;
use referral::{Followed, Referral};
use speaking::Speaking;

/// A transfer that nobody has taken after so long has failed.
const TRANSFER_MAY_TAKE: Duration = Duration::from_secs(90);

/// What a line has beside its leg.
pub struct LineParts {
    pub port: Port,
    pub ability: Ability,
    /// Our address, as the other side sees it.
    pub address: IpAddr,
    pub speech: Speech,
    /// Where calls to numbers are to go that the agent hands over: `sip:` and a host, of the trunk.
    pub transfer_host: Option<String>,
    /// Who calls whom the other side asks for; none: nobody does.
    pub referrals: Option<Arc<dyn Referrals>>,
    pub tasks: TaskTracker,
}

/// A call over a trunk.
pub struct AudioLine {
    leg: Leg,
    /// The leg is over, and another one is on its way.
    is_between_legs: bool,
    negotiation: Negotiation,
    referral: Option<Referral>,
    /// Until there is a stream.
    port: Option<Port>,
    stream: Option<Stream>,
    listening: Option<Box<dyn Listening>>,
    speaking: Option<Speaking>,
    parts: Parts,
    /// Their offer, until it is answered.
    offer: Option<String>,
    /// Whether they called us.
    theirs: bool,
    ready: VecDeque<LineEvent>,
    ended_at: Option<Instant>,
    transfer_until: Option<Instant>,
    held: bool,
    over: bool,
}

struct Parts {
    speech: Speech,
    wishes: Wishes,
    recording: Option<PathBuf>,
    transfer_host: Option<String>,
    referrals: Option<Arc<dyn Referrals>>,
    ability: Ability,
    /// Where sound comes in.
    local: SocketAddr,
    tasks: TaskTracker,
}

/// What came first.
enum Came {
    Leg(LegEvent),
    Sound(SoundEvent),
    Understood(Understood),
    Failed(SentenceId, String),
    First(SentenceId),
    Referral(Followed),
    Late,
}

impl AudioLine {
    fn new(leg: Leg, negotiation: Negotiation, parts: LineParts, theirs: bool, offer: Option<String>) -> Self {
        let local = local_of(&parts);
        let LineParts { port, speech, transfer_host, tasks, referrals, ability, .. } = parts;
        let wishes = Wishes { language: "en-US".to_owned(), voice: None, speed: 1.0, accurate: false };
        Self {
            leg,
            is_between_legs: false,
            negotiation,
            referral: None,
            port: Some(port),
            stream: None,
            listening: None,
            speaking: None,
            parts: Parts { speech, wishes, recording: None, transfer_host, referrals, ability, local, tasks },
            offer,
            theirs,
            ready: VecDeque::new(),
            ended_at: None,
            transfer_until: None,
            held: false,
            over: false,
        }
    }

    /// A call of theirs, with their offer if they made one.
    #[must_use]
    pub fn arriving(leg: Leg, offer: Option<Vec<u8>>, parts: LineParts) -> Self {
        let offer = offer.map(|offer| String::from_utf8_lossy(&offer).into_owned());
        let negotiation = negotiation(&parts.ability, local_of(&parts));
        Self::new(leg, negotiation, parts, true, offer)
    }

    /// Our offer for a call that is placed, and what makes a line of its leg.
    #[must_use]
    pub fn offer(parts: &LineParts) -> (String, Negotiation) {
        let mut negotiation = negotiation(&parts.ability, local_of(parts));
        (negotiation.offer(Direction::SendRecv), negotiation)
    }

    /// A call of ours, whose offer is on its way.
    #[must_use]
    pub fn placed(leg: Leg, negotiation: Negotiation, parts: LineParts) -> Self {
        Self::new(leg, negotiation, parts, false, None)
    }

    async fn came(&mut self) -> Came {
        let late = self.transfer_until;
        tokio::select! {
            biased;
            event = self.leg.next(), if !self.is_between_legs => Came::Leg(event),
            followed = referral::next(&mut self.referral) => Came::Referral(followed),
            event = next_sound(&mut self.stream) => Came::Sound(event),
            understood = next_words(&mut self.listening) => Came::Understood(understood),
            told = next_spoken(&mut self.speaking) => match told {
                speaking::Told::First(sentence) => Came::First(sentence),
                speaking::Told::Failed(sentence, why) => Came::Failed(sentence, why),
            },
            () = sleep_until(late.unwrap_or_else(Instant::now)), if late.is_some() => Came::Late,
        }
    }

    async fn on_leg(&mut self, event: LegEvent) -> Option<LineEvent> {
        match event {
            LegEvent::Progress { status, .. } => {
                Some(if status == 180 || status == 183 { LineEvent::Ringing } else { signalling(status.to_string()) })
            }
            LegEvent::Answered { answer } => self.on_answer(answer, true).await,
            LegEvent::Confirmed { answer } => self.on_answer(answer, self.theirs).await,
            LegEvent::Offer { offer } => Some(self.answer_again(offer)),
            LegEvent::Referred { to } => Some(self.on_referred(&to)),
            LegEvent::Transfer { status, is_final } => self.on_transfer(status, is_final),
            LegEvent::Key(key) => Some(LineEvent::Key(key)),
            LegEvent::Failed { status } => Some(self.ends(of_status(status))),
            // Who hands us on may leave at once.
            LegEvent::Ended(SipEnded::ByThem(_)) if self.referral.is_some() => {
                self.is_between_legs = true;
                None
            }
            LegEvent::Ended(why) => {
                let end = of_end(&why, self.stream.is_some());
                Some(self.ends(end))
            }
        }
    }

    /// Their answer to our offer, where one comes with it. `stands` is whether the call does, once there is sound.
    async fn on_answer(&mut self, answer: Option<Vec<u8>>, stands: bool) -> Option<LineEvent> {
        if let Some(answer) = answer
            && let Err(why) = self.agree(&answer).await
        {
            return Some(self.unusable(&why));
        }
        (stands && self.stream.is_some()).then_some(LineEvent::Answered)
    }

    /// Agrees on what they answered.
    async fn agree(&mut self, answer: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(answer);
        let agreed = self.negotiation.answered(&text).map_err(|error| error.to_string())?.clone();
        match &self.stream {
            Some(stream) => stream.renegotiate(&agreed),
            None => self.begin(&agreed).await,
        }
        Ok(())
    }

    /// Sound begins.
    async fn begin(&mut self, agreed: &Agreed) {
        let Some(port) = self.port.take() else { return };
        let listens = match &self.parts.speech.transcriber {
            None => Listens::Nobody,
            Some(transcriber) if transcriber.hears_silence() => Listens::ToAll,
            Some(_) => Listens::ToSpeech,
        };
        let options = StreamOptions { recording: self.parts.recording.clone(), listens };
        let stream = port.begin(agreed, options);
        if let Some(speaker) = self.parts.speech.speaker.clone() {
            let speaking = Speaking::begin(speaker, self.parts.wishes.clone(), stream.mouth(), &self.parts.tasks);
            self.speaking = Some(speaking);
        }
        self.stream = Some(stream);
        if let Some(transcriber) = self.parts.speech.transcriber.clone() {
            match transcriber.listen(&self.parts.wishes, agreed.codec.sample_rate()).await {
                Ok(listening) => self.listening = Some(listening),
                Err(error) => self.ready.push_back(LineEvent::Mark(Mark::SpeechFailed(error.to_string()))),
            }
        }
        self.ready.push_back(signalling(format!("{} to {:?}", agreed.codec.name(), agreed.direction)));
    }

    /// They put us on hold, take us back, move, or change the codec.
    fn answer_again(&mut self, offer: Option<Vec<u8>>) -> LineEvent {
        let Some(offer) = offer else {
            let ours = self.negotiation.offer(Direction::SendRecv);
            self.leg.order(LegOrder::AnswerOffer(ours.into_bytes()));
            return signalling("offer asked for".to_owned());
        };
        match self.negotiation.answer(&String::from_utf8_lossy(&offer), Direction::SendRecv) {
            Ok((answer, agreed)) => {
                let (held, codec) = (agreed.direction != Direction::SendRecv, agreed.codec.name());
                if let Some(stream) = &self.stream {
                    stream.renegotiate(agreed);
                }
                self.held = held;
                self.leg.order(LegOrder::AnswerOffer(answer.into_bytes()));
                signalling(if held { "on hold".to_owned() } else { format!("offer agreed: {codec}") })
            }
            Err(error) => {
                self.leg.order(LegOrder::RefuseOffer(488));
                signalling(format!("offer refused: {error}"))
            }
        }
    }

    fn on_transfer(&mut self, status: u16, is_final: bool) -> Option<LineEvent> {
        self.transfer_until?;
        if !is_final {
            return Some(signalling(format!("transfer {status}")));
        }
        self.transfer_until = None;
        Some(if (200..300).contains(&status) { LineEvent::Transferred } else { LineEvent::TransferFailed })
    }

    fn on_sound(&mut self, event: SoundEvent) -> Option<LineEvent> {
        match event {
            SoundEvent::SpeechBegan => {
                if let Some(listening) = &mut self.listening {
                    listening.speech_began();
                }
                Some(LineEvent::Turn(Input::SpeechBegan))
            }
            SoundEvent::SpeechEnded => {
                self.ended_at = Some(Instant::now());
                if let Some(listening) = &mut self.listening {
                    listening.speech_ended();
                }
                Some(LineEvent::Turn(Input::SpeechEnded))
            }
            SoundEvent::Heard { samples, rate } => {
                if let Some(listening) = &mut self.listening {
                    listening.hear(&samples, rate);
                }
                None
            }
            SoundEvent::Key(digit) => Some(LineEvent::Key(digit.sign())),
            SoundEvent::Playing { sentence, so_far, whole } => {
                Some(LineEvent::Turn(Input::Playing { sentence, so_far, whole }))
            }
            SoundEvent::Played(sentence) => Some(LineEvent::Turn(Input::Played(sentence))),
            SoundEvent::FirstPacketIn => Some(LineEvent::Mark(Mark::FirstPacketIn)),
            SoundEvent::FirstPacketOut => Some(LineEvent::Mark(Mark::FirstPacketOut)),
            SoundEvent::Quality(quality) => Some(LineEvent::Mark(mark_of(&quality))),
            SoundEvent::TimedOut if self.held || self.is_between_legs => None,
            SoundEvent::TimedOut => {
                self.leg.order(LegOrder::HangUp);
                Some(self.ends(LineEnd::Lost))
            }
        }
    }

    fn on_understood(&mut self, understood: Understood) -> LineEvent {
        match understood {
            Understood::Partial(text) => LineEvent::Turn(Input::Partial(text)),
            Understood::Words { text, confidence } => {
                let after = self.ended_at.map_or(Duration::ZERO, |ended| ended.elapsed());
                self.ready.push_back(LineEvent::Turn(Input::Words { text, confidence }));
                LineEvent::Mark(Mark::Words { after })
            }
            Understood::Failed(error) => {
                tracing::warn!(%error, "a caller is not understood");
                self.ready.push_back(LineEvent::Turn(Input::Misheard));
                LineEvent::Mark(Mark::SpeechFailed(error.to_string()))
            }
        }
    }

    /// We can't agree on any sound.
    fn unusable(&mut self, why: &str) -> LineEvent {
        tracing::info!(why, "a call's sound can't be agreed on");
        self.leg.order(LegOrder::HangUp);
        self.ready.push_back(signalling(why.to_owned()));
        self.ends(LineEnd::Unreachable(488))
    }

    fn ends(&mut self, why: LineEnd) -> LineEvent {
        self.listening = None;
        self.speaking = None;
        self.referral = None;
        self.transfer_until = None;
        LineEvent::Over(why)
    }

    /// Answers their offer. Sound begins with the next event.
    fn take_call(&mut self) {
        let Some(offer) = self.offer.take() else {
            // They have none: ours goes with our answer, theirs comes when they confirm.
            let ours = self.negotiation.offer(Direction::SendRecv);
            return self.leg.order(LegOrder::Accept(ours.into_bytes()));
        };
        match self.negotiation.answer(&offer, Direction::SendRecv) {
            Ok((answer, _)) => self.leg.order(LegOrder::Accept(answer.into_bytes())),
            Err(error) => {
                self.leg.order(LegOrder::Reject(488));
                self.ready.push_back(signalling(error.to_string()));
                self.ready.push_back(LineEvent::Over(LineEnd::Unreachable(488)));
            }
        }
    }

    /// The stream ends, and with it the recording, whole.
    async fn close(&mut self) {
        self.over = true;
        if let Some(stream) = self.stream.take() {
            let _ = stream.close().await;
        }
    }

    fn transfer(&mut self, to: &str) {
        let uri = match (&self.parts.transfer_host, to.starts_with("sip:")) {
            (_, true) => to.to_owned(),
            (Some(host), false) => format!("sip:{to}@{host}"),
            (None, false) => return self.ready.push_back(LineEvent::TransferFailed),
        };
        self.transfer_until = Some(Instant::now() + TRANSFER_MAY_TAKE);
        self.leg.order(LegOrder::Transfer(uri));
    }
}

#[async_trait]
impl Line for AudioLine {
    async fn next(&mut self) -> LineEvent {
        loop {
            if self.over {
                return std::future::pending().await;
            }
            // Sound begins here, where it may be waited for.
            if let Some(agreed) = self.negotiation.agreed().filter(|_| self.stream.is_none() && self.theirs).cloned() {
                self.begin(&agreed).await;
            }
            let event = match self.ready.pop_front() {
                Some(event) => Some(event),
                None => match self.came().await {
                    Came::Leg(event) => self.on_leg(event).await,
                    Came::Sound(event) => self.on_sound(event),
                    Came::Understood(understood) => Some(self.on_understood(understood)),
                    Came::First(sentence) => {
                        let (turn, sentence) = (sentence.turn, sentence.number);
                        Some(LineEvent::Mark(Mark::SpeakerFirst { turn, sentence }))
                    }
                    Came::Failed(sentence, why) => {
                        tracing::warn!(error = why, "a sentence can't be spoken");
                        self.ready.push_back(LineEvent::Turn(Input::Unspoken(sentence)));
                        Some(LineEvent::Mark(Mark::SpeechFailed(why)))
                    }
                    Came::Referral(followed) => self.on_followed(followed),
                    Came::Late => {
                        self.transfer_until = None;
                        Some(LineEvent::TransferFailed)
                    }
                },
            };
            if let Some(event) = event {
                if matches!(event, LineEvent::Over(_)) {
                    self.close().await;
                }
                return event;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn prepare(&mut self, plan: &Plan) {
        self.parts.wishes = plan.wishes.clone();
        self.parts.recording.clone_from(&plan.recording);
    }

    fn order(&mut self, order: LineOrder) {
        if self.over {
            return;
        }
        match order {
            LineOrder::Ring => self.leg.order(LegOrder::Ring),
            LineOrder::Answer => self.take_call(),
            LineOrder::Refuse(why) => self.leg.order(LegOrder::Reject(why.status())),
            LineOrder::Speak { sentence, text } => match &self.speaking {
                Some(speaking) => speaking.say(sentence, text),
                None => {
                    // Nobody speaks here: it was said, as far as the conversation goes.
                    self.ready.push_back(LineEvent::Mark(Mark::SpeechFailed("no speaker is configured".to_owned())));
                    self.ready.push_back(LineEvent::Turn(Input::Played(sentence)));
                }
            },
            LineOrder::Press(keys) => match (&self.speaking, &self.stream) {
                (Some(speaking), _) => speaking.press(keys),
                (None, Some(stream)) => stream.mouth().press(&keys),
                (None, None) => {}
            },
            LineOrder::Hush => {
                if let Some(speaking) = &mut self.speaking {
                    speaking.hush();
                }
                if let Some(stream) = &self.stream {
                    stream.hush();
                }
            }
            LineOrder::Transfer(to) => self.transfer(&to),
            // Between two legs there is none to tell; the one that is on its way hangs up when it is dropped.
            LineOrder::HangUp if self.is_between_legs => {
                let over = self.ends(LineEnd::WeHungUp);
                self.ready.push_back(over);
            }
            LineOrder::HangUp => {
                self.referral = None;
                self.leg.order(LegOrder::HangUp);
            }
        }
    }
}

async fn next_sound(stream: &mut Option<Stream>) -> SoundEvent {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

async fn next_words(listening: &mut Option<Box<dyn Listening>>) -> Understood {
    match listening {
        Some(listening) => listening.next().await,
        None => std::future::pending().await,
    }
}

async fn next_spoken(speaking: &mut Option<Speaking>) -> speaking::Told {
    match speaking {
        Some(speaking) => speaking.next().await,
        None => std::future::pending().await,
    }
}

/// Where others send their sound.
fn local_of(parts: &LineParts) -> SocketAddr {
    SocketAddr::new(parts.address, parts.port.address().port())
}

/// What is to be agreed on, with a session and a key of its own.
fn negotiation(ability: &Ability, local: SocketAddr) -> Negotiation {
    let mut key = [0; 30];
    key.fill_with(rand::random);
    Negotiation::new(ability.clone(), local, rand::random::<u64>() >> 1, MasterKey::new(key))
}

fn signalling(what: String) -> LineEvent {
    LineEvent::Mark(Mark::Signalling(what))
}

fn mark_of(quality: &Quality) -> Mark {
    let all = quality.received + quality.lost;
    let lost = if all == 0 { 0.0 } else { quality.lost as f64 * 100.0 / all as f64 };
    Mark::Quality {
        lost_percent: (lost * 100.0).round() / 100.0,
        jitter_ms: (quality.jitter.as_secs_f64() * 100_000.0).round() / 100.0,
        opinion: (f64::from(quality.opinion) * 100.0).round() / 100.0,
    }
}

/// What a refusal of our call means (RFC 3261 §21).
fn of_status(status: u16) -> LineEnd {
    match status {
        486 | 600 => LineEnd::Busy,
        408 | 480 | 487 => LineEnd::NoAnswer,
        401 | 403 | 407 | 603 | 607 | 608 => LineEnd::Rejected,
        404 | 410 | 484 | 604 => LineEnd::Unknown,
        status => LineEnd::Unreachable(status),
    }
}

fn of_end(why: &SipEnded, stood: bool) -> LineEnd {
    match why {
        SipEnded::ByUs => LineEnd::WeHungUp,
        SipEnded::ByThem(_) => LineEnd::TheyHungUp,
        SipEnded::Cancelled => LineEnd::TheyGaveUp,
        SipEnded::Unanswered => LineEnd::NoAnswer,
        SipEnded::Unconfirmed | SipEnded::Lost if stood => LineEnd::Lost,
        SipEnded::Unconfirmed | SipEnded::Lost => LineEnd::Unreachable(408),
    }
}
