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

use crate::error::StoreError;

/// One SQL text for both engines: `$1 … $n`, first used in that order (SQLite numbers them as they appear).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sql(pub &'static str);

/// Declares a module's statements, and `STATEMENTS` as the list of them all, so that a test can PREPARE each.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)+) => {
        $($(#[$doc])* const $name: $crate::engine::Sql = $crate::engine::Sql($sql);)+
        pub(crate) const STATEMENTS: &[$crate::engine::Sql] = &[$($name),+];
    };
}
pub(crate) use statements;

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
        Postgres::open(url, connections).await.map(Self::Postgres)
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
        let work = async move |tx: &mut Tx| {
            let value = work(tx).await?;
            tx.write_sums().await?;
            Ok(value)
        };
        let result = match self {
            Self::Sqlite(sqlite) => sqlite.write(work).await,
            Self::Postgres(postgres) => postgres.write(work).await,
        };
        watch.stop();
        result
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
        let result = match self {
            Self::Sqlite(sqlite) => sqlite.write(work).await,
            Self::Postgres(postgres) => postgres.urgent(work).await,
        };
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
        let result = match self {
            Self::Sqlite(sqlite) => sqlite.read(work).await,
            Self::Postgres(postgres) => postgres.read(work).await,
        };
        watch.stop();
        result
    }
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
