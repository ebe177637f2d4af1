//! One statement for many rows of parameters.
//!
//! A few rows go one by one, pipelined, with the statement and the plan that are kept. More go as columns, in one statement
//! that is planned each time: only then does the planner know how many rows there are, and how large the tables have
//! become meanwhile. A kept plan for a number of rows it can't know would be one that looked good on small tables.

use futures_util::future::join_all;
use tokio_postgres::types::{ToSql, Type};

use super::session::{PutOff, Session};
use super::values::read_row;
use crate::engine::SqlMany;
use crate::engine::value::{Row, Value};
use crate::error::StoreError;

/// At most so many rows go one by one.
const FEW: usize = 4;

/// Rows of parameters, turned into lists.
pub(super) struct Columns(Vec<(Vec<Value>, Type)>);

impl Columns {
    fn of<const N: usize>(each: Vec<[Value; N]>) -> Self {
        let mut columns: [Vec<Value>; N] = std::array::from_fn(|_| Vec::with_capacity(each.len()));
        for row in each {
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(value);
            }
        }
        Self(columns.into_iter().map(|column| (list_type(&column), column)).map(|(ty, column)| (column, ty)).collect())
    }

    /// As the client takes them.
    pub fn typed(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.0.iter().map(|(column, ty)| (column as &(dyn ToSql + Sync), ty.clone())).collect()
    }
}

/// The type of a list, which the statement casts to what it wants where all is NULL.
fn list_type(column: &[Value]) -> Type {
    match column.iter().find(|value| **value != Value::Null) {
        Some(Value::Int(_)) => Type::INT8_ARRAY,
        Some(Value::Real(_)) => Type::FLOAT8_ARRAY,
        _ => Type::TEXT_ARRAY,
    }
}

impl Session {
    pub fn put_off_each<const N: usize>(&mut self, sql: SqlMany, each: Vec<[Value; N]>) {
        if each.len() > FEW {
            return self.push(PutOff::Many(sql.all, Columns::of(each)));
        }
        for params in each {
            self.put_off(sql.one, params.into());
        }
    }

    /// Which rows of parameters changed something.
    pub async fn execute_each<const N: usize>(
        &mut self,
        sql: SqlMany,
        each: Vec<[Value; N]>,
    ) -> Result<Vec<bool>, StoreError> {
        if each.len() <= FEW {
            return self.execute_few(sql, each).await;
        }
        let mut changed = vec![false; each.len()];
        for mut row in self.query_many(sql, each).await? {
            *place(&mut changed, &mut row)? = true;
        }
        Ok(changed)
    }

    /// The rows of each row of parameters.
    pub async fn query_each<const N: usize>(
        &mut self,
        sql: SqlMany,
        each: Vec<[Value; N]>,
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        if each.len() <= FEW {
            return self.query_few(sql, each).await;
        }
        let mut answers: Vec<_> = each.iter().map(|_| Vec::new()).collect();
        for mut row in self.query_many(sql, each).await? {
            place(&mut answers, &mut row)?.push(row);
        }
        Ok(answers)
    }

    /// The rows of all rows of parameters, of a statement that does not say whose they are.
    pub async fn query_all<const N: usize>(
        &mut self,
        sql: SqlMany,
        each: Vec<[Value; N]>,
    ) -> Result<Vec<Row>, StoreError> {
        if each.len() <= FEW {
            return Ok(self.query_few(sql, each).await?.into_iter().flatten().collect());
        }
        self.query_many(sql, each).await
    }

    /// The server runs them in the order they are sent, which is the order `join_all` first polls them in.
    async fn execute_few<const N: usize>(
        &mut self,
        sql: SqlMany,
        each: Vec<[Value; N]>,
    ) -> Result<Vec<bool>, StoreError> {
        let mut statement = None;
        for params in &each {
            statement = Some(self.ready(sql.one, params).await?);
        }
        let Some(statement) = statement else { return Ok(Vec::new()) };
        let connection = self.connection.clone();
        let changed = self.behind_put_off(async move {
            let (client, statement) = (&connection.client, &statement);
            join_all(each.iter().map(|params| client.execute_raw(statement, params)))
                .await
                .into_iter()
                .collect::<Result<Vec<u64>, _>>()
        });
        Ok(changed.await?.into_iter().map(|rows| rows > 0).collect())
    }

    /// In order, as for [`Session::execute_few`].
    async fn query_few<const N: usize>(
        &mut self,
        sql: SqlMany,
        each: Vec<[Value; N]>,
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        let mut statement = None;
        for params in &each {
            statement = Some(self.ready(sql.one, params).await?);
        }
        let Some(statement) = statement else { return Ok(Vec::new()) };
        let connection = self.connection.clone();
        let answers = self.behind_put_off(async move {
            let (client, statement) = (&connection.client, &statement);
            let each = each.iter().map(|params| async move {
                let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|p| p as _).collect();
                client.query(statement, &params).await
            });
            join_all(each).await.into_iter().collect::<Result<Vec<_>, _>>()
        });
        answers.await?.iter().map(|rows| rows.iter().map(read_row).collect()).collect()
    }

    async fn query_many<const N: usize>(
        &mut self,
        sql: SqlMany,
        each: Vec<[Value; N]>,
    ) -> Result<Vec<Row>, StoreError> {
        let columns = Columns::of(each);
        let connection = self.connection.clone();
        let rows = self
            .behind_put_off(async move { connection.client.query_typed(sql.all.0, &columns.typed()).await })
            .await?;
        rows.iter().map(read_row).collect()
    }
}

/// Where the row of parameters has its place that a result row names in its first column.
fn place<'a, T>(places: &'a mut [T], row: &mut Row) -> Result<&'a mut T, StoreError> {
    let n: i64 = row.take()?;
    let place = usize::try_from(n - 1).ok().and_then(|n| places.get_mut(n));
    place.ok_or_else(|| StoreError::Corrupt(format!("a result for row {n} of the parameters, which is not there")))
}
