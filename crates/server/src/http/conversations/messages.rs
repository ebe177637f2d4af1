//! `GET /v1/conversations/{id}/messages`

use axum::Json;
use axum::extract::State;
use offhook_domain::ConversationId;

use super::MessageView;
use crate::app::shaping::tell_estimates;
use crate::app::{App, media};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId, Query};
use crate::http::page::{CursorListed, CursorQuery};

/// The messages of a conversation, the newest first.
#[utoipa::path(
    get,
    path = "/v1/conversations/{id}/messages",
    operation_id = "listConversationMessages",
    tag = "Conversations",
    params(("id" = String, Path, description = "The conversation's id"), CursorQuery),
    responses(
        (status = 200, body = CursorListed<MessageView>),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such conversation"),
        (status = 422, body = ErrorEnvelope, description = "limit, before or after is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<ConversationId>,
    Query(query): Query<CursorQuery>,
) -> Result<Json<CursorListed<MessageView>>, ApiError> {
    let doors = app.clone();
    let slice = app
        .store
        .read::<_, ApiError>(async move |tx| {
            let mut scope = tx.of(&caller.account);
            scope.conversation(&id).await?.ok_or_else(ConversationId::missing)?;
            let span = query.span(&mut scope).await?;
            let mut slice = scope.messages_of_conversation(&id, span).await?;
            tell_estimates(&doors.config.shaping, &mut scope, &mut slice.items, doors.now()).await?;
            media::link_all(&doors, &mut slice.items);
            Ok(slice)
        })
        .await?;
    Ok(Json(CursorListed::of(slice, MessageView::of)))
}
