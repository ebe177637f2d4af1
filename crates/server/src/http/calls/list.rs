//! `GET /v1/calls`

use axum::Json;
use axum::extract::State;
use offhook_domain::call::CallDirection;
use offhook_store::calls::CallFilter;
use offhook_store::{Tx, Window};
use utoipa::IntoParams;

use super::CallView;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Query;
use crate::http::fields::{Casing, Fields, Input};
use crate::http::page::Listed;
use crate::http::values::{Number, Text};

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CallsQuery {
    /// How many items at the most.
    #[param(inline, required = false, default = 20)]
    limit: Number<1, 100>,
    /// How many items to pass over.
    #[param(inline, required = false, default = 0)]
    offset: Number<0, 1_000_000_000>,
    /// A status, or a reason for an end. Of an unknown one there are no calls.
    #[param(inline, nullable = false)]
    status: Option<Text<0, 100>>,
    /// `inbound`, `outbound` or `web`.
    #[param(inline, nullable = false)]
    direction: Option<Text<0, 100>>,
    /// `pstn`, or `web` for those from browsers.
    #[param(inline, nullable = false)]
    r#type: Option<Text<0, 100>>,
    /// Only calls whose numbers, agent or words have this in them, in capitals or not.
    #[param(inline, nullable = false)]
    search: Option<Text<0, 200>>,
}

impl Input for CallsQuery {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            limit: fields.or("limit", Number(20)),
            offset: fields.or("offset", Number(0)),
            status: fields.optional("status"),
            direction: fields.optional("direction"),
            r#type: fields.optional("type"),
            search: fields.optional("search"),
        })
    }
}

/// The account's calls, the newest first.
#[utoipa::path(
    get,
    path = "/v1/calls",
    operation_id = "listCalls",
    tag = "Calls",
    params(CallsQuery),
    responses(
        (status = 200, body = Listed<CallView>),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 422, body = ErrorEnvelope, description = "limit, offset or search is out of range"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<CallsQuery>,
) -> Result<Json<Listed<CallView>>, ApiError> {
    let window = Window { limit: query.limit.0, offset: query.offset.0 };
    let Some(filter) = filter(query) else {
        return Ok(Json(Listed { data: Vec::new(), has_more: false, total: 0 }));
    };
    let find = async move |tx: &mut Tx| tx.of(&caller.account).calls(&filter, window).await;
    let page = app.store.read(find).await?;
    Ok(Json(Listed::of(page, window, |call| CallView::of(&app, call))))
}

/// What is asked for; `None` where no call can be that.
fn filter(query: CallsQuery) -> Option<CallFilter> {
    let text = |text: Option<Text<0, 100>>| text.map(|text| text.0);
    let direction = match text(query.direction) {
        Some(direction) => Some(CallDirection::parse(&direction)?),
        None => None,
    };
    let web = match text(query.r#type).as_deref() {
        None => None,
        Some("web") => Some(true),
        Some("pstn") => Some(false),
        Some(_) => return None,
    };
    Some(CallFilter { status: text(query.status), direction, web, search: query.search.map(|search| search.0) })
}
