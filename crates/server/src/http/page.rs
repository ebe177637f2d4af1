//! Lists (contract, "Conventions"). By offset: `limit`, `offset` in, `{data, hasMore, total}` out. By cursor: `limit`,
//! `before`, `after` in, `{data, hasMore}` out.

use offhook_domain::{Id, MessageId, Timestamp};
use offhook_store::messages::{Slice, Span};
use offhook_store::{Page, Scope, Window};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::error::ApiError;
use super::fields::{Casing, Fields, FromField, Input, Problem};
use super::values::Number;

/// `limit` (default 20, max 100) and `offset`.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OffsetQuery {
    /// How many items at the most.
    #[param(inline, required = false, default = 20)]
    pub limit: Number<1, 100>,
    /// How many items to pass over.
    #[param(inline, required = false, default = 0)]
    pub offset: Number<0, 1_000_000_000>,
}

impl Input for OffsetQuery {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { limit: fields.or("limit", Number(20)), offset: fields.or("offset", Number(0)) })
    }
}

impl OffsetQuery {
    #[must_use]
    pub fn window(&self) -> Window {
        Window { limit: self.limit.0, offset: self.offset.0 }
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Listed<T> {
    pub data: Vec<T>,
    pub has_more: bool,
    pub total: i64,
}

impl<T> Listed<T> {
    /// A page of the store as the API shows it.
    pub fn of<S>(page: Page<S>, window: Window, show: impl FnMut(S) -> T) -> Self {
        let data: Vec<T> = page.items.into_iter().map(show).collect();
        let has_more = window.offset.saturating_add(data.len() as i64) < page.total;
        Self { data, has_more, total: page.total }
    }
}

/// `limit` (default 50, max 200), `before` and `after`: for messages, which are listed newest first.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CursorQuery {
    /// How many items at the most.
    #[param(inline, required = false, default = 50)]
    limit: Number<1, 200>,
    /// Only what is older than this time, or than the message with this id.
    #[param(value_type = Option<String>, nullable = false, format = "cursor")]
    before: Option<Cursor>,
    /// Only what is newer than this time, or than the message with this id.
    #[param(value_type = Option<String>, nullable = false, format = "cursor")]
    after: Option<Cursor>,
}

impl Input for CursorQuery {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        let (before, after) = (fields.optional("before"), fields.optional("after"));
        Some(Self { limit: fields.or("limit", Number(50)), before, after })
    }
}

impl CursorQuery {
    /// The span of time that is asked for.
    ///
    /// # Errors
    /// 422 when a cursor is the id of a message that isn't there.
    pub async fn span(&self, scope: &mut Scope<'_>) -> Result<Span, ApiError> {
        let newest = Span::newest(self.limit.0);
        Ok(Span {
            after: time_of(scope, "after", self.after.as_ref()).await?.unwrap_or(newest.after),
            before: time_of(scope, "before", self.before.as_ref()).await?.unwrap_or(newest.before),
            ..newest
        })
    }
}

/// A place in a list of messages.
#[derive(Debug, Clone)]
enum Cursor {
    At(Timestamp),
    Message(MessageId),
}

impl FromField for Cursor {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().ok_or_else(|| Problem::wrong_type("a string"))?;
        let at = Timestamp::parse(text).map(Self::At).ok();
        let cursor = at.or_else(|| MessageId::parse(text).map(Self::Message).ok());
        cursor.ok_or_else(|| {
            Problem::value("must be an RFC 3339 date-time such as 2026-01-31T12:00:00Z or a message's id")
        })
    }
}

async fn time_of(scope: &mut Scope<'_>, field: &str, cursor: Option<&Cursor>) -> Result<Option<Timestamp>, ApiError> {
    match cursor {
        None => Ok(None),
        Some(Cursor::At(at)) => Ok(Some(*at)),
        Some(Cursor::Message(id)) => match scope.message(id).await? {
            Some(message) => Ok(Some(message.at)),
            None => Err(ApiError::invalid_field("query", field, "is the id of no message here")),
        },
    }
}

/// Part of a list of messages.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CursorListed<T> {
    pub data: Vec<T>,
    pub has_more: bool,
}

impl<T> CursorListed<T> {
    /// Part of a list of the store as the API shows it.
    pub fn of<S>(slice: Slice<S>, show: impl FnMut(S) -> T) -> Self {
        Self { data: slice.items.into_iter().map(show).collect(), has_more: slice.has_more }
    }
}
