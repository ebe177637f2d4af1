//! Values on their way in and out. Columns are TEXT, BIGINT or DOUBLE PRECISION, on both engines.

use std::time::Duration;

use offhook_domain::ids::Id;
use offhook_domain::{Country, E164, Micros, Timestamp};

use crate::error::StoreError;

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
}

/// What can be a parameter.
pub trait IntoValue {
    fn into_value(self) -> Value;
}

/// What a column can be read as.
pub trait FromValue: Sized {
    /// # Errors
    /// [`StoreError::Corrupt`] when the value is of another kind.
    fn from_value(value: Value) -> Result<Self, StoreError>;
}

/// A result row, read column by column in the order of the SELECT.
#[derive(Debug)]
pub struct Row {
    columns: std::vec::IntoIter<Value>,
}

impl Row {
    pub(super) fn new(columns: Vec<Value>) -> Self {
        Self { columns: columns.into_iter() }
    }

    /// The next column.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when there is none or it is of another kind.
    pub fn take<T: FromValue>(&mut self) -> Result<T, StoreError> {
        let value =
            self.columns.next().ok_or_else(|| StoreError::Corrupt("row has fewer columns than read".to_owned()))?;
        T::from_value(value)
    }
}

impl Value {
    /// For complaints, which must not tell the value itself.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Int(_) => "integer",
            Self::Real(_) => "real",
            Self::Text(_) => "text",
        }
    }
}

fn wrong<T>(value: &Value) -> StoreError {
    StoreError::Corrupt(format!("{} where {} was expected", value.kind(), std::any::type_name::<T>()))
}

impl FromValue for i64 {
    fn from_value(value: Value) -> Result<Self, StoreError> {
        match value {
            Value::Int(n) => Ok(n),
            other => Err(wrong::<Self>(&other)),
        }
    }
}

impl FromValue for String {
    fn from_value(value: Value) -> Result<Self, StoreError> {
        match value {
            Value::Text(text) => Ok(text),
            other => Err(wrong::<Self>(&other)),
        }
    }
}

impl FromValue for f64 {
    fn from_value(value: Value) -> Result<Self, StoreError> {
        match value {
            Value::Real(n) => Ok(n),
            other => Err(wrong::<Self>(&other)),
        }
    }
}

impl FromValue for bool {
    fn from_value(value: Value) -> Result<Self, StoreError> {
        i64::from_value(value).map(|n| n != 0)
    }
}

impl FromValue for u32 {
    fn from_value(value: Value) -> Result<Self, StoreError> {
        let number = i64::from_value(value)?;
        Self::try_from(number).map_err(|_| StoreError::Corrupt(format!("{number} does not fit 32 bits")))
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Result<Self, StoreError> {
        match value {
            Value::Null => Ok(None),
            other => T::from_value(other).map(Some),
        }
    }
}

impl FromValue for Timestamp {
    fn from_value(value: Value) -> Result<Self, StoreError> {
        i64::from_value(value).map(Self::from_micros)
    }
}

impl FromValue for Micros {
    fn from_value(value: Value) -> Result<Self, StoreError> {
        i64::from_value(value).map(Self)
    }
}

impl FromValue for E164 {
    fn from_value(value: Value) -> Result<Self, StoreError> {
        Self::parse(&String::from_value(value)?).map_err(|e| StoreError::Corrupt(e.to_string()))
    }
}

impl FromValue for Country {
    fn from_value(value: Value) -> Result<Self, StoreError> {
        Self::parse(&String::from_value(value)?).map_err(|e| StoreError::Corrupt(e.to_string()))
    }
}

impl FromValue for serde_json::Value {
    fn from_value(value: Value) -> Result<Self, StoreError> {
        serde_json::from_str(&String::from_value(value)?).map_err(|e| StoreError::Corrupt(e.to_string()))
    }
}

/// A list of texts, kept as a JSON array; an empty list as NULL.
impl FromValue for Vec<String> {
    fn from_value(value: Value) -> Result<Self, StoreError> {
        match value {
            Value::Null => Ok(Self::new()),
            other => serde_json::from_str(&String::from_value(other)?).map_err(|e| StoreError::Corrupt(e.to_string())),
        }
    }
}

impl IntoValue for Value {
    fn into_value(self) -> Value {
        self
    }
}

impl IntoValue for i64 {
    fn into_value(self) -> Value {
        Value::Int(self)
    }
}

impl IntoValue for u32 {
    fn into_value(self) -> Value {
        Value::Int(i64::from(self))
    }
}

impl IntoValue for f64 {
    fn into_value(self) -> Value {
        Value::Real(self)
    }
}

impl IntoValue for bool {
    fn into_value(self) -> Value {
        Value::Int(i64::from(self))
    }
}

impl IntoValue for &str {
    fn into_value(self) -> Value {
        Value::Text(self.to_owned())
    }
}

impl IntoValue for String {
    fn into_value(self) -> Value {
        Value::Text(self)
    }
}

impl IntoValue for &String {
    fn into_value(self) -> Value {
        Value::Text(self.clone())
    }
}

impl IntoValue for Timestamp {
    fn into_value(self) -> Value {
        Value::Int(self.as_micros())
    }
}

/// A span of time, in microseconds as points of time are.
impl IntoValue for Duration {
    fn into_value(self) -> Value {
        Value::Int(i64::try_from(self.as_micros()).unwrap_or(i64::MAX))
    }
}

impl IntoValue for Micros {
    fn into_value(self) -> Value {
        Value::Int(self.0)
    }
}

impl IntoValue for Country {
    fn into_value(self) -> Value {
        Value::Text(self.as_str().to_owned())
    }
}

impl IntoValue for &E164 {
    fn into_value(self) -> Value {
        Value::Text(self.as_str().to_owned())
    }
}

impl IntoValue for &serde_json::Value {
    fn into_value(self) -> Value {
        Value::Text(self.to_string())
    }
}

impl IntoValue for &[String] {
    fn into_value(self) -> Value {
        if self.is_empty() { Value::Null } else { Value::Text(serde_json::Value::from(self).to_string()) }
    }
}

impl<T: IntoValue> IntoValue for Option<T> {
    fn into_value(self) -> Value {
        self.map_or(Value::Null, IntoValue::into_value)
    }
}

macro_rules! id_values {
    ($($id:ident),+ $(,)?) => {$(
        impl FromValue for offhook_domain::$id {
            fn from_value(value: Value) -> Result<Self, StoreError> {
                Self::parse(&String::from_value(value)?).map_err(|e| StoreError::Corrupt(e.to_string()))
            }
        }

        impl IntoValue for &offhook_domain::$id {
            fn into_value(self) -> Value {
                Value::Text(self.as_str().to_owned())
            }
        }
    )+};
}

id_values!(
    AccountId,
    AgentId,
    ApiKeyId,
    AuditId,
    NumberId,
    ConversationId,
    MediaId,
    MessageId,
    CallId,
    TurnId,
    WebhookId,
    EventId,
    DeliveryId,
    ContactId,
    PurchaseId,
    CampaignId,
    OptOutId,
    OptOutLogId,
    EntryId,
    FeedbackId,
    VerificationId,
    TrunkId,
);
