//! `PATCH /v1/conversations/{id}`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::ConversationId;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::ConversationDetail;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, Named, PathId};
use crate::http::fields::{Casing, Fields, Input, Patch};
use crate::http::once::{Once, Reply};
use crate::http::values::Text;

/// How many messages the answer has, as that of a GET that doesn't say.
pub const MESSAGES: i64 = 50;

/// What to change about a conversation. A field that isn't sent stays as it is.
#[derive(Debug, Clone, ToSchema)]
pub struct UpdateConversation {
    /// Your own object, in place of the one before; null clears it. Every event of the conversation carries it.
    #[schema(value_type = Option<Object>)]
    metadata: Patch<Map<String, Value>>,
    #[schema(value_type = Option<Text<0, 200>>)]
    group_name: Patch<Text<0, 200>>,
}

impl Input for UpdateConversation {
    const CASING: Casing = Casing::Snake;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { metadata: fields.patch("metadata"), group_name: fields.patch("group_name") })
    }
}

/// Changes what is sent about a conversation.
#[utoipa::path(
    patch,
    path = "/v1/conversations/{id}",
    operation_id = "updateConversation",
    tag = "Conversations",
    params(("id" = String, Path, description = "The conversation's id")),
    request_body = UpdateConversation,
    responses(
        (status = 200, body = ConversationDetail),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such conversation"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    PathId(id): PathId<ConversationId>,
    Body(input): Body<UpdateConversation>,
) -> Result<Response, ApiError> {
    let (doors, account) = (app.clone(), caller.account.clone());
    let (metadata, group_name) = (input.metadata.map(Value::Object), input.group_name);
    once.write(&app, &caller, async move |tx| {
        let mut scope = tx.of(&account);
        scope.conversation(&id).await?.ok_or_else(ConversationId::missing)?;
        match &metadata {
            Patch::Absent => {}
            Patch::Null => scope.set_metadata(&id, None).await?,
            Patch::Value(object) => scope.set_metadata(&id, Some(object)).await?,
        }
        match &group_name {
            Patch::Absent => {}
            Patch::Null => scope.set_group_name(&id, None).await?,
            Patch::Value(name) => scope.set_group_name(&id, Some(&name.0)).await?,
        }
        Reply::ok(&super::show(&doors, &mut scope, &id, MESSAGES).await?)
    })
    .await
}
