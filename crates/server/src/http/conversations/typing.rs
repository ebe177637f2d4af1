//! `POST /v1/conversations/{id}/typing`

use std::convert::Infallible;

use axum::extract::State;
use offhook_domain::ConversationId;

use super::only_imessage;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId};

/// Shows that somebody is typing, which only iMessage can.
#[utoipa::path(
    post,
    path = "/v1/conversations/{id}/typing",
    operation_id = "sendTyping",
    tag = "Conversations",
    params(("id" = String, Path, description = "The conversation's id")),
    responses(
        (status = 400, body = ErrorEnvelope, description = "The conversation is not on iMessage"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such conversation"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<ConversationId>,
) -> Result<Infallible, ApiError> {
    app.store
        .read(async move |tx| {
            let conversation = tx.of(&caller.account).conversation(&id).await?.ok_or_else(ConversationId::missing)?;
            Err(only_imessage("typing indicators", &conversation))
        })
        .await
}
