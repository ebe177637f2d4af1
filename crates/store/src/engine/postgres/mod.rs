//! PostgreSQL: one thread that drives all connections of this node, pipelining what can be.
//!
//! A transaction's closure runs on that thread. Statements whose result nobody needs are put off and sent
//! in one go with the next query or with COMMIT, so that a typical transaction costs two or three round
//! trips however many rows it writes.

mod errors;
mod many;
mod pool;
mod session;
mod values;

use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join, select};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_postgres::Config;

use super::Work;
use crate::error::StoreError;
use pool::Pool;
pub(super) use session::Session;

const QUEUE: usize = 8192;

#[derive(Clone)]
pub struct Postgres {
    jobs: mpsc::Sender<Job>,
    urgent: mpsc::Sender<Job>,
}

type Job = Box<dyn FnOnce(Rc<Pool>) -> LocalBoxFuture<'static, ()> + Send>;

impl Postgres {
    /// Connects when something is first asked.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the URL is wrong.
    pub fn open(url: &str, connections: usize) -> Result<Self, StoreError> {
        let config = pool::configure(url)?;
        let (jobs, ordinary) = mpsc::channel(QUEUE);
        let (urgent, first) = mpsc::channel(QUEUE);
        let limit = connections.max(1);
        std::thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(move || run_thread(config, limit, ordinary, first))
            .map_err(|e| StoreError::Unavailable(e.to_string()))?;
        Ok(Self { jobs, urgent })
    }

    pub(super) async fn write<T, E>(&self, work: impl Work<T, E>, then: impl FnOnce(Result<T, E>) + Send + 'static)
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        submit(&self.jobs, job(work, true, then)).await;
    }

    /// As [`Postgres::write`], where there is room for it at once.
    pub(super) fn write_soon<T, E>(&self, work: impl Work<T, E>, then: impl FnOnce(Result<T, E>) + Send + 'static)
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        drop(self.jobs.try_send(job(work, true, then)));
    }

    /// As [`Postgres::write`], but not behind what waits there.
    pub(super) async fn urgent<T, E>(&self, work: impl Work<T, E>, then: impl FnOnce(Result<T, E>) + Send + 'static)
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        submit(&self.urgent, job(work, true, then)).await;
    }

    pub(super) async fn read<T, E>(&self, work: impl Work<T, E>, then: impl FnOnce(Result<T, E>) + Send + 'static)
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        submit(&self.jobs, job(work, false, then)).await;
    }
}

/// Where the thread has stopped, what is to be told the result goes unused with the job.
async fn submit(jobs: &mpsc::Sender<Job>, job: Job) {
    drop(jobs.send(job).await);
}

fn job<T, E>(work: impl Work<T, E>, writes: bool, then: impl FnOnce(Result<T, E>) + Send + 'static) -> Job
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    Box::new(move |pool| async move { then(session::run_work(&pool, work, writes).await) }.boxed_local())
}

fn run_thread(config: Config, limit: usize, ordinary: mpsc::Receiver<Job>, urgent: mpsc::Receiver<Job>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no runtime for PostgreSQL");
            return;
        }
    };
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let (places, reserved) = (Arc::new(Semaphore::new(limit)), Arc::new(Semaphore::new(1)));
        let pool = Rc::new(Pool::new(config));
        join(
            run_queue(&pool, ordinary, || places.clone().acquire_owned().boxed_local()),
            run_queue(&pool, urgent, || {
                // Behind at most the one that stands first in the other queue.
                let any = select(
                    reserved.clone().acquire_owned().boxed_local(),
                    places.clone().acquire_owned().boxed_local(),
                );
                any.map(|place| place.factor_first().0).boxed_local()
            }),
        )
        .await;
    });
}

/// Runs the jobs of a queue in their order, each as soon as there is a place for it.
async fn run_queue(pool: &Rc<Pool>, mut jobs: mpsc::Receiver<Job>, place: impl Fn() -> LocalBoxFuture<'static, Place>) {
    while let Some(job) = jobs.recv().await {
        // A closed semaphore is impossible: nothing closes it.
        let place = place().await;
        let work = job(pool.clone());
        tokio::task::spawn_local(async move {
            work.await;
            drop(place);
        });
    }
}

type Place = Result<OwnedSemaphorePermit, AcquireError>;
