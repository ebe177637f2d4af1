//! `PATCH /v1/agents/{id}`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::AgentId;

use super::AgentView;
use super::profile::UpdateAgent;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, Named, PathId};
use crate::http::once::{Once, Reply};

/// Changes what is sent about an agent.
#[utoipa::path(
    patch,
    path = "/v1/agents/{id}",
    operation_id = "updateAgent",
    tag = "Agents",
    params(("id" = String, Path, description = "The agent's id")),
    request_body = UpdateAgent,
    responses(
        (status = 200, body = AgentView),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such agent"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    PathId(id): PathId<AgentId>,
    Body(input): Body<UpdateAgent>,
) -> Result<Response, ApiError> {
    let account = caller.account.clone();
    once.write(&app, &caller, async move |tx| {
        let mut scope = tx.of(&account);
        let mut agent = scope.agent_to_change(&id).await?.ok_or_else(AgentId::missing)?;
        input.clone().apply(&mut agent)?;
        scope.update_agent(&agent).await?;
        Reply::ok(&super::show(&mut scope, agent).await?)
    })
    .await
}
