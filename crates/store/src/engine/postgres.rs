//! PostgreSQL: one thread that drives all connections of this node, pipelining what can be.
//!
//! A transaction's closure runs on that thread. Statements whose result nobody needs are put off and sent
//! in one go with the next query or with COMMIT, so that a typical transaction costs two or three round
//! trips however many rows it writes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join, join_all, select};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, Kind, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, NoTls, Statement};

use super::value::{Row, Value};
use super::{Sql, Tx, Work};
use crate::error::StoreError;

const QUEUE: usize = 8192;
/// How often a transaction that met another one is run again.
const TRIES: u32 = 5;
/// For the whole of it, sign-on included, per host of the URL.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What the server ends by itself: the transaction of a node that is paused or gone, and the wait for such a one. And how
/// it plans: every statement is written for an index (a test EXPLAINs each), so a plan is made once, and never one that
/// looked good while the table was small. What the URL's own options say comes after these and wins.
const SESSION_OPTIONS: &str = "-c idle_in_transaction_session_timeout=5s -c lock_timeout=5s \
    -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=3 -c tcp_keepalives_count=3 -c tcp_user_timeout=10s \
    -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off";
/// How long the fate of a commit is asked for whose answer got lost.
const RESOLVE: Duration = Duration::from_secs(10);
const RESOLVE_PAUSE: Duration = Duration::from_millis(100);

/// The transaction's own id; NULL where it wrote nothing.
const OWN_ID: Sql = Sql("SELECT pg_current_xact_id_if_assigned()::TEXT");
const FATE: Sql = Sql("SELECT pg_xact_status($1::TEXT::xid8)");

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
        let config = configure(url)?;
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
    Box::new(move |pool| async move { then(run_work(&pool, work, writes).await) }.boxed_local())
}

fn configure(url: &str) -> Result<Config, StoreError> {
    let mut config: Config = url.parse().map_err(|e| StoreError::Unavailable(format!("DATABASE_URL: {e}")))?;
    config.connect_timeout(CONNECT_TIMEOUT).application_name("offhook");
    config.tcp_user_timeout(Duration::from_secs(10)).keepalives_idle(Duration::from_secs(10));
    config.keepalives_interval(Duration::from_secs(3)).keepalives_retries(3);
    let own = config.get_options().unwrap_or_default();
    let options = format!("{SESSION_OPTIONS} {own}");
    config.options(options.trim_end());
    let near = |host: &Host| match host {
        Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
        Host::Unix(_) => true,
    };
    if config.get_ssl_mode() == SslMode::Prefer && config.get_hosts().iter().all(near) {
        config.ssl_mode(SslMode::Disable);
    }
    Ok(config)
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
        let pool = Rc::new(Pool { config, idle: RefCell::default() });
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

/// The node's connections; used on their one thread only.
pub(super) struct Pool {
    config: Config,
    idle: RefCell<Vec<Rc<Connection>>>,
}

impl Pool {
    async fn take(&self) -> Result<Rc<Connection>, StoreError> {
        loop {
            let idle = self.idle.borrow_mut().pop();
            match idle {
                Some(connection) if !connection.client.is_closed() => return Ok(connection),
                Some(_) => {}
                None => return self.connect().await,
            }
        }
    }

    async fn connect(&self) -> Result<Rc<Connection>, StoreError> {
        let hosts = self.config.get_hosts().len().max(self.config.get_hostaddrs().len()).max(1);
        let limit = CONNECT_TIMEOUT * u32::try_from(hosts).unwrap_or(u32::MAX);
        let silent = |_| Err(StoreError::Unavailable("the server took the connection and fell silent".to_owned()));
        tokio::time::timeout(limit, self.sign_on()).await.unwrap_or_else(silent)
    }

    async fn sign_on(&self) -> Result<Rc<Connection>, StoreError> {
        if self.config.get_ssl_mode() == SslMode::Disable {
            let (client, connection) = self.config.connect(NoTls).await.map_err(store_error)?;
            Ok(Connection::start(client, connection))
        } else {
            let tls = tokio_postgres_rustls::MakeRustlsConnect::new(tls_config()?);
            let (client, connection) = self.config.connect(tls).await.map_err(store_error)?;
            Ok(Connection::start(client, connection))
        }
    }

    fn give_back(&self, session: Session) {
        if session.lost {
            // The server went away or restarted: its other connections are dead too, or soon.
            self.idle.borrow_mut().clear();
        } else if !session.connection.client.is_closed() {
            self.idle.borrow_mut().push(session.connection);
        }
    }

    /// What became of a transaction whose COMMIT was sent and never answered.
    async fn fate_of(&self, id: &str) -> Fate {
        let asked = async {
            loop {
                match self.ask_fate(id).await.as_deref() {
                    Ok("committed") => return Fate::Committed,
                    Ok("aborted") => return Fate::Aborted,
                    // Its server process has not noticed yet, or nobody can be asked.
                    Ok(_) | Err(_) => tokio::time::sleep(RESOLVE_PAUSE).await,
                }
            }
        };
        tokio::time::timeout(RESOLVE, asked).await.unwrap_or(Fate::Unknown)
    }

    async fn ask_fate(&self, id: &str) -> Result<String, StoreError> {
        let mut session = Session::new(self.connect().await?, false);
        let rows = session.query(FATE, vec![Param::One(Value::Text(id.to_owned()))]).await?;
        let status = rows.into_iter().next().map_or(Ok(None), |mut row| row.take::<Option<String>>())?;
        self.give_back(session);
        Ok(status.unwrap_or_default())
    }
}

fn tls_config() -> Result<rustls::ClientConfig, StoreError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|e| StoreError::Unavailable(format!("TLS: {e}")))?;
    let roots = rustls::RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

enum Fate {
    Committed,
    Aborted,
    Unknown,
}

struct Connection {
    client: Client,
    statements: RefCell<HashMap<&'static str, Statement>>,
    /// The server ended it with a word of its own while nothing it had been sent was unanswered.
    dismissed: Rc<Cell<bool>>,
}

impl Connection {
    /// Drives the connection until it ends.
    fn start(client: Client, driver: impl Future<Output = Result<(), tokio_postgres::Error>> + 'static) -> Rc<Self> {
        let dismissed = Rc::new(Cell::new(false));
        let ended = dismissed.clone();
        tokio::task::spawn_local(async move {
            // An answer to what was sent would have gone to whoever sent it.
            ended.set(driver.await.is_err_and(|error| error.code().is_some()));
        });
        Rc::new(Self { client, statements: RefCell::default(), dismissed })
    }

    async fn prepared(&self, sql: Sql) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.statements.borrow().get(sql.0) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql.0).await?;
        self.statements.borrow_mut().insert(sql.0, statement.clone());
        Ok(statement)
    }
}

async fn run_work<T, E: From<StoreError>>(pool: &Pool, work: impl Work<T, E>, writes: bool) -> Result<T, E> {
    let mut tries = 0;
    loop {
        tries += 1;
        let mut session = Session::new(pool.take().await?, writes);
        let mut tx = Tx::on_postgres(session, writes);
        let result = AssertUnwindSafe(work(&mut tx)).catch_unwind().await;
        session = match tx.into_session() {
            Some(session) => session,
            None => return Err(StoreError::Statement("a transaction changed its engine".to_owned()).into()),
        };
        let result = match result {
            Ok(Ok(value)) => session.commit(pool).await.map(|()| value).map_err(E::from),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StoreError::Statement("the transaction panicked".to_owned()).into()),
        };
        if result.is_err() {
            session.roll_back().await;
        }
        let again = session.worth_another_try() && result.is_err() && tries < TRIES;
        pool.give_back(session);
        if !again {
            return result;
        }
    }
}

/// A connection while one transaction has it.
pub(super) struct Session {
    connection: Rc<Connection>,
    put_off: Vec<(Sql, Vec<Param>)>,
    begin: Begin,
    /// The first statement that failed: PostgreSQL keeps nothing after it, whatever the work makes of it.
    failed: Option<StoreError>,
    /// The connection broke.
    lost: bool,
    /// The server said itself why a statement failed; it did not just fall silent.
    told: bool,
    /// COMMIT was sent, and whether it was done can't be found out.
    unknown: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// Statements run on their own.
    Never,
    Due,
    Sent,
}

impl Session {
    fn new(connection: Rc<Connection>, writes: bool) -> Self {
        let begin = if writes { Begin::Due } else { Begin::Never };
        Self { connection, put_off: Vec::new(), begin, failed: None, lost: false, told: false, unknown: false }
    }

    /// Whether it met another transaction or lost its connection before anything was kept.
    fn worth_another_try(&self) -> bool {
        !self.unknown && (self.lost || matches!(self.failed, Some(StoreError::Clash(_))))
    }

    pub(super) fn put_off(&mut self, sql: Sql, params: Vec<Param>) {
        self.put_off.push((sql, params));
    }

    pub(super) async fn define(&mut self, sql: &str) -> Result<(), StoreError> {
        let connection = self.connection.clone();
        self.behind_put_off(async move { connection.client.batch_execute(sql).await }).await
    }

    pub(super) async fn prepare(&mut self, sql: Sql) -> Result<(), StoreError> {
        self.connection.prepared(sql).await.map(drop).map_err(store_error)
    }

    pub(super) async fn execute(&mut self, sql: Sql, params: Vec<Param>) -> Result<u64, StoreError> {
        let statement = self.ready(sql, &params).await?;
        let connection = self.connection.clone();
        self.behind_put_off(async move { connection.client.execute_raw(&statement, &params).await }).await
    }

    /// Which rows of parameters changed something: those whose number the statement returns.
    pub(super) async fn execute_all<const N: usize>(
        &mut self,
        sql: Sql,
        each: Vec<[Value; N]>,
    ) -> Result<Vec<bool>, StoreError> {
        let mut changed = vec![false; each.len()];
        for mut row in self.fetch(sql, each).await? {
            *place(&mut changed, &mut row)? = true;
        }
        Ok(changed)
    }

    pub(super) async fn query_all<const N: usize>(
        &mut self,
        sql: Sql,
        each: Vec<[Value; N]>,
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        let mut answers: Vec<_> = each.iter().map(|_| Vec::new()).collect();
        for mut row in self.fetch(sql, each).await? {
            place(&mut answers, &mut row)?.push(row);
        }
        Ok(answers)
    }

    pub(super) fn put_off_all<const N: usize>(&mut self, sql: Sql, each: Vec<[Value; N]>) {
        if !each.is_empty() {
            self.put_off.push((sql, columns(each)));
        }
    }

    pub(super) async fn fetch<const N: usize>(
        &mut self,
        sql: Sql,
        each: Vec<[Value; N]>,
    ) -> Result<Vec<Row>, StoreError> {
        if each.is_empty() { Ok(Vec::new()) } else { self.query(sql, columns(each)).await }
    }

    pub(super) async fn query(&mut self, sql: Sql, params: Vec<Param>) -> Result<Vec<Row>, StoreError> {
        let statement = self.ready(sql, &params).await?;
        let connection = self.connection.clone();
        let rows = self
            .behind_put_off(async move {
                let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|p| p as _).collect();
                connection.client.query(&statement, &params).await
            })
            .await?;
        rows.iter().map(read_row).collect()
    }

    /// A statement whose parameters fit. One that does not fit is never sent, so COMMIT must not be either.
    async fn ready(&mut self, sql: Sql, params: &[Param]) -> Result<Statement, StoreError> {
        let prepared = self.connection.prepared(sql).await;
        let lost = prepared.as_ref().is_err_and(is_loss) || self.connection.client.is_closed();
        let ready = prepared.map_err(store_error).and_then(|statement| {
            let fits = statement.params().len() == params.len()
                && params.iter().zip(statement.params()).all(|(value, ty)| value.fits(ty));
            let given = || params.iter().map(Param::kind).collect::<Vec<_>>();
            let complaint = || format!("parameters {:?} do not fit {:?} of {}", given(), statement.params(), sql.0);
            if fits { Ok(statement) } else { Err(StoreError::Statement(complaint())) }
        });
        ready.inspect_err(|error| self.note(error, lost))
    }

    fn note(&mut self, error: &StoreError, lost: bool) {
        self.failed.get_or_insert_with(|| error.clone());
        self.lost |= lost;
    }

    /// Sends BEGIN (once) and everything put off, then `last`, without waiting in between.
    async fn behind_put_off<T>(
        &mut self,
        last: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreError> {
        let mut statements = Vec::with_capacity(self.put_off.len());
        for (sql, params) in std::mem::take(&mut self.put_off) {
            statements.push((self.ready(sql, &params).await?, params));
        }
        let client = &self.connection.client;
        let mut first: Vec<LocalBoxFuture<'_, Result<(), tokio_postgres::Error>>> = Vec::new();
        if self.begin == Begin::Due {
            self.begin = Begin::Sent;
            first.push(client.batch_execute("BEGIN").boxed_local());
        }
        for (statement, params) in statements {
            first.push(async move { client.execute_raw(&statement, &params).await.map(drop) }.boxed_local());
        }
        let (first, last) = join(join_all(first), last).await;
        let outcome = first.into_iter().collect::<Result<(), _>>().and(last);
        let lost = outcome.as_ref().is_err_and(is_loss);
        self.told |= outcome.as_ref().is_err_and(|error| error.code().is_some());
        outcome.map_err(store_error).inspect_err(|error| self.note(error, lost))
    }

    async fn commit(&mut self, pool: &Pool) -> Result<(), StoreError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.put_off.is_empty() && self.begin != Begin::Sent {
            return Ok(());
        }
        if self.connection.client.is_closed() {
            let error = StoreError::Unavailable("the connection broke".to_owned());
            self.note(&error, true);
            return Err(error);
        }
        let own_id = self.ready(OWN_ID, &[]).await?;
        let connection = self.connection.clone();
        let (id, sent) = (RefCell::new(None), Cell::new(false));
        let outcome = self.behind_put_off(async {
            sent.set(true);
            // The answer to the first is here before the second waits for the disk.
            let ask = async {
                let row = connection.client.query_one(&own_id, &[]).await?;
                *id.borrow_mut() = Some(row.try_get::<_, Option<String>>(0)?);
                Ok::<_, tokio_postgres::Error>(())
            };
            let (asked, committed) = join(ask, connection.client.batch_execute("COMMIT")).await;
            asked.and(committed)
        });
        match outcome.await {
            Err(error) if self.lost && sent.get() => self.find_out(pool, id.into_inner(), error).await,
            outcome => outcome,
        }
    }

    /// The connection broke at the commit: asks the server what became of the transaction.
    async fn find_out(&mut self, pool: &Pool, id: Option<Option<String>>, error: StoreError) -> Result<(), StoreError> {
        let fate = match id {
            Some(Some(id)) => pool.fate_of(&id).await,
            // It wrote nothing.
            Some(None) => Fate::Committed,
            // The server gave up a statement before it, and with it the rest; or ended the session before it arrived.
            None if self.told || self.connection.dismissed.get() => Fate::Aborted,
            None => Fate::Unknown,
        };
        match fate {
            Fate::Committed => Ok(()),
            Fate::Aborted => Err(error),
            Fate::Unknown => {
                self.unknown = true;
                Err(StoreError::Unknown(error.to_string()))
            }
        }
    }

    async fn roll_back(&mut self) {
        self.put_off.clear();
        if self.begin == Begin::Sent && !self.lost {
            // Where this fails the connection is closed, which rolls back too.
            drop(self.connection.client.batch_execute("ROLLBACK").await);
        }
    }
}

/// A parameter of a statement, or of one over many rows: then its values, one for each.
#[derive(Debug)]
pub(super) enum Param {
    One(Value),
    Each(Vec<Value>),
}

/// The rows turned into columns.
fn columns<const N: usize>(each: Vec<[Value; N]>) -> Vec<Param> {
    let mut columns: [Vec<Value>; N] = std::array::from_fn(|_| Vec::with_capacity(each.len()));
    for row in each {
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    columns.into_iter().map(Param::Each).collect()
}

/// Where the row of parameters has its place that a result row names in its first column.
fn place<'a, T>(places: &'a mut [T], row: &mut Row) -> Result<&'a mut T, StoreError> {
    let n: i64 = row.take()?;
    let place = usize::try_from(n - 1).ok().and_then(|n| places.get_mut(n));
    place.ok_or_else(|| StoreError::Corrupt(format!("a result for row {n} of the parameters, which is not there")))
}

fn read_row(row: &tokio_postgres::Row) -> Result<Row, StoreError> {
    let columns = (0..row.len()).map(|i| read_column(row, i)).collect::<Result<_, _>>()?;
    Ok(Row::new(columns))
}

fn read_column(row: &tokio_postgres::Row, i: usize) -> Result<Value, StoreError> {
    let kind = row.columns().get(i).map(|c| c.type_().clone()).unwrap_or(Type::UNKNOWN);
    let value = match kind {
        Type::INT8 => row.try_get::<_, Option<i64>>(i).map(|v| v.map_or(Value::Null, Value::Int)),
        Type::INT4 => row.try_get::<_, Option<i32>>(i).map(|v| v.map_or(Value::Null, |n| Value::Int(n.into()))),
        Type::FLOAT8 => row.try_get::<_, Option<f64>>(i).map(|v| v.map_or(Value::Null, Value::Real)),
        Type::TEXT | Type::VARCHAR => row.try_get::<_, Option<String>>(i).map(|v| v.map_or(Value::Null, Value::Text)),
        other => return Err(StoreError::Statement(format!("column {i} has the unexpected type {other}"))),
    };
    value.map_err(store_error)
}

impl ToSql for Param {
    fn to_sql(&self, ty: &Type, out: &mut bytes::BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::One(value) => value.to_sql(ty, out),
            Self::Each(values) => values.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        <Value as ToSql>::accepts(ty) || <Vec<Value> as ToSql>::accepts(ty)
    }

    to_sql_checked!();
}

impl Param {
    /// Whether PostgreSQL would take it for a parameter of this type.
    fn fits(&self, ty: &Type) -> bool {
        match (self, ty.kind()) {
            (Self::One(value), _) => value.fits(ty),
            (Self::Each(values), Kind::Array(item)) => values.iter().all(|value| value.fits(item)),
            (Self::Each(_), _) => false,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::One(value) => value.kind(),
            Self::Each(_) => "list",
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut bytes::BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match (self, ty) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Int(n), &Type::INT8) => n.to_sql(ty, out),
            (Self::Int(n), &Type::INT4) => i32::try_from(*n)?.to_sql(ty, out),
            (Self::Real(n), &Type::FLOAT8) => n.to_sql(ty, out),
            (Self::Text(text), &Type::TEXT | &Type::VARCHAR) => text.to_sql(ty, out),
            (value, ty) => Err(format!("{} can't be a {ty}", value.kind()).into()),
        }
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8 | Type::INT4 | Type::FLOAT8 | Type::TEXT | Type::VARCHAR)
    }

    to_sql_checked!();
}

impl Value {
    /// Whether PostgreSQL would take it for a parameter of this type.
    fn fits(&self, ty: &Type) -> bool {
        match self {
            Self::Null => <Self as ToSql>::accepts(ty),
            Self::Int(n) => *ty == Type::INT8 || (*ty == Type::INT4 && i32::try_from(*n).is_ok()),
            Self::Real(_) => *ty == Type::FLOAT8,
            Self::Text(_) => matches!(*ty, Type::TEXT | Type::VARCHAR),
        }
    }
}

/// `idle_in_transaction_session_timeout` and `idle_session_timeout` passed: the server ended the session.
const IDLED_OUT: [&str; 2] = ["25P03", "57P05"];

/// Whether the connection is gone, rather than that the server refused something.
fn is_loss(error: &tokio_postgres::Error) -> bool {
    let at_socket = || std::error::Error::source(error).is_some_and(|cause| cause.is::<std::io::Error>());
    match error.code() {
        Some(&SqlState::ADMIN_SHUTDOWN | &SqlState::CRASH_SHUTDOWN) => true,
        Some(code) => code.code().starts_with("08") || IDLED_OUT.contains(&code.code()),
        None => error.is_closed() || at_socket(),
    }
}

fn store_error(error: tokio_postgres::Error) -> StoreError {
    let text = describe(&error);
    match error.code() {
        Some(&SqlState::UNIQUE_VIOLATION | &SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE) => {
            StoreError::Clash(text)
        }
        // Waited longer than `lock_timeout` for another one.
        Some(&SqlState::LOCK_NOT_AVAILABLE) => StoreError::Clash(text),
        Some(code) if IDLED_OUT.contains(&code.code()) => StoreError::Unavailable(text),
        // Class 53: insufficient resources. 57: operator intervention. 58: system error. 08: connection.
        Some(code) if ["53", "57", "58", "08"].iter().any(|class| code.code().starts_with(class)) => {
            StoreError::Unavailable(text)
        }
        // After a failover: this server is the standby now.
        Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => StoreError::Unavailable(text),
        Some(_) => StoreError::Statement(text),
        None => StoreError::Unavailable(text),
    }
}

/// For the log. Never the server's DETAIL: it holds the values of the row, such as phone numbers.
fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(refused) = error.as_db_error() {
        return format!("{} ({})", refused.message(), refused.code().code());
    }
    std::error::Error::source(error).map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
