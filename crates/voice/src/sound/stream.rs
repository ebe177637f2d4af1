//! One call's sound, as whoever leads the call has it. In: samples to say, keys to press, what else was agreed. Out: events. No
//! order waits; only who speaks faster than can be heard does.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc as std_mpsc};
use std::time::Duration;

use mio::Waker;
use offhook_media::sdp::Agreed;
use offhook_media::session::quality::Quality;
use offhook_media::session::{Identity, Limits, Session};
use tokio::sync::{Notify, mpsc, oneshot};

use super::SoundEvent;
use super::recorder::{Recorded, Recorder};
use super::thread::{Beginning, Command, Do};
use crate::turn::taking::SentenceId;

/// Samples that may wait to be heard: six seconds at 8 kHz, three at 16, one at 48. Who hangs up or interrupts throws no more away.
const WAITING: usize = 48_000;

/// What a stream has beside what was agreed.
#[derive(Debug, Clone, Default)]
pub struct StreamOptions {
    /// The file to record into.
    pub recording: Option<PathBuf>,
    pub listens: Listens,
}

/// What of the caller's sound somebody wants to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Listens {
    #[default]
    Nobody,
    /// What is said, from a moment before it was noticed to its end.
    ToSpeech,
    /// All of it, also silence.
    ToAll,
}

/// What became of a stream.
#[derive(Debug, Clone)]
pub struct Closed {
    pub quality: Quality,
    /// By its frames.
    pub length: Duration,
    /// Whether there is a recording, whole.
    pub recorded: bool,
}

/// What the thread and the call both reach.
#[derive(Debug, Default)]
pub struct Shared {
    /// Samples that wait to be said.
    pub waiting: AtomicUsize,
    /// There is room again.
    pub room: Notify,
    /// Samples in a second of what is to be said.
    pub rate: AtomicU32,
}

/// A call's sound. Dropping it ends it.
pub struct Stream {
    id: u64,
    commands: std_mpsc::Sender<Command>,
    waker: Arc<Waker>,
    pub(super) shared: Arc<Shared>,
    events: mpsc::UnboundedReceiver<SoundEvent>,
    recorded: Option<Recorded>,
    closed: bool,
}

/// A way to say things in a stream, for a task beside the call. Cheap to clone.
#[derive(Clone)]
pub struct Mouth {
    id: u64,
    commands: std_mpsc::Sender<Command>,
    waker: Arc<Waker>,
    shared: Arc<Shared>,
}

static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);

impl Stream {
    pub(super) fn begin(
        agreed: &Agreed,
        options: StreamOptions,
        sockets: (UdpSocket, UdpSocket),
        commands: std_mpsc::Sender<Command>,
        waker: Arc<Waker>,
        recorder: Recorder,
        limits: Limits,
    ) -> Self {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let identity = Identity {
            ssrc: rand::random(),
            sequence: rand::random(),
            timestamp: rand::random(),
            name: format!("{:016x}@offhook", rand::random::<u64>()),
        };
        let shared = Arc::new(Shared::default());
        shared.rate.store(agreed.codec.sample_rate(), Ordering::Relaxed);
        let (tell, events) = mpsc::unbounded_channel();
        // Telephone speech: what is above 8 kHz says nothing more.
        let rate = agreed.codec.sample_rate().min(16_000);
        let recorded = options.recording.map(|file| recorder.begin(file, rate));
        let beginning = Beginning {
            id,
            session: Session::new(agreed, identity, limits, std::time::Instant::now()),
            sockets,
            tell,
            shared: shared.clone(),
            recording: recorded.as_ref().map(|recorded| (recorded.writer(), rate)),
            listens: options.listens,
        };
        let stream = Self { id, commands, waker, shared, events, recorded, closed: false };
        stream.send(Command::Begin(Box::new(beginning)));
        stream
    }

    /// What happens next. Cancel safe.
    pub async fn next(&mut self) -> SoundEvent {
        match self.events.recv().await {
            Some(event) => event,
            // The thread is gone, and with it the call's sound.
            None => SoundEvent::TimedOut,
        }
    }

    /// For a task that speaks.
    #[must_use]
    pub fn mouth(&self) -> Mouth {
        Mouth { id: self.id, commands: self.commands.clone(), waker: self.waker.clone(), shared: self.shared.clone() }
    }

    /// Stops at once, and forgets what was to be said and pressed.
    pub fn hush(&self) {
        self.act(Do::Hush);
    }

    /// Something else was agreed on.
    pub fn renegotiate(&self, agreed: &Agreed) {
        self.act(Do::Renegotiate(Box::new(agreed.clone())));
    }

    /// Ends it, and its recording.
    pub async fn close(mut self) -> Option<Closed> {
        let (tell, told) = oneshot::channel();
        self.closed = true;
        self.send(Command::Do(self.id, Do::Close(tell)));
        let (quality, length) = told.await.ok()?;
        let recorded = match self.recorded.take() {
            Some(recorded) => recorded.finish().await.unwrap_or(false),
            None => false,
        };
        Some(Closed { quality, length, recorded })
    }

    fn act(&self, what: Do) {
        self.send(Command::Do(self.id, what));
    }

    fn send(&self, command: Command) {
        send(&self.commands, &self.waker, command);
    }
}

impl Mouth {
    /// Samples in a second of what is to be said.
    #[must_use]
    pub fn rate(&self) -> u32 {
        self.shared.rate.load(Ordering::Relaxed)
    }

    /// Says something behind what is to be said already, at [`rate`](Self::rate). Waits while too much waits to be heard.
    pub async fn say(&self, sentence: SentenceId, samples: Vec<i16>) {
        loop {
            // Told of from here on, so that no room is missed between the look and the wait.
            let room = self.shared.room.notified();
            if self.shared.waiting.load(Ordering::Relaxed) <= WAITING {
                break;
            }
            room.await;
        }
        self.shared.waiting.fetch_add(samples.len(), Ordering::Relaxed);
        self.act(Do::Say(sentence, samples));
    }

    /// A sentence has no more sound than was said.
    pub fn said_all(&self, sentence: SentenceId) {
        self.act(Do::SaidAll(sentence));
    }

    /// Presses keys behind what is to be said.
    pub fn press(&self, keys: &str) {
        self.act(Do::Press(keys.to_owned()));
    }

    fn act(&self, what: Do) {
        send(&self.commands, &self.waker, Command::Do(self.id, what));
    }
}

fn send(commands: &std_mpsc::Sender<Command>, waker: &Waker, command: Command) {
    // A floor that has stopped has ended all streams.
    if commands.send(command).is_ok() {
        let _ = waker.wake();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.closed {
            let recorded = self.recorded.take();
            self.act(Do::Abandon(recorded));
        }
    }
}
