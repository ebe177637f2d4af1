//! `GET /v1/webhooks/deliveries/all-time`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::success_rate;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};

/// All deliveries there ever were, also those that the log no longer has.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllTimeStats {
    total: i64,
    success: i64,
    failed: i64,
    /// Of those that ended, in percent; 0 before the first ended.
    success_rate: f64,
}

/// How the account's deliveries went since it began.
#[utoipa::path(
    get,
    path = "/v1/webhooks/deliveries/all-time",
    operation_id = "getAllTimeWebhookStats",
    tag = "Webhooks",
    responses(
        (status = 200, body = AllTimeStats),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
    )
)]
pub async fn handle(State(app): State<App>, caller: Caller) -> Result<Json<AllTimeStats>, ApiError> {
    let totals =
        app.store.read::<_, ApiError>(async move |tx| Ok(tx.of(&caller.account).delivery_totals().await?)).await?;
    let (success, failed) = (totals.succeeded, totals.failed);
    Ok(Json(AllTimeStats { total: totals.total, success, failed, success_rate: success_rate(success, failed) }))
}
