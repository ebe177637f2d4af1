//! One transaction on one connection: statements sent together where their results allow it, and the commit.
//!
//! In: statements, in order. Out: rows, counts, and whether it is kept, down to a commit whose answer got lost.

use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join, join_all};
use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use super::errors::{is_loss, store_error};
use super::many::Columns;
use super::pool::{Connection, Fate, Pool};
use super::values::read_row;
use crate::engine::value::{Row, Value};
use crate::engine::{Sql, Tx, Work};
use crate::error::StoreError;

/// How often a transaction that met another one, or lost its connection, is run.
const TRIES: u32 = 5;
/// One that meets others is run again this long after it began: longer than a wait for a lock, by whose end a paused
/// node's transaction is over, and not so long that five such waits leave the caller without an answer.
const MEETING: Duration = Duration::from_secs(6);
/// The transaction's own id; NULL where it wrote nothing.
const OWN_ID: Sql = Sql("SELECT pg_current_xact_id_if_assigned()::TEXT");

pub(super) async fn run_work<T, E: From<StoreError>>(pool: &Pool, work: impl Work<T, E>, writes: bool) -> Result<T, E> {
    let (mut tries, began) = (0, Instant::now());
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
        let in_time = session.lost || began.elapsed() < MEETING;
        let again = session.worth_another_try() && result.is_err() && tries < TRIES && in_time;
        pool.give_back(session);
        if !again {
            return result;
        }
    }
}

const BEGIN: &str = "BEGIN";
/// Five such waits (a transaction is run five times) are still shorter than one ordinary wait.
const BEGIN_IN_A_HURRY: &str = "BEGIN; SET LOCAL lock_timeout = '200ms'";

/// A connection while one transaction has it.
pub struct Session {
    pub(super) connection: Rc<Connection>,
    put_off: Vec<PutOff>,
    begin: Begin,
    /// How it begins.
    begins: &'static str,
    /// The first statement that failed: PostgreSQL keeps nothing after it, whatever the work makes of it.
    failed: Option<StoreError>,
    /// The connection broke.
    pub(super) lost: bool,
    /// The server said itself why a statement failed; it did not just fall silent.
    told: bool,
    /// COMMIT was sent, and whether it was done can't be found out.
    unknown: bool,
}

/// A statement that goes out with the next one whose result is waited for.
pub(super) enum PutOff {
    One(Sql, Vec<Value>),
    Many(Sql, Columns),
}

/// As [`PutOff`], about to go.
enum Ready {
    One(Statement, Vec<Value>),
    Many(Sql, Columns),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// Statements run on their own.
    Never,
    Due,
    Sent,
}

impl Session {
    pub(super) fn new(connection: Rc<Connection>, writes: bool) -> Self {
        let begin = if writes { Begin::Due } else { Begin::Never };
        Self {
            connection,
            put_off: Vec::new(),
            begin,
            begins: BEGIN,
            failed: None,
            lost: false,
            told: false,
            unknown: false,
        }
    }

    /// Whether it met another transaction or lost its connection before anything was kept.
    fn worth_another_try(&self) -> bool {
        !self.unknown && (self.lost || matches!(self.failed, Some(StoreError::Clash(_))))
    }

    /// Waits for no other transaction for long. For one that has not begun.
    pub fn hurry(&mut self) {
        self.begins = BEGIN_IN_A_HURRY;
    }

    pub fn put_off(&mut self, sql: Sql, params: Vec<Value>) {
        self.push(PutOff::One(sql, params));
    }

    pub(super) fn push(&mut self, statement: PutOff) {
        self.put_off.push(statement);
    }

    pub async fn define(&mut self, sql: &str) -> Result<(), StoreError> {
        let connection = self.connection.clone();
        self.behind_put_off(async move { connection.client.batch_execute(sql).await }).await
    }

    pub async fn prepare(&mut self, sql: Sql) -> Result<(), StoreError> {
        self.connection.prepared(sql).await.map(drop).map_err(store_error)
    }

    pub async fn execute(&mut self, sql: Sql, params: Vec<Value>) -> Result<u64, StoreError> {
        let statement = self.ready(sql, &params).await?;
        let connection = self.connection.clone();
        self.behind_put_off(async move { connection.client.execute_raw(&statement, &params).await }).await
    }

    pub async fn query(&mut self, sql: Sql, params: Vec<Value>) -> Result<Vec<Row>, StoreError> {
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
    pub(super) async fn ready(&mut self, sql: Sql, params: &[Value]) -> Result<Statement, StoreError> {
        let prepared = self.connection.prepared(sql).await;
        let lost = prepared.as_ref().is_err_and(is_loss) || self.connection.client.is_closed();
        let ready = prepared.map_err(store_error).and_then(|statement| {
            let fits = statement.params().len() == params.len()
                && params.iter().zip(statement.params()).all(|(value, ty)| value.fits(ty));
            let given = || params.iter().map(Value::kind).collect::<Vec<_>>();
            let complaint = || format!("parameters {:?} do not fit {:?} of {}", given(), statement.params(), sql.0);
            if fits { Ok(statement) } else { Err(StoreError::Statement(complaint())) }
        });
        ready.inspect_err(|error| self.note(error, lost))
    }

    pub fn note(&mut self, error: &StoreError, lost: bool) {
        self.failed.get_or_insert_with(|| error.clone());
        self.lost |= lost;
    }

    /// Sends BEGIN (once) and everything put off, then `last`, without waiting in between.
    pub(super) async fn behind_put_off<T>(
        &mut self,
        last: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreError> {
        let mut statements = Vec::with_capacity(self.put_off.len());
        for put_off in std::mem::take(&mut self.put_off) {
            statements.push(match put_off {
                PutOff::One(sql, params) => Ready::One(self.ready(sql, &params).await?, params),
                PutOff::Many(sql, columns) => Ready::Many(sql, columns),
            });
        }
        let client = &self.connection.client;
        let mut first: Vec<LocalBoxFuture<'_, Result<(), tokio_postgres::Error>>> = Vec::new();
        if self.begin == Begin::Due {
            self.begin = Begin::Sent;
            first.push(client.batch_execute(self.begins).boxed_local());
        }
        for statement in statements {
            first.push(match statement {
                Ready::One(statement, params) => {
                    async move { client.execute_raw(&statement, &params).await.map(drop) }.boxed_local()
                }
                Ready::Many(sql, columns) => {
                    async move { client.execute_typed(sql.0, &columns.typed()).await.map(drop) }.boxed_local()
                }
            });
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
