//! A transaction under way, the same to its user on both engines.

use std::rc::Rc;

use super::postgres::Session;
use super::sqlite;
use super::value::{Row, Value};
use super::{Sql, SqlMany};
use crate::error::StoreError;
use crate::sums::Sums;

/// Which engine a transaction runs on, for the few texts that must differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// A transaction. What is written through it is kept only when the closure it was given to returns `Ok` and none
/// of its statements failed.
pub struct Tx {
    connection: Connection,
    writes: bool,
    /// Written at the end.
    pub(crate) sums: Sums,
}

enum Connection {
    Sqlite {
        connection: Rc<rusqlite::Connection>,
        /// The first statement that failed. PostgreSQL keeps nothing after one, so SQLite doesn't either.
        failed: Option<StoreError>,
    },
    Postgres(Session),
}

impl Tx {
    pub(super) fn on_sqlite(connection: Rc<rusqlite::Connection>, writes: bool) -> Self {
        Self { connection: Connection::Sqlite { connection, failed: None }, writes, sums: Sums::default() }
    }

    pub(super) fn on_postgres(session: Session, writes: bool) -> Self {
        Self { connection: Connection::Postgres(session), writes, sums: Sums::default() }
    }

    pub(super) fn into_session(self) -> Option<Session> {
        match self.connection {
            Connection::Postgres(session) => Some(session),
            Connection::Sqlite { .. } => None,
        }
    }

    /// Why nothing may be kept, where a statement failed. On SQLite only.
    pub(super) fn into_failure(self) -> Option<StoreError> {
        match self.connection {
            Connection::Sqlite { failed, .. } => failed,
            Connection::Postgres(_) => None,
        }
    }

    #[must_use]
    pub fn engine(&self) -> Engine {
        match self.connection {
            Connection::Sqlite { .. } => Engine::Sqlite,
            Connection::Postgres(_) => Engine::Postgres,
        }
    }

    /// Runs a statement whose result nobody needs. On PostgreSQL it is put off and sent together with the
    /// next one, so an error may show only there or at commit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn run<const N: usize>(&mut self, sql: Sql, params: [Value; N]) -> Result<(), StoreError> {
        self.may_write(sql)?;
        match &mut self.connection {
            Connection::Sqlite { connection, failed } => {
                noted(failed, sqlite::execute(connection, sql, &params)).map(drop)
            }
            Connection::Postgres(session) => {
                session.put_off(sql, params.into());
                Ok(())
            }
        }
    }

    /// Runs a statement and tells how many rows it changed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn change<const N: usize>(&mut self, sql: Sql, params: [Value; N]) -> Result<u64, StoreError> {
        self.may_write(sql)?;
        match &mut self.connection {
            Connection::Sqlite { connection, failed } => noted(failed, sqlite::execute(connection, sql, &params)),
            Connection::Postgres(session) => session.execute(sql, params.into()).await,
        }
    }

    /// Runs one statement for many rows of parameters, in one round trip, and tells for each whether it changed
    /// anything.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn change_each<const N: usize>(
        &mut self,
        sql: SqlMany,
        each: Vec<[Value; N]>,
    ) -> Result<Vec<bool>, StoreError> {
        self.may_write(sql.one)?;
        match &mut self.connection {
            Connection::Sqlite { connection, failed } => {
                let change = |params: &[Value; N]| sqlite::execute(connection, sql.one, params).map(|rows| rows > 0);
                noted(failed, each.iter().map(change).collect())
            }
            Connection::Postgres(session) => session.execute_each(sql, each).await,
        }
    }

    /// As [`Tx::change_each`], where nobody needs the result. On PostgreSQL it is put off, as [`Tx::run`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn run_each<const N: usize>(&mut self, sql: SqlMany, each: Vec<[Value; N]>) -> Result<(), StoreError> {
        self.may_write(sql.one)?;
        match &mut self.connection {
            Connection::Sqlite { connection, failed } => {
                let run = |params: &[Value; N]| sqlite::execute(connection, sql.one, params).map(drop);
                noted(failed, each.iter().try_for_each(run))
            }
            Connection::Postgres(session) => {
                session.put_off_each(sql, each);
                Ok(())
            }
        }
    }

    /// The rows of one query for each row of parameters, in order and in one round trip.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rows_each<const N: usize>(
        &mut self,
        sql: SqlMany,
        each: Vec<[Value; N]>,
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        match &mut self.connection {
            Connection::Sqlite { connection, failed } => {
                noted(failed, each.iter().map(|params| sqlite::query(connection, sql.one, params)).collect())
            }
            Connection::Postgres(session) => session.query_each(sql, each).await,
        }
    }

    /// As [`Tx::rows_each`], for a statement that can't tell which row of parameters a result belongs to: whoever asks
    /// tells by what is in it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rows_of_all<const N: usize>(
        &mut self,
        sql: SqlMany,
        each: Vec<[Value; N]>,
    ) -> Result<Vec<Row>, StoreError> {
        match &mut self.connection {
            Connection::Sqlite { connection, failed } => {
                let rows = each.iter().map(|params| sqlite::query(connection, sql.one, params)).collect();
                noted(failed, rows).map(|rows: Vec<Vec<Row>>| rows.into_iter().flatten().collect())
            }
            Connection::Postgres(session) => session.query_all(sql, each).await,
        }
    }

    /// Gives the transaction up for one it met, which the engine could not see: on PostgreSQL it is run again, as after a
    /// deadlock. To be returned at once.
    #[must_use]
    pub fn met_another(&mut self, what: &str) -> StoreError {
        let error = StoreError::Clash(what.to_owned());
        match &mut self.connection {
            Connection::Sqlite { failed, .. } => drop(failed.get_or_insert_with(|| error.clone())),
            Connection::Postgres(session) => session.note(&error, false),
        }
        error
    }

    /// Has every wait of this transaction for another one end soon, in a [`StoreError::Clash`]: for one that others wait
    /// behind. Nothing waits so on SQLite. To be called first.
    pub fn hurry(&mut self) {
        if let Connection::Postgres(session) = &mut self.connection {
            session.hurry();
        }
    }

    /// Runs a statement of the schema.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn define(&mut self, sql: &str) -> Result<(), StoreError> {
        match &mut self.connection {
            Connection::Sqlite { connection, failed } => noted(failed, sqlite::define(connection, sql)),
            Connection::Postgres(session) => session.define(sql).await,
        }
    }

    /// Asks the engine whether it would take a statement, without running it.
    ///
    /// # Errors
    /// [`StoreError::Statement`] with the engine's complaint.
    pub async fn prepare(&mut self, sql: Sql) -> Result<(), StoreError> {
        match &mut self.connection {
            Connection::Sqlite { connection, .. } => sqlite::prepare(connection, sql),
            Connection::Postgres(session) => session.prepare(sql).await,
        }
    }

    /// All rows of a query.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rows<const N: usize>(&mut self, sql: Sql, params: [Value; N]) -> Result<Vec<Row>, StoreError> {
        match &mut self.connection {
            Connection::Sqlite { connection, failed } => noted(failed, sqlite::query(connection, sql, &params)),
            Connection::Postgres(session) => session.query(sql, params.into()).await,
        }
    }

    /// The first row of a query, where there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn row<const N: usize>(&mut self, sql: Sql, params: [Value; N]) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// The only row of a query that always has one, such as a count.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when there is none.
    pub async fn one<const N: usize>(&mut self, sql: Sql, params: [Value; N]) -> Result<Row, StoreError> {
        self.row(sql, params)
            .await?
            .ok_or_else(|| StoreError::Corrupt("a query that always has a row had none".to_owned()))
    }

    fn may_write(&self, sql: Sql) -> Result<(), StoreError> {
        if self.writes { Ok(()) } else { Err(StoreError::Statement(format!("a read must not write: {}", sql.0))) }
    }
}

fn noted<T>(failed: &mut Option<StoreError>, result: Result<T, StoreError>) -> Result<T, StoreError> {
    result.inspect_err(|error| {
        failed.get_or_insert_with(|| error.clone());
    })
}
