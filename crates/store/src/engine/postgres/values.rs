//! Values on their way to PostgreSQL and back.

use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::errors::store_error;
use crate::engine::value::{Row, Value};
use crate::error::StoreError;

pub(super) fn read_row(row: &tokio_postgres::Row) -> Result<Row, StoreError> {
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
    pub(super) fn fits(&self, ty: &Type) -> bool {
        match self {
            Self::Null => <Self as ToSql>::accepts(ty),
            Self::Int(n) => *ty == Type::INT8 || (*ty == Type::INT4 && i32::try_from(*n).is_ok()),
            Self::Real(_) => *ty == Type::FLOAT8,
            Self::Text(_) => matches!(*ty, Type::TEXT | Type::VARCHAR),
        }
    }
}
