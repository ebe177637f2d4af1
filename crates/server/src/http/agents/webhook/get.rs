//! `GET /v1/agents/{id}/webhook`

use axum::Json;
use axum::extract::State;
use offhook_domain::AgentId;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::PathId;
use crate::http::webhooks::{WebhookView, get};

/// The agent's own webhook, or `null`.
#[utoipa::path(
    get,
    path = "/v1/agents/{id}/webhook",
    operation_id = "getAgentWebhook",
    tag = "Webhooks",
    params(("id" = String, Path, description = "The agent's id")),
    responses(
        (status = 200, body = Option<WebhookView>),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such agent"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<AgentId>,
) -> Result<Json<Option<WebhookView>>, ApiError> {
    get::get(app, caller, Some(id)).await
}
