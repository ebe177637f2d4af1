//! How a transaction runs on either engine.
//!
//! In: an async closure over [`Tx`]. Out: its result, once committed. The closure is shipped to a thread
//! that owns the connections, so it may be run again from the start when it met another transaction, and
//! its future need not be `Send`. It must await nothing but its `Tx`. Never here: what is stored.

mod postgres;
mod sqlite;
mod tx;
mod value;

use std::path::Path;
use std::time::Instant;

pub use postgres::Postgres;
pub use sqlite::{OpenSqliteError, Sqlite};
pub use tx::{Engine, Tx};
pub use value::{FromValue, IntoValue, Row, Value};

use tokio::sync::oneshot;

use crate::error::StoreError;

/// One SQL text for both engines: `$1 … $n`, first used in that order (SQLite numbers them as they appear).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sql(pub &'static str);

/// One statement for many rows of parameters, in two texts, because what makes many rows cheap differs: SQLite, inside the
/// process, runs `one` for each row, and so does PostgreSQL for a few. For more it runs `all` once, with a list of values
/// for each parameter (`unnest(…) WITH ORDINALITY AS e (…, n)`), and tells by `n` which row is meant: `RETURNING e.n`
/// where it is to tell which rows it changed, `e.n` as the first column of a query.
///
/// `all` does everything at once: no row of parameters sees what another one changed, and no two may name the same row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlMany {
    pub one: Sql,
    pub all: Sql,
}

/// Declares a module's statements, and `STATEMENTS` as the list of them all, so that a test can PREPARE each.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)+) => {
        $($(#[$doc])* const $name: $crate::engine::Sql = $crate::engine::Sql($sql);)+
        pub(crate) const STATEMENTS: &[$crate::engine::Sql] = &[$($name),+];
    };
}
pub(crate) use statements;

/// Declares a module's statements over many rows, and `STATEMENTS_FOR_MANY` as the list of them all.
macro_rules! statements_for_many {
    ($($(#[$doc:meta])* $name:ident = { one: $one:expr, all: $all:expr $(,)? };)+) => {
        $($(#[$doc])* const $name: $crate::engine::SqlMany =
            $crate::engine::SqlMany { one: $crate::engine::Sql($one), all: $crate::engine::Sql($all) };)+
        pub(crate) const STATEMENTS_FOR_MANY: &[$crate::engine::SqlMany] = &[$($name),+];
    };
}
pub(crate) use statements_for_many;

/// The parameters of a statement, in order.
macro_rules! params {
    ($($value:expr),* $(,)?) => { [$($crate::engine::IntoValue::into_value($value)),*] };
}
pub(crate) use params;

/// A unit of work on the store: shipped whole, run inside one transaction.
pub trait Work<T, E>: AsyncFn(&mut Tx) -> Result<T, E> + Send + 'static {}
impl<T, E, F: AsyncFn(&mut Tx) -> Result<T, E> + Send + 'static> Work<T, E> for F {}

/// Where everything is kept. Cheap to clone.
#[derive(Clone)]
pub enum Store {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Store {
    /// # Errors
    /// [`OpenSqliteError`] when the file can't be opened or another process has it.
    pub fn open_sqlite(path: &Path, readers: usize) -> Result<Self, OpenSqliteError> {
        Sqlite::open(path, readers).map(Self::Sqlite)
    }

    /// # Errors
    /// [`StoreError::Unavailable`] when the server can't be reached.
    pub async fn open_postgres(url: &str, connections: usize) -> Result<Self, StoreError> {
        let store = Self::Postgres(Postgres::open(url, connections)?);
        store.read(async |tx: &mut Tx| tx.rows(Sql("SELECT 1::BIGINT"), []).await.map(drop)).await?;
        Ok::<_, StoreError>(store)
    }

    /// Which engine this is.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }

    /// Runs `work` in a transaction and answers once that is durable.
    ///
    /// # Errors
    /// What `work` returned (then nothing is kept), or the store's own error.
    pub async fn write<T, E>(&self, work: impl Work<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let watch = Watch::start(self.engine(), "write");
        let work = with_sums(work);
        let (then, answer) = told();
        match self {
            Self::Sqlite(sqlite) => sqlite.write(work, then).await,
            Self::Postgres(postgres) => postgres.write(work, then).await,
        }
        let result = answer.await.unwrap_or_else(|_| Err(stopped()));
        watch.stop();
        result
    }

    /// As [`Store::write`], for one who can't wait: `then` is given the result. It must not wait either, for it runs
    /// where the transactions do. Dropped unused it tells that the work was not taken up: the queue is full, or the
    /// store has stopped.
    pub fn write_soon<T, E>(&self, work: impl Work<T, E>, then: impl FnOnce(Result<T, E>) + Send + 'static)
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let watch = Watch::start(self.engine(), "write");
        let work = with_sums(work);
        let then = move |result| {
            watch.stop();
            then(result);
        };
        match self {
            Self::Sqlite(sqlite) => sqlite.write_soon(work, then),
            Self::Postgres(postgres) => postgres.write_soon(work, then),
        }
    }

    /// As [`Store::write`], for the few that must not wait behind all others: on PostgreSQL it has a queue and a
    /// connection of its own. On SQLite there is one writer, and it is the same.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn urgent<T, E>(&self, work: impl Work<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let watch = Watch::start(self.engine(), "urgent");
        let (then, answer) = told();
        match self {
            Self::Sqlite(sqlite) => sqlite.write(work, then).await,
            Self::Postgres(postgres) => postgres.urgent(work, then).await,
        }
        let result = answer.await.unwrap_or_else(|_| Err(stopped()));
        watch.stop();
        result
    }

    /// Runs `work`, which must not write, on a snapshot (SQLite) or statement by statement (PostgreSQL).
    ///
    /// # Errors
    /// What `work` returned, or the store's own error.
    pub async fn read<T, E>(&self, work: impl Work<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let watch = Watch::start(self.engine(), "read");
        let (then, answer) = told();
        match self {
            Self::Sqlite(sqlite) => sqlite.read(work, then).await,
            Self::Postgres(postgres) => postgres.read(work, then).await,
        }
        let result = answer.await.unwrap_or_else(|_| Err(stopped()));
        watch.stop();
        result
    }
}

/// The work and then the sums it put together.
fn with_sums<T, E: From<StoreError>>(work: impl Work<T, E>) -> impl Work<T, E> {
    async move |tx: &mut Tx| {
        let value = work(tx).await?;
        tx.write_sums().await?;
        Ok(value)
    }
}

/// A place for a result, and where it is waited for.
fn told<T: Send + 'static>() -> (impl FnOnce(T) + Send + 'static, oneshot::Receiver<T>) {
    let (reply, answer) = oneshot::channel();
    // The caller may have gone away; what is committed stays committed.
    (move |result| drop(reply.send(result)), answer)
}

fn stopped<E: From<StoreError>>() -> E {
    StoreError::Unavailable("the store has stopped".to_owned()).into()
}

/// Times a transaction, its wait for the writer or a connection included.
struct Watch {
    engine: &'static str,
    kind: &'static str,
    started: Instant,
}

impl Watch {
    fn start(engine: Engine, kind: &'static str) -> Self {
        let engine = match engine {
            Engine::Sqlite => "sqlite",
            Engine::Postgres => "postgres",
        };
        Self { engine, kind, started: Instant::now() }
    }

    fn stop(self) {
        let seconds = self.started.elapsed().as_secs_f64();
        metrics::histogram!("offhook_store_transaction_seconds", "engine" => self.engine, "kind" => self.kind)
            .record(seconds);
    }
}
