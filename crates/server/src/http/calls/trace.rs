//! `GET /v1/calls/{id}/trace`

use axum::Json;
use axum::extract::State;
use offhook_domain::{CallId, Timestamp};
use offhook_store::Tx;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId};

/// What happened in a call, and when.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    #[schema(value_type = String)]
    call_id: CallId,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// In order.
    data: Vec<TraceMark>,
}

/// One thing that happened: signalling, sound, speech, the brain, the turns.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TraceMark {
    /// Since the call began.
    at_ms: f64,
    /// Such as `answered`, `speech_ended`, `brain_first`, `speaker_first`, `turn_heard`, `barge_in`.
    name: String,
    /// Numbers that belong to it; never words.
    #[schema(value_type = Option<Object>)]
    detail: Option<Box<RawValue>>,
}

/// A call's timeline.
#[utoipa::path(
    get,
    path = "/v1/calls/{id}/trace",
    operation_id = "getCallTrace",
    tag = "Calls",
    params(("id" = String, Path, description = "The call's id")),
    responses(
        (status = 200, body = Trace),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such call"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<CallId>,
) -> Result<Json<Trace>, ApiError> {
    let wanted = id.clone();
    let find = async move |tx: &mut Tx| {
        let mut scope = tx.of(&caller.account);
        let call = scope.call(&wanted).await?.ok_or_else(CallId::missing)?;
        Ok::<_, ApiError>((call, scope.call_marks(&wanted).await?))
    };
    let (call, marks) = app.store.read(find).await?;
    let data = marks.into_iter().map(|mark| TraceMark {
        at_ms: mark.since as f64 / 1_000.0,
        name: mark.name,
        detail: mark.detail.and_then(|text| RawValue::from_string(text).ok()),
    });
    Ok(Json(Trace { call_id: id, started_at: call.started_at, data: data.collect() }))
}
