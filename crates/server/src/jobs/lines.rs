//! Work that is divided into lines, each worked on by one node at a time.
//!
//! In: the names of lines with work (from a commit on this node, or from the sweep that also finds what a dead
//! node left). Out: [`LineWork::work`] running for a line under a [`Hold`]. A line is a sending number or a
//! webhook: order and rates are kept by its one worker, in memory. Never here: what the work is.
//!
//! On SQLite there is one process, so every line is its own. On PostgreSQL a line is held by a lease that is
//! renewed while work goes on; a node that was paused past its lease sees so before it touches the network.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use offhook_domain::Timestamp;
use offhook_store::{Engine, StoreError};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::App;

/// How often each node looks for lines with due work that nobody told it of.
const SWEEP: Duration = Duration::from_secs(1);
/// A lease counts as lost this much before it ends, so that pauses have room. It is counted from before it was asked for,
/// by a clock that no one sets; in the store it ends by the database's.
const MARGIN: Duration = Duration::from_millis(500);
/// Before the first repeat of what the database did not take.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

/// A kind of work in lines.
pub trait LineWork: Send + Sync + 'static {
    /// The first part of the lease's name.
    const KIND: &'static str;

    /// Lines that have work due at `now`, or work that its worker left half done.
    fn due(&self, now: Timestamp) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;

    /// Works on a line until nothing is due and nothing came for a while, the hold is lost, or a stop is asked.
    fn work(&self, line: &str, hold: &Hold) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A lease as its row knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseName {
    pub resource: String,
    /// The node.
    pub owner: String,
}

/// The right to work on one line.
pub struct Hold {
    epoch: i64,
    /// `None` where there is no lease.
    lease: Option<LeaseName>,
    /// `None` where there is no lease to lose.
    until: Option<Mutex<Instant>>,
    wake: Arc<Notify>,
    stop: CancellationToken,
}

impl Hold {
    /// Grows with every change of hands of the line, and with every start of a process.
    #[must_use]
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// The lease, for a transaction that must not be kept when the line has changed hands.
    #[must_use]
    pub fn lease(&self) -> Option<&LeaseName> {
        self.lease.as_ref()
    }

    /// Whether the line is still ours. Ask right before touching the network.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.until().is_none_or(|until| Instant::now() < until)
    }

    /// When the hold ends unless it is extended, where it does.
    #[must_use]
    pub fn until(&self) -> Option<Instant> {
        // Of a lock that is poisoned nothing is known: as good as over.
        self.until.as_ref().map(|until| until.lock().map_or_else(|_| Instant::now(), |until| *until))
    }

    /// Whether no new work may be begun.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits until the line is rung, a stop is asked or `deadline` passes; true when it was rung.
    pub async fn woken(&self, deadline: Instant) -> bool {
        tokio::select! {
            () = self.wake.notified() => true,
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep_until(deadline.into()) => false,
        }
    }

    fn extend(&self, until: Instant) {
        if let Some(place) = &self.until
            && let Ok(mut place) = place.lock()
        {
            *place = until;
        }
    }
}

/// Runs one kind of work until asked to stop; then lets every line finish what it has begun.
///
/// # Errors
/// A line's worker that panicked: the process must not go on without it.
pub async fn run<W: LineWork>(
    app: App,
    work: Arc<W>,
    mut rung: mpsc::UnboundedReceiver<String>,
    stop: CancellationToken,
) -> Result<(), String> {
    let (found, mut swept) = mpsc::channel(1024);
    let sweeper = sweep(&app, &*work, found).fuse();
    tokio::pin!(sweeper);
    let mut lines = Lines {
        app: app.clone(),
        work: work.clone(),
        stop: stop.clone(),
        active: HashMap::new(),
        tasks: JoinSet::new(),
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(line) = rung.recv() => lines.ring(line),
            Some(line) = swept.recv() => lines.ring(line),
            Some(done) = lines.tasks.join_next() => lines.ended(done)?,
            () = &mut sweeper => {}
        }
    }
    while let Some(done) = lines.tasks.join_next().await {
        lines.ended(done)?;
    }
    Ok(())
}

type Ended = Result<String, tokio::task::JoinError>;

struct Lines<W> {
    app: App,
    work: Arc<W>,
    stop: CancellationToken,
    active: HashMap<String, Arc<Notify>>,
    tasks: JoinSet<String>,
}

impl<W: LineWork> Lines<W> {
    fn ring(&mut self, line: String) {
        if let Some(wake) = self.active.get(&line) {
            wake.notify_one();
            return;
        }
        let wake = Arc::new(Notify::new());
        self.active.insert(line.clone(), wake.clone());
        let (app, work, stop) = (self.app.clone(), self.work.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            if let Err(error) = hold_and_work(&app, &*work, &line, wake, stop).await {
                tracing::warn!(kind = W::KIND, %error, "a line of work stopped; the sweep will start it again");
            }
            line
        });
    }

    fn ended(&mut self, done: Ended) -> Result<(), String> {
        let line = done.map_err(|error| format!("{} worker: {error}", W::KIND))?;
        let wake = self.active.remove(&line);
        // Rung between its last look and its end: look again.
        let rung = wake.is_some_and(|wake| wake.notified().now_or_never().is_some());
        if rung && !self.stop.is_cancelled() {
            self.ring(line);
        }
        Ok(())
    }
}

/// Tells the dispatcher of lines with due work, less those another node holds. Never ends.
async fn sweep<W: LineWork>(app: &App, work: &W, found: mpsc::Sender<String>) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = app.now();
        match due_here(app, work, now).await {
            Ok(lines) => {
                for line in lines {
                    // The dispatcher outlives the sweep it polls.
                    drop(found.send(line).await);
                }
            }
            Err(error) => tracing::warn!(kind = W::KIND, %error, "looking for due work failed"),
        }
    }
}

async fn due_here<W: LineWork>(app: &App, work: &W, now: Timestamp) -> Result<Vec<String>, StoreError> {
    let mut lines = work.due(now).await?;
    if app.store.engine() == Engine::Postgres && !lines.is_empty() {
        let owner = app.node.clone();
        let elsewhere: HashSet<String> = app
            .store
            .read::<_, StoreError>(async move |tx| tx.leases_of_others(&owner).await)
            .await?
            .into_iter()
            .collect();
        lines.retain(|line| !elsewhere.contains(&resource::<W>(line)));
    }
    Ok(lines)
}

fn resource<W: LineWork>(line: &str) -> String {
    format!("{}:{line}", W::KIND)
}

async fn hold_and_work<W: LineWork>(
    app: &App,
    work: &W,
    line: &str,
    wake: Arc<Notify>,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    if app.store.engine() == Engine::Sqlite {
        return work
            .work(line, &Hold { epoch: app.started_at.as_micros(), lease: None, until: None, wake, stop })
            .await;
    }
    let resource = resource::<W>(line);
    let asked = Instant::now();
    let Some(epoch) = acquire(app, &resource).await? else { return Ok(()) };
    let until = Some(Mutex::new(asked + app.config.leases.duration - MARGIN));
    let lease = Some(LeaseName { resource: resource.clone(), owner: app.node.clone() });
    let hold = Hold { epoch, lease, until, wake, stop };
    let worked = {
        let working = work.work(line, &hold);
        tokio::pin!(working);
        tokio::select! {
            worked = &mut working => worked,
            // Renewing ends only when the lease is lost: the worker sees so and comes to its end.
            () = renew(app, &resource, &hold) => working.await,
        }
    };
    release(app, &resource, &hold).await;
    worked
}

/// Lets the line go. Otherwise nobody, this node included, could go on with it until the lease is over: a database that
/// was away for a moment would stop for that long all lines it was away for.
async fn release(app: &App, resource: &str, hold: &Hold) {
    let mut pause = SHORTEST_PAUSE;
    loop {
        let (name, owner, epoch) = (resource.to_owned(), app.node.clone(), hold.epoch);
        let released =
            app.store.urgent::<_, StoreError>(async move |tx| tx.release_lease(&name, &owner, epoch).await).await;
        match released {
            Err(error) if hold.is_held() => tracing::warn!(resource, %error, "a lease could not be let go yet"),
            _ => return,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(SWEEP);
    }
}

async fn acquire(app: &App, resource: &str) -> Result<Option<i64>, StoreError> {
    let (resource, owner, duration) = (resource.to_owned(), app.node.clone(), app.config.leases.duration);
    app.store.urgent(async move |tx| tx.acquire_lease(&resource, &owner, duration).await).await
}

async fn renew(app: &App, resource: &str, hold: &Hold) {
    let duration = app.config.leases.duration;
    loop {
        tokio::time::sleep(duration / 3).await;
        let asked = Instant::now();
        let (name, owner, epoch) = (resource.to_owned(), app.node.clone(), hold.epoch);
        let renewed = app
            .store
            .urgent::<_, StoreError>(async move |tx| tx.renew_lease(&name, &owner, epoch, duration).await)
            .await;
        match renewed {
            Ok(true) => hold.extend(asked + duration - MARGIN),
            Ok(false) => {
                hold.extend(asked);
                return;
            }
            Err(error) => {
                tracing::warn!(resource, %error, "a lease could not be renewed");
                if !hold.is_held() {
                    return;
                }
            }
        }
    }
}
