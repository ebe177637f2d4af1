//! `GET /v1/agents/{id}/calls`

use axum::Json;
use axum::extract::State;
use offhook_domain::AgentId;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::calls::CallView;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId, Query};
use crate::http::page::{Listed, OffsetQuery};

/// The calls of an agent, the newest first.
#[utoipa::path(
    get,
    path = "/v1/agents/{id}/calls",
    operation_id = "listAgentCalls",
    tag = "Agents",
    params(("id" = String, Path, description = "The agent's id"), OffsetQuery),
    responses(
        (status = 200, body = Listed<CallView>),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such agent"),
        (status = 422, body = ErrorEnvelope, description = "limit or offset is out of range"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<AgentId>,
    Query(query): Query<OffsetQuery>,
) -> Result<Json<Listed<CallView>>, ApiError> {
    let window = query.window();
    let page = app
        .store
        .read::<_, ApiError>(async move |tx| {
            let mut scope = tx.of(&caller.account);
            scope.agent(&id).await?.ok_or_else(AgentId::missing)?;
            Ok(scope.calls_of_agent(&id, window).await?)
        })
        .await?;
    Ok(Json(Listed::of(page, window, |call| CallView::of(&app, call))))
}
