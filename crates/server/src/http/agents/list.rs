//! `GET /v1/agents`

use axum::Json;
use axum::extract::State;
use offhook_store::Page;

use super::AgentView;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Query;
use crate::http::page::{Listed, OffsetQuery};

/// The account's agents, the newest first.
#[utoipa::path(
    get,
    path = "/v1/agents",
    operation_id = "listAgents",
    tag = "Agents",
    params(OffsetQuery),
    responses(
        (status = 200, body = Listed<AgentView>),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 422, body = ErrorEnvelope, description = "limit or offset is out of range"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<OffsetQuery>,
) -> Result<Json<Listed<AgentView>>, ApiError> {
    let window = query.window();
    let page = app
        .store
        .read::<_, ApiError>(async move |tx| {
            let mut scope = tx.of(&caller.account);
            let found = scope.agents(window).await?;
            let mut items = Vec::with_capacity(found.items.len());
            for agent in found.items {
                items.push(super::show(&mut scope, agent).await?);
            }
            Ok(Page { items, total: found.total })
        })
        .await?;
    Ok(Json(Listed::of(page, window, |agent| agent)))
}
