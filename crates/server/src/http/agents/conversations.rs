//! `GET /v1/agents/{id}/conversations`

use axum::Json;
use axum::extract::State;
use offhook_domain::AgentId;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::conversations::ConversationView;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId, Query};
use crate::http::page::{Listed, OffsetQuery};

/// The conversations of an agent; the one spoken in last is first.
#[utoipa::path(
    get,
    path = "/v1/agents/{id}/conversations",
    operation_id = "listAgentConversations",
    tag = "Agents",
    params(("id" = String, Path, description = "The agent's id"), OffsetQuery),
    responses(
        (status = 200, body = Listed<ConversationView>),
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
) -> Result<Json<Listed<ConversationView>>, ApiError> {
    let window = query.window();
    let (page, standing) = app
        .store
        .read::<_, ApiError>(async move |tx| {
            let mut scope = tx.of(&caller.account);
            scope.agent(&id).await?.ok_or_else(AgentId::missing)?;
            Ok((scope.conversations_of_agent(&id, window).await?, scope.standing().await?))
        })
        .await?;
    Ok(Json(Listed::of(page, window, |one| ConversationView::of(&app, standing.as_ref(), one))))
}
