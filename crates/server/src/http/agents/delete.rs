//! `DELETE /v1/agents/{id}`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::AgentId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId};
use crate::http::once::{Once, Reply};

/// The agent that was.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeletedAgent {
    success: bool,
    #[schema(value_type = String)]
    id: AgentId,
    name: String,
}

/// Deletes an agent. Its numbers, conversations and calls stay, without it.
#[utoipa::path(
    delete,
    path = "/v1/agents/{id}",
    operation_id = "deleteAgent",
    tag = "Agents",
    params(("id" = String, Path, description = "The agent's id")),
    responses(
        (status = 200, body = DeletedAgent),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such agent"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    PathId(id): PathId<AgentId>,
) -> Result<Response, ApiError> {
    let account = caller.account.clone();
    once.write(&app, &caller, async move |tx| {
        let mut scope = tx.of(&account);
        let agent = scope.agent_to_change(&id).await?.ok_or_else(AgentId::missing)?;
        scope.delete_agent(&id).await?;
        Reply::ok(&DeletedAgent { success: true, id: agent.id, name: agent.name })
    })
    .await
}
