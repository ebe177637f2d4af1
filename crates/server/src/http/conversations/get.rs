//! `GET /v1/conversations/{id}`

use axum::Json;
use axum::extract::State;
use offhook_domain::ConversationId;
use offhook_store::Tx;
use utoipa::IntoParams;

use super::ConversationDetail;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{PathId, Query};
use crate::http::fields::{Casing, Fields, Input};
use crate::http::values::Number;

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DetailQuery {
    /// How many of its latest messages at the most.
    #[param(inline, required = false, default = 50)]
    message_limit: Number<0, 100>,
}

impl Input for DetailQuery {
    const CASING: Casing = Casing::Snake;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { message_limit: fields.or("message_limit", Number(super::update::MESSAGES)) })
    }
}

/// One conversation with its latest messages.
#[utoipa::path(
    get,
    path = "/v1/conversations/{id}",
    operation_id = "getConversation",
    tag = "Conversations",
    params(("id" = String, Path, description = "The conversation's id"), DetailQuery),
    responses(
        (status = 200, body = ConversationDetail),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such conversation"),
        (status = 422, body = ErrorEnvelope, description = "message_limit is out of range"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<ConversationId>,
    Query(query): Query<DetailQuery>,
) -> Result<Json<ConversationDetail>, ApiError> {
    let limit = query.message_limit.0;
    let doors = app.clone();
    let show = async move |tx: &mut Tx| super::show(&doors, &mut tx.of(&caller.account), &id, limit).await;
    let view = app.store.read(show).await?;
    Ok(Json(view))
}
