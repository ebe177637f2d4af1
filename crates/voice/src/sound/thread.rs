//! A thread's work: its calls, each due every 20 ms, and the datagrams that come for them in between.

use std::collections::{HashMap, VecDeque};
use std::net::UdpSocket as StdSocket;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Registry, Token};
use offhook_media::dtmf::{Digit, Key};
use offhook_media::recording::Channel;
use offhook_media::resample::Resampler;
use offhook_media::sdp::Agreed;
use offhook_media::session::Session;
use offhook_media::session::quality::Quality;
use tokio::sync::{mpsc, oneshot};

use super::figures::Lateness;
use super::recorder::{Recorded, Writer};
use super::stream::{Listens, Shared};
use super::{SoundEvent, WAKE};
use crate::turn::speech::{Change, Rate, SpeechDetector};
use crate::turn::taking::SentenceId;

/// The calls of a thread are due in so many groups, one after the other.
const GROUPS: usize = 10;
const STEP: Duration = Duration::from_millis(2);
/// A thread that was held up for longer does not catch up: its calls have lost that time.
const MOST_BEHIND: Duration = Duration::from_millis(500);
/// Milliseconds that are handed to whoever listens at a time: to all, and to speech.
const PIECE: usize = 100;
const PIECE_OF_SPEECH: usize = 200;
/// Speech begins so many milliseconds before it is noticed, at most.
const BEFORE_SPEECH: usize = 400;
/// Frames between two reports of how far a sentence is, and of how well all is heard.
const PLAYING_EVERY: u64 = 5;
const QUALITY_EVERY: u64 = 250;
/// Frames that a recording gets at a time.
const RECORD_FRAMES: usize = 25;
const KEY_HELD: Duration = Duration::from_millis(100);
/// Frames behind a key's first one until the next may begin: RFC 4733's end is told three times, and then it is quiet. So long
/// the session gives out no speech.
const KEY_FRAMES: usize = 9;
/// Frames that `w` waits.
const WAIT_FRAMES: usize = 25;
/// Where it breaks off, so many samples fade, so that nothing clicks.
const FADE: usize = 40;

pub enum Command {
    Begin(Box<Beginning>),
    Do(u64, Do),
    Stop,
}

pub struct Beginning {
    pub id: u64,
    pub session: Session,
    pub sockets: (StdSocket, StdSocket),
    pub tell: mpsc::UnboundedSender<SoundEvent>,
    pub shared: Arc<Shared>,
    pub recording: Option<(Writer, u32)>,
    pub listens: Listens,
}

pub enum Do {
    Say(SentenceId, Vec<i16>),
    SaidAll(SentenceId),
    Press(String),
    Hush,
    Renegotiate(Box<Agreed>),
    Close(oneshot::Sender<(Quality, Duration)>),
    /// Nobody wants the call's sound any more, but its recording is to be whole.
    Abandon(Option<Recorded>),
}

/// Runs until it is told to stop.
pub fn run(mut poll: Poll, commands: &Receiver<Command>, lateness: &Lateness) {
    let mut room = Room { calls: HashMap::new(), groups: std::array::from_fn(|_| Vec::new()), buffer: vec![0; 2048] };
    let mut events = Events::with_capacity(1024);
    let (mut due, mut group) = (Instant::now(), 0);
    loop {
        // Without calls it sleeps until it is told of one.
        let is_idle = room.calls.is_empty();
        let wait = (!is_idle).then(|| due.saturating_duration_since(Instant::now()));
        // An interrupted wait is a short one.
        let _ = poll.poll(&mut events, wait);
        if is_idle {
            due = Instant::now();
        }
        for event in &events {
            if event.token() != WAKE {
                room.receive(event.token());
            }
        }
        while let Ok(command) = commands.try_recv() {
            match command {
                Command::Begin(beginning) => room.begin(*beginning, poll.registry(), lateness),
                Command::Do(id, what) => room.act(id, what, poll.registry(), lateness),
                Command::Stop => return,
            }
        }
        // A thread that has too much to do falls behind; it must still hear what comes and what it is told.
        for _ in 0..GROUPS {
            if Instant::now() < due {
                break;
            }
            room.tick(group, due, lateness);
            group = (group + 1) % GROUPS;
            due += STEP;
            if Instant::now() > due + MOST_BEHIND {
                due = Instant::now();
            }
        }
    }
}

/// A thread's calls.
struct Room {
    calls: HashMap<u64, Call>,
    groups: [Vec<u64>; GROUPS],
    buffer: Vec<u8>,
}

struct Call {
    session: Session,
    sound: UdpSocket,
    reports: UdpSocket,
    tell: mpsc::UnboundedSender<SoundEvent>,
    shared: Arc<Shared>,
    detector: SpeechDetector,
    heard_rate: u32,
    playout: Playout,
    ear: Ear,
    recording: Option<Tape>,
    packets: (bool, bool),
}

const fn token(id: u64, reports: bool) -> Token {
    Token(id as usize * 2 + reports as usize)
}

impl Room {
    fn begin(&mut self, beginning: Beginning, registry: &Registry, lateness: &Lateness) {
        let Beginning { id, session, sockets, tell, shared, recording, listens } = beginning;
        let (mut sound, mut reports) = (UdpSocket::from_std(sockets.0), UdpSocket::from_std(sockets.1));
        let registered = registry
            .register(&mut sound, token(id, false), Interest::READABLE)
            .and_then(|()| registry.register(&mut reports, token(id, true), Interest::READABLE));
        if let Err(error) = registered {
            tracing::error!(%error, "a call's sound can't be received");
            let _ = tell.send(SoundEvent::TimedOut);
            return;
        }
        let rate = session.spoken_rate();
        let call = Call {
            session,
            sound,
            reports,
            tell,
            shared,
            detector: SpeechDetector::new(rate_of(rate)),
            heard_rate: rate,
            playout: Playout::default(),
            ear: Ear { listens, speech: false, heard: Vec::new() },
            recording: recording.map(|(writer, rate)| Tape::new(writer, rate)),
            packets: (false, false),
        };
        self.calls.insert(id, call);
        // The emptiest group, so that the work is even.
        if let Some(group) = self.groups.iter_mut().min_by_key(|group| group.len()) {
            group.push(id);
        }
        lateness.call_begins();
    }

    fn receive(&mut self, token: Token) {
        let (id, of_reports) = (token.0 as u64 / 2, token.0 % 2 == 1);
        let Some(call) = self.calls.get_mut(&id) else { return };
        let socket = if of_reports { &call.reports } else { &call.sound };
        // An error tells of a packet of ours that was not wanted; the next read has the next datagram.
        for _ in 0..64 {
            match socket.recv_from(&mut self.buffer) {
                Ok((length, from)) => {
                    let taken = call.session.receive(&mut self.buffer[..length], from, Instant::now());
                    if taken.is_ok() && !of_reports && !std::mem::replace(&mut call.packets.0, true) {
                        let _ = call.tell.send(SoundEvent::FirstPacketIn);
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(_) => {}
            }
        }
    }

    fn tick(&mut self, group: usize, due: Instant, lateness: &Lateness) {
        for id in &self.groups[group] {
            if let Some(call) = self.calls.get_mut(id) {
                call.tick(due);
                lateness.frame(due.elapsed());
            }
        }
    }

    fn act(&mut self, id: u64, what: Do, registry: &Registry, lateness: &Lateness) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        match what {
            Do::Say(sentence, samples) => call.playout.say(sentence, samples),
            Do::SaidAll(sentence) => call.playout.waiting.push_back(Item::End(sentence)),
            Do::Press(keys) => call.playout.press(&keys),
            Do::Hush => {
                call.playout.hush();
                call.shared.waiting.store(0, Ordering::Relaxed);
                call.shared.room.notify_waiters();
            }
            Do::Renegotiate(agreed) => {
                let before = call.session.spoken_rate();
                call.session.renegotiate(&agreed, Instant::now());
                let rate = call.session.spoken_rate();
                call.shared.rate.store(rate, Ordering::Relaxed);
                if rate != before {
                    let waiting = call.playout.change_rate(before, rate);
                    call.shared.waiting.store(waiting, Ordering::Relaxed);
                }
            }
            Do::Close(tell) => {
                let closed = self.close(id, registry, lateness);
                if let Some(closed) = closed {
                    let _ = tell.send(closed);
                }
            }
            Do::Abandon(recorded) => {
                self.close(id, registry, lateness);
                if let Some(recorded) = recorded {
                    drop(recorded.finish());
                }
            }
        }
    }

    fn close(&mut self, id: u64, registry: &Registry, lateness: &Lateness) -> Option<(Quality, Duration)> {
        let mut call = self.calls.remove(&id)?;
        self.groups.iter_mut().for_each(|group| group.retain(|one| *one != id));
        let _ = registry.deregister(&mut call.sound);
        let _ = registry.deregister(&mut call.reports);
        lateness.call_ends();
        Some(call.close())
    }
}

impl Call {
    fn tick(&mut self, due: Instant) {
        let samples = self.session.spoken_rate() as usize / 50;
        let said = self.playout.frame(samples, &mut self.session, &self.tell);
        if said.taken > 0 {
            self.shared
                .waiting
                .fetch_sub(said.taken.min(self.shared.waiting.load(Ordering::Relaxed)), Ordering::Relaxed);
            self.shared.room.notify_waiters();
        }
        let spoken_rate = self.session.spoken_rate();
        let tick = self.session.tick(said.frame.as_deref(), due);
        // What the network does not take is lost on the way, as anything may be.
        if let Some((packet, to)) = tick.packet {
            let sent = self.sound.send_to(packet, to);
            if sent.is_ok() && !std::mem::replace(&mut self.packets.1, true) {
                let _ = self.tell.send(SoundEvent::FirstPacketOut);
            }
        }
        if let Some((report, to)) = tick.report {
            let _ = self.reports.send_to(report, to);
        }
        for key in tick.keys {
            if let Key::Pressed(digit) = key {
                let _ = self.tell.send(SoundEvent::Key(*digit));
            }
        }
        if tick.timed_out {
            let _ = self.tell.send(SoundEvent::TimedOut);
        }
        if tick.rate != self.heard_rate {
            self.ear.hand_on(self.heard_rate, &self.tell);
            // What was not wanted is of the former rate.
            self.ear.heard.clear();
            self.heard_rate = tick.rate;
            self.detector.set_rate(rate_of(tick.rate));
        }
        let (tell, ear) = (&self.tell, &mut self.ear);
        ear.hear(tick.heard, tick.rate, tell);
        self.detector.listen(tick.heard, |change| ear.notices(change, tick.rate, tell));
        if let Some(tape) = &mut self.recording {
            tape.frame(tick.frame, said.frame.as_deref(), spoken_rate, tick.heard, tick.rate);
        }
        if tick.frame % QUALITY_EVERY == QUALITY_EVERY - 1 {
            let _ = self.tell.send(SoundEvent::Quality(self.session.quality()));
        }
    }

    fn close(mut self) -> (Quality, Duration) {
        if let Some((report, to)) = self.session.close(Instant::now()) {
            let _ = self.reports.send_to(report, to);
        }
        if let Some(tape) = &mut self.recording {
            tape.flush();
        }
        (self.session.quality(), self.session.length())
    }
}

/// What somebody hears of a call.
struct Ear {
    listens: Listens,
    /// Somebody speaks.
    speech: bool,
    /// What was not handed on yet.
    heard: Vec<i16>,
}

impl Ear {
    fn hear(&mut self, samples: &[i16], rate: u32, tell: &mpsc::UnboundedSender<SoundEvent>) {
        let within = |millis: usize| rate as usize / 1_000 * millis;
        let piece = match self.listens {
            Listens::Nobody => return,
            Listens::ToAll => within(PIECE),
            Listens::ToSpeech if self.speech => within(PIECE_OF_SPEECH),
            Listens::ToSpeech => {
                // Not for each frame.
                if self.heard.len() >= 2 * within(BEFORE_SPEECH) {
                    self.heard.drain(..self.heard.len() - within(BEFORE_SPEECH));
                }
                usize::MAX
            }
        };
        self.heard.extend_from_slice(samples);
        if self.heard.len() >= piece {
            self.hand_on(rate, tell);
        }
    }

    fn notices(&mut self, change: Change, rate: u32, tell: &mpsc::UnboundedSender<SoundEvent>) {
        match change {
            Change::Began(_) => {
                self.speech = true;
                let surplus = self.heard.len().saturating_sub(rate as usize / 1_000 * BEFORE_SPEECH);
                self.heard.drain(..surplus);
                let _ = tell.send(SoundEvent::SpeechBegan);
            }
            Change::Ended(_) => {
                self.hand_on(rate, tell);
                self.speech = false;
                let _ = tell.send(SoundEvent::SpeechEnded);
            }
        }
    }

    fn hand_on(&mut self, rate: u32, tell: &mpsc::UnboundedSender<SoundEvent>) {
        let wanted = self.speech || self.listens == Listens::ToAll;
        if !self.heard.is_empty() && wanted {
            let next = Vec::with_capacity(self.heard.len());
            let samples = std::mem::replace(&mut self.heard, next);
            let _ = tell.send(SoundEvent::Heard { samples, rate });
        }
    }
}

const fn rate_of(rate: u32) -> Rate {
    match rate {
        8_000 => Rate::Khz8,
        16_000 => Rate::Khz16,
        _ => Rate::Khz48,
    }
}

/// What is to be said and pressed, in order.
#[derive(Default)]
struct Playout {
    waiting: VecDeque<Item>,
    /// The sentence that is being said, how much of it was, and how much of it is known.
    now: Option<Now>,
    tail: Vec<i16>,
    frames: u64,
}

enum Item {
    Samples(SentenceId, VecDeque<i16>),
    End(SentenceId),
    Key(Digit),
    /// Nothing, for so many frames.
    Pause(usize),
}

struct Now {
    sentence: SentenceId,
    said: usize,
    rate: u32,
}

/// What a frame came to.
struct Said {
    frame: Option<Vec<i16>>,
    /// Samples that no longer wait.
    taken: usize,
}

impl Playout {
    fn say(&mut self, sentence: SentenceId, samples: Vec<i16>) {
        match self.waiting.back_mut() {
            Some(Item::Samples(last, waiting)) if *last == sentence => waiting.extend(samples),
            _ => self.waiting.push_back(Item::Samples(sentence, samples.into())),
        }
    }

    /// What is no key is a pause: `w` is the only such sign that reaches this far.
    fn press(&mut self, keys: &str) {
        let item = |key| Digit::parse(key).map_or(Item::Pause(WAIT_FRAMES), Item::Key);
        self.waiting.extend(keys.chars().map(item));
    }

    /// What waits is to be said at another rate; how many samples that is.
    fn change_rate(&mut self, from: u32, to: u32) -> usize {
        let mut waiting = 0;
        for item in &mut self.waiting {
            let Item::Samples(_, samples) = item else { continue };
            if let Some(mut resampler) = Resampler::new(from, to) {
                let mut changed = Vec::new();
                resampler.push(samples.make_contiguous(), &mut changed);
                *samples = changed.into();
            }
            waiting += samples.len();
        }
        if let Some(now) = &mut self.now {
            now.said = (now.said as u64 * u64::from(to) / u64::from(from)) as usize;
        }
        self.tail.clear();
        waiting
    }

    /// What is being said fades; the rest is forgotten.
    fn hush(&mut self) {
        if let Some(Item::Samples(_, samples)) = self.waiting.front() {
            let fades = samples.iter().take(FADE).enumerate();
            self.tail =
                fades.map(|(n, sample)| (i32::from(*sample) * (FADE - n) as i32 / FADE as i32) as i16).collect();
        }
        self.waiting.clear();
        self.now = None;
    }

    fn frame(&mut self, length: usize, session: &mut Session, tell: &mpsc::UnboundedSender<SoundEvent>) -> Said {
        self.frames += 1;
        if self.waiting.is_empty() && self.tail.is_empty() {
            return Said { frame: None, taken: 0 };
        }
        let mut frame: Vec<i16> = std::mem::take(&mut self.tail);
        frame.reserve_exact(length);
        let (mut taken, before) = (0, self.now.as_ref().map(|now| now.sentence));
        while frame.len() < length {
            match self.waiting.front_mut() {
                None => break,
                Some(Item::Samples(sentence, samples)) => {
                    let count = samples.len().min(length - frame.len());
                    frame.extend(samples.drain(..count));
                    taken += count;
                    let now = self.now.get_or_insert(Now { sentence: *sentence, said: 0, rate: 0 });
                    if now.sentence != *sentence {
                        *now = Now { sentence: *sentence, said: 0, rate: 0 };
                    }
                    now.said += count;
                    now.rate = session.spoken_rate();
                    if samples.is_empty() {
                        self.waiting.pop_front();
                    }
                }
                Some(Item::End(sentence)) => {
                    let _ = tell.send(SoundEvent::Played(*sentence));
                    self.now = None;
                    self.waiting.pop_front();
                }
                Some(Item::Key(digit)) => {
                    session.press(*digit, KEY_HELD);
                    self.waiting.pop_front();
                    self.waiting.push_front(Item::Pause(KEY_FRAMES));
                    break;
                }
                Some(Item::Pause(frames)) => {
                    *frames = frames.saturating_sub(1);
                    if *frames == 0 {
                        self.waiting.pop_front();
                    }
                    break;
                }
            }
        }
        // That a sentence is heard is told at once.
        let begins = self.now.as_ref().is_some_and(|now| before != Some(now.sentence));
        if begins || self.frames.is_multiple_of(PLAYING_EVERY) {
            self.tell_progress(tell);
        }
        if frame.is_empty() {
            return Said { frame: None, taken };
        }
        frame.resize(length, 0);
        Said { frame: Some(frame), taken }
    }

    fn tell_progress(&self, tell: &mpsc::UnboundedSender<SoundEvent>) {
        let Some(now) = self.now.as_ref().filter(|now| now.rate > 0) else { return };
        let of_it = |item: &Item| match item {
            Item::Samples(sentence, samples) if *sentence == now.sentence => samples.len(),
            _ => 0,
        };
        let waiting: usize = self.waiting.iter().map(of_it).sum();
        let time = |samples: usize| Duration::from_micros(samples as u64 * 1_000_000 / u64::from(now.rate));
        let (so_far, whole) = (time(now.said), time(now.said + waiting));
        let _ = tell.send(SoundEvent::Playing { sentence: now.sentence, so_far, whole });
    }
}

/// A call's recording, as the thread gathers it.
struct Tape {
    writer: Writer,
    rate: u32,
    agent: Track,
    caller: Track,
}

/// One side of it.
struct Track {
    channel: Channel,
    gathered: Vec<i16>,
    /// Of the first sample that is gathered.
    place: u64,
    resampler: Option<(u32, Resampler)>,
}

impl Tape {
    fn new(writer: Writer, rate: u32) -> Self {
        let track = |channel| Track { channel, gathered: Vec::new(), place: 0, resampler: None };
        Self { writer, rate, agent: track(Channel::Agent), caller: track(Channel::Caller) }
    }

    fn frame(&mut self, frame: u64, said: Option<&[i16]>, said_rate: u32, heard: &[i16], heard_rate: u32) {
        let place = frame * u64::from(self.rate) / 50;
        self.agent.add(&self.writer, self.rate, place, said, said_rate);
        self.caller.add(&self.writer, self.rate, place, Some(heard), heard_rate);
    }

    fn flush(&mut self) {
        self.agent.flush(&self.writer);
        self.caller.flush(&self.writer);
    }
}

impl Track {
    fn add(&mut self, writer: &Writer, rate: u32, place: u64, samples: Option<&[i16]>, their_rate: u32) {
        let Some(samples) = samples else { return self.flush(writer) };
        if self.gathered.is_empty() {
            self.place = place;
        }
        if their_rate == rate {
            self.gathered.extend_from_slice(samples);
        } else {
            if self.resampler.as_ref().is_none_or(|(known, _)| *known != their_rate) {
                self.resampler = Resampler::new(their_rate, rate).map(|resampler| (their_rate, resampler));
            }
            if let Some((_, resampler)) = &mut self.resampler {
                resampler.push(samples, &mut self.gathered);
            }
        }
        if self.gathered.len() >= rate as usize / 50 * RECORD_FRAMES {
            self.flush(writer);
        }
    }

    fn flush(&mut self, writer: &Writer) {
        if !self.gathered.is_empty() {
            // As many as there were: they are not to grow again.
            let next = Vec::with_capacity(self.gathered.len());
            writer.add(self.channel, self.place, std::mem::replace(&mut self.gathered, next));
        }
    }
}
