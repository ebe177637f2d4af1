//! `GET /v1/numbers/{id}/messages`

use axum::Json;
use axum::extract::State;
use offhook_domain::message::{Channel, Direction, Message, MessageStatus};
use offhook_domain::{ConversationId, MessageId, NumberId, Timestamp, one_time_code};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::shaping::tell_estimates;
use crate::app::{App, media};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId, Query};
use crate::http::page::{CursorListed, CursorQuery};

/// A message as its number lists it (contract, "Numbers").
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NumberMessage {
    #[schema(value_type = String)]
    id: MessageId,
    #[serde(rename = "from_")]
    from_: String,
    to: String,
    body: String,
    #[schema(value_type = String)]
    direction: Direction,
    #[schema(value_type = String)]
    channel: Channel,
    #[schema(value_type = String)]
    status: MessageStatus,
    failure_reason: Option<String>,
    /// The first of `mediaUrls`.
    media_url: Option<String>,
    media_urls: Vec<String>,
    #[schema(value_type = String)]
    conversation_id: ConversationId,
    /// When it was received, or accepted for sending.
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
    /// The same as `from_`.
    from: String,
    /// When a queued message is likely to go, where its campaign's rate or day has it wait.
    #[schema(value_type = Option<String>, format = DateTime)]
    estimated_send_at: Option<Timestamp>,
}

impl NumberMessage {
    pub fn of(message: Message) -> Self {
        Self {
            id: message.id,
            from_: message.from.clone(),
            to: message.to,
            body: one_time_code::masked(message.body),
            direction: message.direction,
            channel: message.channel,
            status: message.status,
            failure_reason: message.failure.map(|failure| failure.reason),
            media_url: message.media_urls.first().cloned(),
            media_urls: message.media_urls,
            conversation_id: message.conversation_id,
            received_at: message.at,
            from: message.from,
            estimated_send_at: message.estimated_send_at,
        }
    }
}

/// The messages of a number, the newest first; of a released one too.
#[utoipa::path(
    get,
    path = "/v1/numbers/{id}/messages",
    operation_id = "listNumberMessages",
    tag = "Numbers",
    params(("id" = String, Path, description = "The number's id"), CursorQuery),
    responses(
        (status = 200, body = CursorListed<NumberMessage>),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such number"),
        (status = 422, body = ErrorEnvelope, description = "limit, before or after is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<NumberId>,
    Query(query): Query<CursorQuery>,
) -> Result<Json<CursorListed<NumberMessage>>, ApiError> {
    let doors = app.clone();
    let slice = app
        .store
        .read::<_, ApiError>(async move |tx| {
            let mut scope = tx.of(&caller.account);
            scope.number(&id).await?.ok_or_else(NumberId::missing)?;
            let span = query.span(&mut scope).await?;
            let mut slice = scope.messages_of_number(&id, span).await?;
            tell_estimates(&doors.config.shaping, &mut scope, &mut slice.items, doors.now()).await?;
            media::link_all(&doors, &mut slice.items);
            Ok(slice)
        })
        .await?;
    Ok(Json(CursorListed::of(slice, NumberMessage::of)))
}
