//! `POST /v1/agents/{id}/numbers`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::{AgentId, NumberId};
use serde::Serialize;
use utoipa::ToSchema;

use super::AgentNumber;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, Named, PathId};
use crate::http::fields::{Casing, Fields, Input};
use crate::http::once::{Once, Reply};
use crate::http::values::Ref;

#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct AttachNumber {
    #[schema(value_type = String)]
    number_id: Ref<NumberId>,
}

impl Input for AttachNumber {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { number_id: fields.required("number_id")? })
    }
}

/// The number and the agent it has now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachedNumber {
    #[schema(value_type = String)]
    agent_id: AgentId,
    number: AgentNumber,
}

/// Gives a number to an agent, away from the one that had it.
#[utoipa::path(
    post,
    path = "/v1/agents/{id}/numbers",
    operation_id = "attachNumber",
    tag = "Agents",
    params(("id" = String, Path, description = "The agent's id")),
    request_body = AttachNumber,
    responses(
        (status = 200, body = AttachedNumber),
        (status = 400, body = ErrorEnvelope, description = "The number is released"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such agent or number"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    PathId(id): PathId<AgentId>,
    Body(input): Body<AttachNumber>,
) -> Result<Response, ApiError> {
    let account = caller.account.clone();
    once.write(&app, &caller, async move |tx| {
        let mut scope = tx.of(&account);
        let agent = scope.agent_to_change(&id).await?.ok_or_else(AgentId::missing)?;
        let number_id = input.number_id.id().ok_or_else(NumberId::missing)?;
        let number = scope.number(number_id).await?.ok_or_else(NumberId::missing)?;
        if !scope.attach_number(number_id, &agent.id).await? {
            return Err(ApiError::refused_field("numberId", "the number is released"));
        }
        Reply::ok(&AttachedNumber { agent_id: agent.id, number: AgentNumber::of(&number) })
    })
    .await
}
