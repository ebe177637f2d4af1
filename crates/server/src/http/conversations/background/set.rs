//! `POST /v1/conversations/{id}/background`

use std::convert::Infallible;

use axum::extract::State;
use offhook_domain::ConversationId;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::conversations::only_imessage;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, Named, PathId};
use crate::http::fields::{Casing, Fields, Input};
use crate::http::values::MediaUrl;

#[derive(Debug, ToSchema)]
pub struct SetBackground {
    #[allow(dead_code, reason = "checked, though nothing here can show it")]
    image_url: MediaUrl,
}

impl Input for SetBackground {
    const CASING: Casing = Casing::Snake;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { image_url: fields.required("image_url")? })
    }
}

/// Puts a picture behind a conversation, which only iMessage can.
#[utoipa::path(
    post,
    path = "/v1/conversations/{id}/background",
    operation_id = "setBackground",
    tag = "Conversations",
    params(("id" = String, Path, description = "The conversation's id")),
    request_body = SetBackground,
    responses(
        (status = 400, body = ErrorEnvelope, description = "The conversation is not on iMessage"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such conversation"),
        (status = 422, body = ErrorEnvelope, description = "image_url is missing or malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<ConversationId>,
    _: Body<SetBackground>,
) -> Result<Infallible, ApiError> {
    app.store
        .read(async move |tx| {
            let conversation = tx.of(&caller.account).conversation(&id).await?.ok_or_else(ConversationId::missing)?;
            Err(only_imessage("backgrounds", &conversation))
        })
        .await
}
