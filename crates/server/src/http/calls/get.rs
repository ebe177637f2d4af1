//! `GET /v1/calls/{id}`

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use offhook_domain::CallId;
use utoipa::IntoParams;

use super::WholeCall;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId, Query};
use crate::http::fields::{Casing, Fields, FromField, Input, Problem};
use crate::http::values::Number;

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// Whether to wait until the call is over.
    #[param(value_type = bool, inline, required = false, default = false)]
    wait: Truth,
    /// For so many seconds at the most; then the answer is the call so far.
    #[param(inline, required = false, default = 300)]
    timeout: Number<0, 600>,
}

/// `true` or `false`, as clients write them into a query.
#[derive(Debug, Clone, Copy)]
struct Truth(bool);

impl FromField for Truth {
    fn from_field(value: &serde_json::Value) -> Result<Self, Problem> {
        match value.as_str().map(str::to_ascii_lowercase).as_deref() {
            Some("true" | "1") => Ok(Self(true)),
            Some("false" | "0") => Ok(Self(false)),
            _ => Err(Problem::value("must be true or false")),
        }
    }
}

impl Input for WaitQuery {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { wait: fields.or("wait", Truth(false)), timeout: fields.or("timeout", Number(300)) })
    }
}

/// A call with what was said so far.
#[utoipa::path(
    get,
    path = "/v1/calls/{id}",
    operation_id = "getCall",
    tag = "Calls",
    params(("id" = String, Path, description = "The call's id"), WaitQuery),
    responses(
        (status = 200, body = WholeCall),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such call"),
        (status = 422, body = ErrorEnvelope, description = "wait or timeout is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<CallId>,
    Query(query): Query<WaitQuery>,
) -> Result<Json<WholeCall>, ApiError> {
    let seconds = if query.wait.0 { query.timeout.0.unsigned_abs() } else { 0 };
    let found = super::when_over(&app, &caller.account, &id, Duration::from_secs(seconds)).await?;
    let (call, turns) = found.ok_or_else(CallId::missing)?;
    Ok(Json(WholeCall::of(&app, call, &turns)))
}
