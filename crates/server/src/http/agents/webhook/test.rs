//! `POST /v1/agents/{id}/webhook/test`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::AgentId;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, PathId};
use crate::http::once::Once;
use crate::http::webhooks::test::{TestEvent, TestResult, Tried, try_out};

/// Sends a signed `agent.message` with `test: true` to the agent's own webhook at once and tells what came back.
#[utoipa::path(
    post,
    path = "/v1/agents/{id}/webhook/test",
    operation_id = "testAgentWebhook",
    tag = "Webhooks",
    params(("id" = String, Path, description = "The agent's id")),
    request_body = Option<TestEvent>,
    responses(
        (status = 200, body = TestResult),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such agent, or it has no webhook"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    PathId(id): PathId<AgentId>,
    Body(input): Body<TestEvent>,
) -> Result<Response, ApiError> {
    try_out(app, caller, once, Tried::OwnOf(id), input).await
}
