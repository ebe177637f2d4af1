//! `POST /v1/messages/{id}/reactions`

use std::convert::Infallible;

use axum::extract::State;
use offhook_domain::MessageId;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, Named, PathId};
use crate::http::fields::{Casing, Fields, Input};
use crate::http::values::Text;

#[derive(Debug, ToSchema)]
pub struct React {
    #[allow(dead_code, reason = "checked, though no channel here carries it")]
    reaction: Text<1, 64>,
}

impl Input for React {
    const CASING: Casing = Casing::Snake;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { reaction: fields.required("reaction")? })
    }
}

/// Reacts to a message, which only iMessage can.
#[utoipa::path(
    post,
    path = "/v1/messages/{id}/reactions",
    operation_id = "reactToMessage",
    tag = "Messages",
    params(("id" = String, Path, description = "The message's id")),
    request_body = React,
    responses(
        (status = 400, body = ErrorEnvelope, description = "The message is not on iMessage"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such message"),
        (status = 422, body = ErrorEnvelope, description = "reaction is missing or malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<MessageId>,
    _: Body<React>,
) -> Result<Infallible, ApiError> {
    app.store
        .read(async move |tx| {
            let message = tx.of(&caller.account).message(&id).await?.ok_or_else(MessageId::missing)?;
            let channel = message.channel.as_str();
            Err(ApiError::refused(format!("reactions need iMessage; this message is on {channel}")))
        })
        .await
}
