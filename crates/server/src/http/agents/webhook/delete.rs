//! `DELETE /v1/agents/{id}/webhook`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::AgentId;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::PathId;
use crate::http::once::Once;
use crate::http::webhooks::delete::{DeletedWebhook, delete};

/// Deletes the agent's own webhook. What waits for it ends `failed`; the account's gets the agent's events from now on.
#[utoipa::path(
    delete,
    path = "/v1/agents/{id}/webhook",
    operation_id = "deleteAgentWebhook",
    tag = "Webhooks",
    params(("id" = String, Path, description = "The agent's id")),
    responses(
        (status = 200, body = DeletedWebhook),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such agent, or it has no webhook"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    PathId(id): PathId<AgentId>,
) -> Result<Response, ApiError> {
    delete(app, caller, once, Some(id)).await
}
