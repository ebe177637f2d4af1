//! `GET /v1/calls/{id}/transcript`

use axum::Json;
use axum::extract::State;
use offhook_domain::CallId;
use offhook_domain::call::exchanges;
use serde::Serialize;
use utoipa::ToSchema;

use super::ExchangeView;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId};

/// What was said.
#[derive(Debug, Serialize, ToSchema)]
pub struct Transcript {
    /// All of it, in order.
    data: Vec<ExchangeView>,
}

/// What was said in a call, whole and in order.
#[utoipa::path(
    get,
    path = "/v1/calls/{id}/transcript",
    operation_id = "getCallTranscript",
    tag = "Calls",
    params(("id" = String, Path, description = "The call's id")),
    responses(
        (status = 200, body = Transcript),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such call"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<CallId>,
) -> Result<Json<Transcript>, ApiError> {
    let (_, turns) = super::whole(&app, &caller.account, &id).await?.ok_or_else(CallId::missing)?;
    Ok(Json(Transcript { data: exchanges(&turns).into_iter().map(ExchangeView::of).collect() }))
}
