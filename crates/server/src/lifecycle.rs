//! The life of the process: workers, the drain, the end. In: long-running futures and signals. Out: why the process
//! stopped. Never here: what the workers do, and `tokio::spawn` anywhere else.
//!
//! ```text
//! running ──SIGTERM, SIGINT, stop()──▶ draining ──all done──▶ Drained
//!    │                                    └── time is up, or a second signal ──▶ Cut
//!    └── a worker fails, panics or ends ──▶ the same drain ──▶ Failed
//! ```
//! A cut drops what is left at its next await. That is safe, since work is taken by lease: the next start, or another
//! node, does it again.

use std::any::Any;
use std::fmt::Display;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::telemetry::names;

/// How long tasks get to be dropped after the cut.
const CUT: Duration = Duration::from_secs(1);

/// Spawns what runs beside the requests, and brings it to an end. Clones share one life.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    tasks: TaskTracker,
    stop: CancellationToken,
    cut: CancellationToken,
    failure: Arc<OnceLock<String>>,
    drain: Duration,
}

/// Why the process stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Stopped {
    /// It was told to, and everything under way finished.
    Drained,
    /// It was told to, and what was left was dropped.
    Cut,
    /// A worker failed; the text says which, and how.
    Failed(String),
}

impl Stopped {
    /// 0 when it was told to stop, 1 when it failed, so that a supervisor starts it again.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Drained | Self::Cut => ExitCode::SUCCESS,
            Self::Failed(_) => ExitCode::FAILURE,
        }
    }
}

impl Lifecycle {
    /// A life in which nothing runs yet; `drain` is the time for what is under way at the end.
    pub fn new(drain: Duration) -> Self {
        Self {
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
            failure: Arc::default(),
            drain,
        }
    }

    /// Cancelled when the drain begins: take no new work, finish what is under way, return.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Begins the drain from within, as a signal would.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Runs a worker that lives until the stop token is cancelled. The process stops with an error when the worker
    /// fails, panics, or returns before that: a worker that is silently gone would be found days later.
    pub fn spawn_worker<E: Display>(
        &self,
        name: &'static str,
        worker: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let life = self.clone();
        self.tasks.spawn(async move {
            let Some(ended) = life.cut.run_until_cancelled(AssertUnwindSafe(worker).catch_unwind()).await else {
                return;
            };
            match ended {
                Ok(Ok(())) if life.stop.is_cancelled() => {
                    tracing::debug!(worker = name, "worker drained")
                }
                Ok(Ok(())) => life.fail(format!("worker {name} ended, though nobody stopped it")),
                Ok(Err(error)) => life.fail(format!("worker {name} failed: {error}")),
                Err(panic) => life.fail(format!("worker {name} panicked: {}", message(&*panic))),
            }
        });
    }

    /// Runs a short task, which the drain waits for. A panic is logged and counted and stops nothing else: one poisoned
    /// job must not take the process down at every start.
    pub fn spawn_task(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let cut = self.cut.clone();
        self.tasks.spawn(async move {
            if let Some(Err(panic)) = cut.run_until_cancelled(AssertUnwindSafe(task).catch_unwind()).await {
                metrics::counter!(names::TASK_PANICS, "task" => name).increment(1);
                tracing::error!(task = name, panic = message(&*panic), "task panicked");
            }
        });
    }

    /// Waits for SIGTERM, SIGINT, `stop()` or a failure, then drains, and cuts when the time is up or on a second signal.
    pub async fn run_until_stopped(&self) -> Stopped {
        match signals::Signals::listen() {
            Ok(signals) => self.run(signals).await,
            Err(error) => {
                self.fail(format!("signals can't be listened to: {error}"));
                self.run(Deaf).await
            }
        }
    }

    async fn run(&self, mut signals: impl SignalSource) -> Stopped {
        tokio::select! {
            () = self.stop.cancelled() => {}
            name = signals.next() => tracing::info!(signal = name, "stopping: what is under way gets {:?}", self.drain),
        }
        self.stop.cancel();
        self.tasks.close();
        let drained = tokio::select! {
            drained = timeout(self.drain, self.tasks.wait()) => drained.is_ok(),
            name = signals.next() => {
                tracing::warn!(signal = name, "stopping at once");
                false
            }
        };
        if !drained {
            tracing::warn!(tasks = self.tasks.len(), "cutting what is still under way");
            self.cut.cancel();
            if timeout(CUT, self.tasks.wait()).await.is_err() {
                tracing::warn!(tasks = self.tasks.len(), "some tasks block and can't be dropped");
            }
        }
        match self.failure.get() {
            Some(failure) => Stopped::Failed(failure.clone()),
            None if drained => Stopped::Drained,
            None => Stopped::Cut,
        }
    }

    /// Keeps the first failure as the reason, and begins the drain.
    fn fail(&self, failure: String) {
        tracing::error!("{failure}");
        // A later one is most often a consequence of the first, and is logged above.
        let _ = self.failure.set(failure);
        self.stop.cancel();
    }
}

/// What asks the process to stop; a test asks through a channel.
trait SignalSource: Send {
    /// Waits for the next signal and gives its name.
    fn next(&mut self) -> impl Future<Output = &'static str> + Send;
}

/// For a process that failed to listen and stops for that.
struct Deaf;

impl SignalSource for Deaf {
    async fn next(&mut self) -> &'static str {
        std::future::pending().await
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// The two signals that end a process.
#[cfg(unix)]
mod signals {
    use tokio::signal::unix::{Signal, SignalKind, signal};

    pub(super) struct Signals {
        terminate: Signal,
        interrupt: Signal,
    }

    impl Signals {
        pub(super) fn listen() -> std::io::Result<Self> {
            Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
        }
    }

    impl super::SignalSource for Signals {
        async fn next(&mut self) -> &'static str {
            tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
            }
        }
    }
}

/// Elsewhere there is Ctrl-C only.
#[cfg(not(unix))]
mod signals {
    pub(super) struct Signals;

    impl Signals {
        pub(super) fn listen() -> std::io::Result<Self> {
            Ok(Self)
        }
    }

    impl super::SignalSource for Signals {
        async fn next(&mut self) -> &'static str {
            match tokio::signal::ctrl_c().await {
                Ok(()) => "Ctrl-C",
                Err(_) => std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::pending;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::sync::mpsc;
    use tokio::time::{Instant, sleep};

    use super::*;

    const DRAIN: Duration = Duration::from_secs(20);

    /// A signal for everything that is sent.
    impl SignalSource for mpsc::UnboundedReceiver<()> {
        async fn next(&mut self) -> &'static str {
            match self.recv().await {
                Some(()) => "SIGTEST",
                None => pending().await,
            }
        }
    }

    async fn run(life: Lifecycle, signals: mpsc::UnboundedReceiver<()>) -> Stopped {
        life.run(signals).await
    }

    #[tokio::test]
    async fn a_signal_lets_finish_what_is_under_way() {
        let life = Lifecycle::new(DRAIN);
        let (signal, signals) = mpsc::unbounded_channel();
        let stop = life.stop_token();
        let finished = Arc::new(AtomicBool::new(false));
        let done = finished.clone();
        life.spawn_worker("slow", async move {
            stop.cancelled().await;
            sleep(DRAIN / 100).await;
            done.store(true, Ordering::Relaxed);
            Ok::<_, Infallible>(())
        });
        signal.send(()).unwrap();
        assert_eq!(run(life, signals).await, Stopped::Drained);
        assert!(finished.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn what_takes_longer_than_the_drain_is_cut() {
        let drain = Duration::from_millis(50);
        let life = Lifecycle::new(drain);
        life.spawn_worker("endless", pending::<Result<(), Infallible>>());
        life.spawn_task("endless too", pending());
        life.stop();
        let started = Instant::now();
        assert_eq!(run(life, mpsc::unbounded_channel().1).await, Stopped::Cut);
        assert!((drain..CUT).contains(&started.elapsed()), "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn a_second_signal_cuts_at_once() {
        let life = Lifecycle::new(DRAIN);
        let (signal, signals) = mpsc::unbounded_channel();
        life.spawn_worker("endless", pending::<Result<(), Infallible>>());
        signal.send(()).unwrap();
        signal.send(()).unwrap();
        let started = Instant::now();
        assert_eq!(run(life, signals).await, Stopped::Cut);
        assert!(started.elapsed() < DRAIN);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn sigterm_begins_the_drain() {
        let life = Lifecycle::new(DRAIN);
        let stop = life.stop_token();
        life.spawn_worker("patient", async move {
            stop.cancelled().await;
            Ok::<_, Infallible>(())
        });
        let running = life.clone();
        let stopped = tokio::spawn(async move { running.run_until_stopped().await });
        // The signal must not come before it is listened to, or it ends this process.
        sleep(Duration::from_millis(50)).await;
        let process = std::process::id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &process]).status().unwrap().success());
        assert_eq!(stopped.await.unwrap(), Stopped::Drained);
    }

    /// How a life ends in which one worker does what is given and another waits for the stop.
    async fn end_with(worker: impl Future<Output = Result<(), String>> + Send + 'static) -> Stopped {
        let life = Lifecycle::new(DRAIN);
        let stop = life.stop_token();
        life.spawn_worker("patient", async move {
            stop.cancelled().await;
            Ok::<_, Infallible>(())
        });
        life.spawn_worker("odd", worker);
        run(life, mpsc::unbounded_channel().1).await
    }

    #[tokio::test]
    async fn a_worker_that_fails_panics_or_ends_stops_the_process_with_an_error() {
        let failed = end_with(async { Err("disk full".to_owned()) }).await;
        assert_eq!(failed, Stopped::Failed("worker odd failed: disk full".to_owned()));
        assert_eq!(failed.exit_code(), ExitCode::FAILURE);
        let panicked = end_with(async { panic!("number {}", 7) }).await;
        assert_eq!(panicked, Stopped::Failed("worker odd panicked: number 7".to_owned()));
        let ended = end_with(async { Ok(()) }).await;
        assert_eq!(ended, Stopped::Failed("worker odd ended, though nobody stopped it".to_owned()));
    }

    #[tokio::test]
    async fn a_worker_that_fails_while_draining_is_not_overlooked() {
        let life = Lifecycle::new(DRAIN);
        let stop = life.stop_token();
        life.spawn_worker("late", async move {
            stop.cancelled().await;
            Err("could not flush")
        });
        life.stop();
        let stopped = run(life, mpsc::unbounded_channel().1).await;
        assert_eq!(stopped, Stopped::Failed("worker late failed: could not flush".to_owned()));
    }

    #[tokio::test]
    async fn a_task_that_panics_stops_nothing() {
        let life = Lifecycle::new(DRAIN);
        life.spawn_task("poisoned", async { panic!("bad job") });
        tokio::task::yield_now().await;
        assert!(!life.stop_token().is_cancelled());
        life.stop();
        assert_eq!(run(life, mpsc::unbounded_channel().1).await, Stopped::Drained);
    }
}
