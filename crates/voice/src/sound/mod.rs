//! The sound of all calls of a node: threads that give each call its 20 ms.
//!
//! In: what SDP agreed on, and what the agent says, as samples. Out: what the caller says, keys, when somebody begins to speak
//! and stops, and how far each sentence was played. Never here: SIP, speech services, the platform.
//!
//! A thread sleeps in `poll` until the next of its calls is due, and reads datagrams as they come, so that their times are
//! true. Its calls are spread over the 20 ms. It never waits for a disk, a lock or a task.

mod figures;
mod ports;
mod recorder;
mod stream;
mod thread;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::{Poll, Token, Waker};
use offhook_media::dtmf::Digit;
use offhook_media::session::quality::Quality;

use crate::turn::taking::SentenceId;
pub use offhook_media::codec::Codec;
pub use offhook_media::resample::Resampler;
pub use offhook_media::sdp::{Ability, Agreed, Direction, Negotiation, Security};
pub use offhook_media::session::Limits;
pub use offhook_media::srtp::keys::MasterKey;

pub use figures::{Figures, Lateness};
use ports::Ports;
pub use ports::{NoPort, Port};
use recorder::Recorder;
pub use stream::{Closed, Listens, Mouth, Stream, StreamOptions};
use thread::Command;

/// How sound is paced.
#[derive(Debug, Clone)]
pub struct Settings {
    /// At least one.
    pub threads: usize,
    pub bind: IpAddr,
    /// Two for each call; none: whichever are free.
    pub ports: Option<RangeInclusive<u16>>,
    pub limits: Limits,
}

/// What happens in a call's sound.
#[derive(Debug, Clone, PartialEq)]
pub enum SoundEvent {
    SpeechBegan,
    /// Behind all that was heard of it.
    SpeechEnded,
    /// What the caller says, in pieces, at so many samples a second; where somebody listens.
    Heard {
        samples: Vec<i16>,
        rate: u32,
    },
    Key(Digit),
    FirstPacketIn,
    FirstPacketOut,
    Playing {
        sentence: SentenceId,
        so_far: Duration,
        whole: Duration,
    },
    Played(SentenceId),
    /// Nothing is heard of the other side any more.
    TimedOut,
    /// How well it was heard so far; from time to time.
    Quality(Quality),
}

/// The threads of a node, and its ports. Dropping it ends them.
pub struct Floor {
    threads: Vec<Worker>,
    next: AtomicUsize,
    ports: Arc<Ports>,
    recorder: Recorder,
    limits: Limits,
    lateness: Arc<Lateness>,
}

struct Worker {
    commands: mpsc::Sender<Command>,
    waker: Arc<Waker>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

/// What wakes a thread for its commands; calls have the numbers above.
const WAKE: Token = Token(0);

impl Floor {
    /// Starts the threads.
    ///
    /// # Errors
    /// The operating system gives no thread, or nothing to wait with.
    pub fn start(settings: &Settings) -> std::io::Result<Self> {
        let lateness = Arc::new(Lateness::default());
        let recorder = Recorder::start()?;
        let threads = (0..settings.threads.max(1)).map(|n| Worker::start(n, lateness.clone()));
        Ok(Self {
            threads: threads.collect::<std::io::Result<_>>()?,
            next: AtomicUsize::new(0),
            ports: Arc::new(Ports::new(settings.bind, settings.ports.clone())),
            recorder,
            limits: settings.limits,
            lateness,
        })
    }

    /// Takes two ports for a call's sound and its reports. Dropped, they are free again.
    ///
    /// # Errors
    /// [`NoPort`]: all are taken, or no thread is left.
    pub fn open(&self) -> Result<Port, NoPort> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let all = (0..self.threads.len()).map(|n| &self.threads[first.wrapping_add(n) % self.threads.len()]);
        // One that has panicked has no calls any more.
        let worker = all.into_iter().find(|worker| worker.works()).ok_or_else(NoPort::without_threads)?;
        self.ports.take(worker.commands.clone(), worker.waker.clone(), self.recorder.clone(), self.limits)
    }

    /// How punctual it was so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.lateness.figures(self.recorder.lost())
    }
}

impl Worker {
    fn works(&self) -> bool {
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        handle.as_ref().is_some_and(|handle| !handle.is_finished())
    }

    fn start(n: usize, lateness: Arc<Lateness>) -> std::io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (commands, taken) = mpsc::channel();
        let handle = std::thread::Builder::new()
            .name(format!("sound {n}"))
            .spawn(move || thread::run(poll, &taken, &lateness))?;
        Ok(Self { commands, waker, handle: Mutex::new(Some(handle)) })
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        for worker in &self.threads {
            let _ = worker.commands.send(Command::Stop);
            let _ = worker.waker.wake();
        }
        for worker in &self.threads {
            if let Some(handle) = worker.handle.lock().unwrap_or_else(PoisonError::into_inner).take() {
                // A thread that panicked has told so by itself.
                let _ = handle.join();
            }
        }
    }
}
