//! `POST /v1/agents/{id}/webhook`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::AgentId;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, PathId};
use crate::http::once::Once;
use crate::http::webhooks::WebhookView;
use crate::http::webhooks::set::{SetWebhook, set};

/// Creates the agent's own webhook or replaces it; a disabled one is active again.
#[utoipa::path(
    post,
    path = "/v1/agents/{id}/webhook",
    operation_id = "setAgentWebhook",
    tag = "Webhooks",
    params(("id" = String, Path, description = "The agent's id")),
    request_body = SetWebhook,
    responses(
        (status = 200, body = WebhookView),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such agent"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed, or the URL is not one to be called"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    PathId(id): PathId<AgentId>,
    Body(input): Body<SetWebhook>,
) -> Result<Response, ApiError> {
    set(app, caller, once, Some(id), input).await
}
