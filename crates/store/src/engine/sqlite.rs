//! SQLite: one writer thread that groups commits, a few readers beside it, one process per file.
//!
//! `synchronous=FULL` in WAL mode: a commit is on the disk before anyone hears of it. While one group is
//! being synced the next one queues up, so the syncs are shared and a lone write still waits for only one.

use std::fs::{File, TryLockError};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, ToSql};
use tokio::sync::mpsc;

use super::value::{Row, Value};
use super::{Sql, Tx, Work};
use crate::error::StoreError;

/// How many transactions may wait before callers are held back.
const QUEUE: usize = 8192;
/// The most transactions in one commit.
const GROUP: usize = 512;
const STATEMENT_CACHE: usize = 256;
/// How long a statement waits for another process, such as one that makes a backup.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of this length the write-ahead log is brought home, page by page.
const LOG_PAGES: i64 = 4_000;
/// From this length on it is made to start over: twice what it needs.
const LONG_LOG: u64 = 32 << 20;
/// How long that waits for readers, for each time that it is so long, and how often it is tried: meanwhile nobody
/// writes.
const PATIENCE_WITH_READERS: Duration = Duration::from_millis(100);
const MOST_PATIENCE: u32 = 10;
const BETWEEN_TRIES: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum OpenSqliteError {
    #[error("{path} is in use by another process: one Offhook per SQLite file (use PostgreSQL for more nodes)")]
    InUse { path: PathBuf },
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}: {source}")]
    Sqlite { path: PathBuf, source: rusqlite::Error },
}

#[derive(Clone)]
pub struct Sqlite {
    shared: Arc<Shared>,
}

struct Shared {
    writer: Worker,
    readers: Vec<Worker>,
    turn: AtomicUsize,
    /// Held for as long as the store is open: dropped after the workers, which end first.
    _lock: File,
}

impl Sqlite {
    /// # Errors
    /// [`OpenSqliteError::InUse`] when another process has the file.
    pub fn open(path: &Path, readers: usize) -> Result<Self, OpenSqliteError> {
        let lock = lock(path)?;
        let open = || connect(path).map_err(|source| OpenSqliteError::Sqlite { path: path.to_owned(), source });
        let open_reader = || {
            let connection = open()?;
            let guarded = connection.pragma_update(None, "query_only", true);
            guarded.map(|()| connection).map_err(|source| OpenSqliteError::Sqlite { path: path.to_owned(), source })
        };
        let writer = Worker::spawn(open()?, "sqlite-writer", write_loop);
        let readers = (0..readers.max(1))
            .map(|_| Ok(Worker::spawn(open_reader()?, "sqlite-reader", read_loop)))
            .collect::<Result<_, _>>()?;
        Ok(Self { shared: Arc::new(Shared { writer, readers, turn: AtomicUsize::new(0), _lock: lock }) })
    }

    pub(super) async fn write<T, E>(&self, work: impl Work<T, E>, then: impl FnOnce(Result<T, E>) + Send + 'static)
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        submit(&self.shared.writer.jobs, Typed::boxed(work, then)).await;
    }

    /// As [`Sqlite::write`], where there is room for it at once.
    pub(super) fn write_soon<T, E>(&self, work: impl Work<T, E>, then: impl FnOnce(Result<T, E>) + Send + 'static)
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        drop(self.shared.writer.jobs.try_send(Typed::boxed(work, then)));
    }

    pub(super) async fn read<T, E>(&self, work: impl Work<T, E>, then: impl FnOnce(Result<T, E>) + Send + 'static)
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let turn = self.shared.turn.fetch_add(1, Ordering::Relaxed) % self.shared.readers.len();
        submit(&self.shared.readers[turn].jobs, Typed::boxed(work, then)).await;
    }
}

fn lock(path: &Path) -> Result<File, OpenSqliteError> {
    let lock_path = path.with_extension("lock");
    let io = |source| OpenSqliteError::Io { path: lock_path.clone(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenSqliteError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    connection.busy_timeout(PATIENCE)?;
    // Else SQLite looks at the value of a LIMIT's parameter, and so parses and plans the statement anew at every use.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -16_000)?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

/// A thread with a connection of its own.
struct Worker {
    jobs: mpsc::Sender<Box<dyn Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    fn spawn(connection: Connection, name: &str, work: fn(Rc<Connection>, mpsc::Receiver<Box<dyn Job>>)) -> Self {
        let (jobs, receiver) = mpsc::channel(QUEUE);
        let thread =
            std::thread::Builder::new().name(name.to_owned()).spawn(move || work(Rc::new(connection), receiver));
        // Without a thread the receiver is gone with the closure: every caller will hear that the store has stopped.
        let thread = thread.inspect_err(|error| tracing::error!(%error, name, "no thread for the store")).ok();
        Self { jobs, thread }
    }
}

impl Drop for Worker {
    /// Waits for what is queued, so that the file is free when the store is gone.
    fn drop(&mut self) {
        self.jobs = mpsc::channel(1).0;
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != std::thread::current().id()) {
            drop(thread.join());
        }
    }
}

fn write_loop(connection: Rc<Connection>, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
    let mut group: Vec<Box<dyn Job>> = Vec::with_capacity(GROUP);
    let mut log = Log::of(&connection);
    while let Some(first) = jobs.blocking_recv() {
        let mut next = Some(first);
        let outcome = run_group(&connection, &mut group, || next.take().or_else(|| jobs.try_recv().ok()));
        for job in group.drain(..) {
            job.finish(outcome.as_ref().copied());
        }
        log.keep_short(&connection);
    }
}

/// The write-ahead log's file. SQLite brings its pages home on the way, but starts it over only in a moment in which
/// nobody reads from it, and where somebody always does, that moment never comes.
struct Log {
    path: Option<PathBuf>,
    next_try: Instant,
}

impl Log {
    fn of(connection: &Connection) -> Self {
        let path = connection.path().map(|path| PathBuf::from(format!("{path}-wal")));
        Self { path, next_try: Instant::now() }
    }

    /// Where it has grown, makes that moment: new readers find all at home, and the last of the others is waited for.
    fn keep_short(&mut self, connection: &Connection) {
        let size = self.path.as_ref().and_then(|path| std::fs::metadata(path).ok()).map_or(0, |file| file.len());
        if size < LONG_LOG || Instant::now() < self.next_try {
            return;
        }
        self.next_try = Instant::now() + BETWEEN_TRIES;
        let times = u32::try_from(size / LONG_LOG).unwrap_or(u32::MAX).min(MOST_PATIENCE);
        drop(connection.busy_timeout(PATIENCE_WITH_READERS * times));
        let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        drop(connection.busy_timeout(PATIENCE));
        if !matches!(busy, Ok(0)) {
            // An operator's own reader, as a rule, or a disk with no room for what is to come home.
            tracing::warn!(megabytes = size >> 20, error = ?busy.err(), "SQLite's log grows and can't be started over now");
        }
    }
}

/// Runs jobs, each in a savepoint of its own, until there are none waiting; then commits them together.
fn run_group(
    connection: &Rc<Connection>,
    group: &mut Vec<Box<dyn Job>>,
    mut next: impl FnMut() -> Option<Box<dyn Job>>,
) -> Result<(), StoreError> {
    if !connection.is_autocommit() {
        // The group before could neither be committed nor rolled back.
        drop(batch(connection, "ROLLBACK"));
    }
    let begun = batch(connection, "BEGIN IMMEDIATE");
    while group.len() < GROUP {
        let Some(mut job) = next() else { break };
        if begun.is_ok() && !connection.is_autocommit() {
            run_in_savepoint(connection, job.as_mut());
        }
        group.push(job);
    }
    begun?;
    if connection.is_autocommit() {
        // A full disk or an I/O error rolls the whole transaction back, the jobs before it included.
        let text = "the database rolled the transaction back (disk full or I/O error)";
        return Err(StoreError::Unavailable(text.to_owned()));
    }
    commit(connection).inspect_err(|_| drop(batch(connection, "ROLLBACK")))
}

/// What was written whole and could not be synced is not kept while this process lives, for the next commit takes its
/// place. After a crash before that it may be found, and kept.
fn commit(connection: &Connection) -> Result<(), StoreError> {
    let ended = connection.prepare_cached("COMMIT").and_then(|mut statement| statement.raw_execute().map(drop));
    ended.map_err(|error| match error.sqlite_error().map(|e| e.extended_code) {
        Some(rusqlite::ffi::SQLITE_IOERR_FSYNC) => StoreError::Unknown(error.to_string()),
        _ => store_error(error),
    })
}

fn run_in_savepoint(connection: &Rc<Connection>, job: &mut dyn Job) {
    if let Err(error) = batch(connection, "SAVEPOINT job") {
        job.fail(&error);
        return;
    }
    let kept = job.run(Tx::on_sqlite(connection.clone(), true));
    if connection.is_autocommit() {
        return;
    }
    let ended = if kept {
        batch(connection, "RELEASE job")
    } else {
        batch(connection, "ROLLBACK TO job").and_then(|()| batch(connection, "RELEASE job"))
    };
    if let Err(error) = ended {
        // What it wrote can't be told from what the others wrote: none of it may be kept.
        job.fail(&error);
        drop(batch(connection, "ROLLBACK"));
    }
}

fn read_loop(connection: Rc<Connection>, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
    while let Some(mut job) = jobs.blocking_recv() {
        let begun = batch(&connection, "BEGIN");
        if begun.is_ok() {
            job.run(Tx::on_sqlite(connection.clone(), false));
        }
        if !connection.is_autocommit() {
            drop(batch(&connection, "ROLLBACK"));
        }
        job.finish(begun.as_ref().copied());
    }
}

fn batch(connection: &Connection, sql: &'static str) -> Result<(), StoreError> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.raw_execute().map(drop)).map_err(store_error)
}

pub(super) fn execute(connection: &Connection, sql: Sql, params: &[Value]) -> Result<u64, StoreError> {
    let mut statement = connection.prepare_cached(sql.0).map_err(store_error)?;
    let changed = statement.execute(rusqlite::params_from_iter(params)).map_err(store_error)?;
    Ok(changed as u64)
}

pub(super) fn query(connection: &Connection, sql: Sql, params: &[Value]) -> Result<Vec<Row>, StoreError> {
    let mut statement = connection.prepare_cached(sql.0).map_err(store_error)?;
    let width = statement.column_count();
    let mut cursor = statement.query(rusqlite::params_from_iter(params)).map_err(store_error)?;
    let mut rows = Vec::new();
    while let Some(row) = cursor.next().map_err(store_error)? {
        let columns =
            (0..width).map(|i| row.get_ref(i).map_err(store_error).and_then(read_value)).collect::<Result<_, _>>()?;
        rows.push(Row::new(columns));
    }
    Ok(rows)
}

pub(super) fn define(connection: &Connection, sql: &str) -> Result<(), StoreError> {
    connection.execute_batch(sql).map_err(store_error)
}

/// Also checks that parameters first appear in the order of their numbers, which is how they are bound.
pub(super) fn prepare(connection: &Connection, sql: Sql) -> Result<(), StoreError> {
    let statement = connection.prepare(sql.0).map_err(store_error)?;
    for i in 1..=statement.parameter_count() {
        if statement.parameter_name(i) != Some(format!("${i}").as_str()) {
            return Err(StoreError::Statement(format!("parameter {i} does not appear in its place: {}", sql.0)));
        }
    }
    Ok(())
}

fn read_value(value: ValueRef<'_>) -> Result<Value, StoreError> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(n) => Value::Int(n),
        ValueRef::Real(n) => Value::Real(n),
        ValueRef::Text(text) => {
            Value::Text(std::str::from_utf8(text).map_err(|e| StoreError::Corrupt(e.to_string()))?.to_owned())
        }
        ValueRef::Blob(_) => return Err(StoreError::Corrupt("a blob where none is kept".to_owned())),
    })
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(n) => ValueRef::Integer(*n),
            Self::Real(n) => ValueRef::Real(*n),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

fn store_error(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) if is_duplicate(&error) => StoreError::Clash(error.to_string()),
        Some(
            ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::CannotOpen
            | ErrorCode::OutOfMemory
            | ErrorCode::ReadOnly,
        ) => StoreError::Unavailable(error.to_string()),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(error.to_string()),
        _ => StoreError::Statement(error.to_string()),
    }
}

/// Whether a key was taken. Any other constraint that breaks is a mistake of ours.
fn is_duplicate(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
    let code = error.sqlite_error().map(|e| e.extended_code);
    matches!(code, Some(SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_UNIQUE))
}

/// A unit of work without its types.
trait Job: Send {
    /// Whether what it wrote is to be kept.
    fn run(&mut self, tx: Tx) -> bool;
    /// Replaces its result: the engine failed it.
    fn fail(&mut self, error: &StoreError);
    /// Answers the caller, after the commit or in place of it.
    fn finish(self: Box<Self>, committed: Result<(), &StoreError>);
}

struct Typed<F, T, E, N> {
    work: F,
    result: Option<Result<T, E>>,
    then: N,
}

/// Where the thread has stopped, what is to be told the result goes unused with the job.
async fn submit(queue: &mpsc::Sender<Box<dyn Job>>, job: Box<dyn Job>) {
    drop(queue.send(job).await);
}

impl<F, T, E, N> Typed<F, T, E, N>
where
    F: Work<T, E>,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
    N: FnOnce(Result<T, E>) + Send + 'static,
{
    fn boxed(work: F, then: N) -> Box<dyn Job> {
        Box::new(Self { work, result: None, then })
    }
}

impl<F, T, E, N> Job for Typed<F, T, E, N>
where
    F: Work<T, E>,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
    N: FnOnce(Result<T, E>) + Send,
{
    fn run(&mut self, mut tx: Tx) -> bool {
        // A panic in one transaction must not take the writer down with everybody else's.
        let result = catch_unwind(AssertUnwindSafe(|| drive((self.work)(&mut tx))));
        let mut result =
            result.unwrap_or_else(|_| Err(StoreError::Statement("the transaction panicked".to_owned()).into()));
        if let (Ok(_), Some(failure)) = (&result, tx.into_failure()) {
            result = Err(failure.into());
        }
        let kept = result.is_ok();
        self.result = Some(result);
        kept
    }

    fn fail(&mut self, error: &StoreError) {
        self.result = Some(Err(error.clone().into()));
    }

    fn finish(self: Box<Self>, committed: Result<(), &StoreError>) {
        let result = match (committed, self.result) {
            (Ok(()), Some(result)) | (Err(_), Some(result @ Err(_))) => result,
            (Err(error), _) => Err(error.clone().into()),
            (Ok(()), None) => Err(StoreError::Unavailable("the transaction was not run".to_owned()).into()),
        };
        (self.then)(result);
    }
}

/// On SQLite every await of a `Tx` is ready at once; waiting for anything else would stop all writers.
fn drive<T, E: From<StoreError>>(future: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => {
            Err(StoreError::Statement("a transaction awaited something that is not the store".to_owned()).into())
        }
    }
}
