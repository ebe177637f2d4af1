//! Offset lists: `limit`, `offset` in, `{data, hasMore, total}` out (contract, "Conventions").

use offhook_store::{Page, Window};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::fields::{Casing, Fields, Input};
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
