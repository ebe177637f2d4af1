//! `DELETE /v1/agents/{id}/numbers/{number_id}`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::{AgentId, NumberId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathIds};
use crate::http::once::{Once, Reply};

#[derive(Debug, Serialize, ToSchema)]
pub struct DetachedNumber {
    success: bool,
}

/// Takes a number from an agent. The number stays yours, without an agent.
#[utoipa::path(
    delete,
    path = "/v1/agents/{id}/numbers/{number_id}",
    operation_id = "detachNumber",
    tag = "Agents",
    params(
        ("id" = String, Path, description = "The agent's id"),
        ("number_id" = String, Path, description = "The number's id"),
    ),
    responses(
        (status = 200, body = DetachedNumber),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such agent, or it does not have that number"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    PathIds(id, number_id): PathIds<AgentId, NumberId>,
) -> Result<Response, ApiError> {
    let account = caller.account.clone();
    once.write(&app, &caller, async move |tx| {
        let mut scope = tx.of(&account);
        scope.agent(&id).await?.ok_or_else(AgentId::missing)?;
        if !scope.detach_number(&number_id, &id).await? {
            return Err(NumberId::missing());
        }
        Reply::ok(&DetachedNumber { success: true })
    })
    .await
}
