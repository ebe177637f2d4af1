//! `GET /v1/register/status`

use axum::Json;
use axum::extract::State;

use super::RegistrationStatus;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};

/// How the account's registration stands.
#[utoipa::path(
    get,
    path = "/v1/register/status",
    operation_id = "getRegistrationStatus",
    tag = "Registration",
    responses(
        (status = 200, body = RegistrationStatus),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
    )
)]
pub async fn handle(State(app): State<App>, caller: Caller) -> Result<Json<RegistrationStatus>, ApiError> {
    let campaign = app.store.read::<_, ApiError>(async move |tx| Ok(tx.of(&caller.account).campaign().await?)).await?;
    Ok(Json(RegistrationStatus::of(campaign.as_ref())))
}
