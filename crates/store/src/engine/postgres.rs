//! PostgreSQL: one thread that drives all connections of this node, pipelining what can be.
//!
//! A transaction's closure runs on that thread. Statements whose result nobody needs are put off and sent
//! in one go with the next query or with COMMIT, so that a typical transaction costs two or three round
//! trips however many rows it writes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join, join_all, try_join_all};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, NoTls, Statement};

use super::value::{Row, Value};
use super::{Sql, Tx, Work};
use crate::error::StoreError;

const QUEUE: usize = 8192;
/// How often a transaction that met another one is run again.
const TRIES: u32 = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct Postgres {
    jobs: mpsc::Sender<Job>,
}

type Job = Box<dyn FnOnce(Rc<Pool>) -> LocalBoxFuture<'static, ()> + Send>;

impl Postgres {
    /// # Errors
    /// [`StoreError::Unavailable`] when the URL is wrong or the server can't be reached.
    pub async fn open(url: &str, connections: usize) -> Result<Self, StoreError> {
        let config = configure(url)?;
        let (jobs, receiver) = mpsc::channel(QUEUE);
        let limit = connections.max(1);
        std::thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(move || run_thread(config, limit, receiver))
            .map_err(|e| StoreError::Unavailable(e.to_string()))?;
        let store = Self { jobs };
        store.read(async |tx: &mut Tx| tx.rows(Sql("SELECT 1::BIGINT"), []).await.map(drop)).await?;
        Ok(store)
    }

    pub(super) async fn write<T, E>(&self, work: impl Work<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.submit(work, true).await
    }

    pub(super) async fn read<T, E>(&self, work: impl Work<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.submit(work, false).await
    }

    async fn submit<T, E>(&self, work: impl Work<T, E>, writes: bool) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let stopped = || E::from(StoreError::Unavailable("the store has stopped".to_owned()));
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |pool| {
            async move {
                // The caller may have gone away; what is committed stays committed.
                drop(reply.send(run_work(&pool, work, writes).await));
            }
            .boxed_local()
        });
        self.jobs.send(job).await.map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

fn configure(url: &str) -> Result<Config, StoreError> {
    let mut config: Config = url.parse().map_err(|e| StoreError::Unavailable(format!("DATABASE_URL: {e}")))?;
    config.connect_timeout(CONNECT_TIMEOUT).application_name("offhook");
    config.tcp_user_timeout(Duration::from_secs(10)).keepalives_idle(Duration::from_secs(10));
    let near = |host: &Host| match host {
        Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
        Host::Unix(_) => true,
    };
    if config.get_ssl_mode() == SslMode::Prefer && config.get_hosts().iter().all(near) {
        config.ssl_mode(SslMode::Disable);
    }
    Ok(config)
}

fn run_thread(config: Config, limit: usize, mut jobs: mpsc::Receiver<Job>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no runtime for PostgreSQL");
            return;
        }
    };
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let pool = Rc::new(Pool { config, idle: RefCell::default(), places: Arc::new(Semaphore::new(limit)) });
        while let Some(job) = jobs.recv().await {
            // A closed semaphore is impossible: nothing closes it.
            let place = pool.places.clone().acquire_owned().await;
            let work = job(pool.clone());
            tokio::task::spawn_local(async move {
                work.await;
                drop(place);
            });
        }
    });
}

/// The node's connections; used on their one thread only.
pub(super) struct Pool {
    config: Config,
    idle: RefCell<Vec<Rc<Connection>>>,
    places: Arc<Semaphore>,
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
        let client = if self.config.get_ssl_mode() == SslMode::Disable {
            let (client, connection) = self.config.connect(NoTls).await.map_err(store_error)?;
            tokio::task::spawn_local(connection.map(drop));
            client
        } else {
            let tls = tokio_postgres_rustls::MakeRustlsConnect::new(tls_config()?);
            let (client, connection) = self.config.connect(tls).await.map_err(store_error)?;
            tokio::task::spawn_local(connection.map(drop));
            client
        };
        Ok(Rc::new(Connection { client, statements: RefCell::default() }))
    }

    fn give_back(&self, connection: Rc<Connection>) {
        if !connection.client.is_closed() {
            self.idle.borrow_mut().push(connection);
        }
    }
}

fn tls_config() -> Result<rustls::ClientConfig, StoreError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|e| StoreError::Unavailable(format!("TLS: {e}")))?;
    let roots = rustls::RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

struct Connection {
    client: Client,
    statements: RefCell<HashMap<&'static str, Statement>>,
}

impl Connection {
    async fn prepared(&self, sql: Sql) -> Result<Statement, StoreError> {
        if let Some(statement) = self.statements.borrow().get(sql.0) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql.0).await.map_err(store_error)?;
        self.statements.borrow_mut().insert(sql.0, statement.clone());
        Ok(statement)
    }
}

async fn run_work<T, E: From<StoreError>>(pool: &Pool, work: impl Work<T, E>, writes: bool) -> Result<T, E> {
    let mut tries = 0;
    loop {
        tries += 1;
        let mut session = Session::new(pool.take().await?, writes);
        let mut tx = Tx::on_postgres(session);
        let result = AssertUnwindSafe(work(&mut tx)).catch_unwind().await;
        session = match tx.into_session() {
            Some(session) => session,
            None => return Err(StoreError::Statement("a transaction changed its engine".to_owned()).into()),
        };
        let result = match result {
            Ok(Ok(value)) => session.commit().await.map(|()| value).map_err(E::from),
            Ok(Err(error)) => {
                session.roll_back().await;
                Err(error)
            }
            Err(_) => {
                session.roll_back().await;
                Err(StoreError::Statement("the transaction panicked".to_owned()).into())
            }
        };
        let again = session.clashed && result.is_err() && tries < TRIES;
        pool.give_back(session.connection);
        if !again {
            return result;
        }
    }
}

/// A connection while one transaction has it.
pub(super) struct Session {
    connection: Rc<Connection>,
    put_off: Vec<(Sql, Vec<Value>)>,
    begin: Begin,
    clashed: bool,
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
        Self { connection, put_off: Vec::new(), begin, clashed: false }
    }

    pub(super) fn put_off(&mut self, sql: Sql, params: Vec<Value>) {
        self.put_off.push((sql, params));
    }

    pub(super) async fn define(&mut self, sql: &str) -> Result<(), StoreError> {
        let connection = self.connection.clone();
        self.behind_put_off(async move { connection.client.batch_execute(sql).await }).await
    }

    pub(super) async fn prepare(&mut self, sql: Sql) -> Result<(), StoreError> {
        self.connection.prepared(sql).await.map(drop)
    }

    pub(super) async fn execute(&mut self, sql: Sql, params: Vec<Value>) -> Result<u64, StoreError> {
        let statement = self.connection.prepared(sql).await?;
        let connection = self.connection.clone();
        self.behind_put_off(async move { connection.client.execute_raw(&statement, &params).await }).await
    }

    /// The server runs them in the order they are sent, which is the order `try_join_all` first polls them in.
    pub(super) async fn execute_each(&mut self, sql: Sql, each: Vec<Vec<Value>>) -> Result<Vec<u64>, StoreError> {
        let statement = self.connection.prepared(sql).await?;
        let connection = self.connection.clone();
        self.behind_put_off(async move {
            let (client, statement) = (&connection.client, &statement);
            try_join_all(each.iter().map(|params| client.execute_raw(statement, params))).await
        })
        .await
    }

    pub(super) async fn query(&mut self, sql: Sql, params: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        let statement = self.connection.prepared(sql).await?;
        let connection = self.connection.clone();
        let rows = self
            .behind_put_off(async move {
                let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|p| p as _).collect();
                connection.client.query(&statement, &params).await
            })
            .await?;
        rows.iter().map(read_row).collect()
    }

    /// Sends BEGIN (once) and everything put off, then `last`, without waiting in between.
    async fn behind_put_off<T>(
        &mut self,
        last: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreError> {
        let mut first: Vec<LocalBoxFuture<'_, Result<(), tokio_postgres::Error>>> = Vec::new();
        let mut statements = Vec::with_capacity(self.put_off.len());
        for (sql, params) in std::mem::take(&mut self.put_off) {
            statements.push((self.connection.prepared(sql).await?, params));
        }
        let client = &self.connection.client;
        if self.begin == Begin::Due {
            self.begin = Begin::Sent;
            first.push(client.batch_execute("BEGIN").boxed_local());
        }
        for (statement, params) in statements {
            first.push(async move { client.execute_raw(&statement, &params).await.map(drop) }.boxed_local());
        }
        let (first, last) = join(join_all(first), last).await;
        let outcome = first.into_iter().collect::<Result<(), _>>().and(last).map_err(store_error);
        self.clashed |= matches!(outcome, Err(StoreError::Clash(_)));
        outcome
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        if self.put_off.is_empty() && self.begin != Begin::Sent {
            return Ok(());
        }
        let connection = self.connection.clone();
        if self.begin == Begin::Never {
            return self.behind_put_off(async { Ok(()) }).await;
        }
        self.behind_put_off(async move { connection.client.batch_execute("COMMIT").await }).await
    }

    async fn roll_back(&mut self) {
        self.put_off.clear();
        if self.begin == Begin::Sent {
            // Where this fails the connection is closed, which rolls back too.
            drop(self.connection.client.batch_execute("ROLLBACK").await);
        }
    }
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

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut bytes::BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match (self, ty) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Int(n), &Type::INT8) => n.to_sql(ty, out),
            (Self::Int(n), &Type::INT4) => i32::try_from(*n)?.to_sql(ty, out),
            (Self::Real(n), &Type::FLOAT8) => n.to_sql(ty, out),
            (Self::Text(text), &Type::TEXT | &Type::VARCHAR) => text.to_sql(ty, out),
            (value, ty) => Err(format!("{value:?} can't be a {ty}").into()),
        }
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8 | Type::INT4 | Type::FLOAT8 | Type::TEXT | Type::VARCHAR)
    }

    to_sql_checked!();
}

fn store_error(error: tokio_postgres::Error) -> StoreError {
    let text = std::error::Error::source(&error).map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
    match error.code() {
        Some(&SqlState::UNIQUE_VIOLATION | &SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE) => {
            StoreError::Clash(text)
        }
        // Class 53: insufficient resources. 57: operator intervention. 58: system error. 08: connection.
        Some(code) if ["53", "57", "58", "08"].iter().any(|class| code.code().starts_with(class)) => {
            StoreError::Unavailable(text)
        }
        Some(_) => StoreError::Statement(text),
        None => StoreError::Unavailable(text),
    }
}
