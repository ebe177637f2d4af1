//! `GET /v1/agents/{id}`

use axum::Json;
use axum::extract::State;
use offhook_domain::AgentId;

use super::AgentView;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId};

/// One agent.
#[utoipa::path(
    get,
    path = "/v1/agents/{id}",
    operation_id = "getAgent",
    tag = "Agents",
    params(("id" = String, Path, description = "The agent's id")),
    responses(
        (status = 200, body = AgentView),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such agent"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<AgentId>,
) -> Result<Json<AgentView>, ApiError> {
    let view = app
        .store
        .read::<_, ApiError>(async move |tx| {
            let mut scope = tx.of(&caller.account);
            let agent = scope.agent(&id).await?.ok_or_else(AgentId::missing)?;
            Ok(super::show(&mut scope, agent).await?)
        })
        .await?;
    Ok(Json(view))
}
