//! `/v1/conversations`: everything said between a number and a participant.

pub mod background;
pub mod get;
pub mod list;
pub mod messages;
pub mod typing;
pub mod update;
mod view;

pub use view::{ConversationDetail, ConversationView, MessageView};

use offhook_domain::ConversationId;
use offhook_domain::conversation::Conversation;
use offhook_store::Scope;
use offhook_store::messages::Span;

use super::error::ApiError;
use super::extract::Named;
use crate::app::shaping::tell_estimates;
use crate::app::{App, media};

/// Joins a conversation with its latest messages.
async fn show(
    app: &App,
    scope: &mut Scope<'_>,
    id: &ConversationId,
    limit: i64,
) -> Result<ConversationDetail, ApiError> {
    let conversation = scope.conversation(id).await?.ok_or_else(ConversationId::missing)?;
    let mut messages = scope.messages_of_conversation(id, Span::newest(limit)).await?;
    tell_estimates(&app.config.shaping, scope, &mut messages.items, app.now()).await?;
    media::link_all(app, &mut messages.items);
    let standing = scope.standing().await?;
    Ok(ConversationDetail::of(app, standing.as_ref(), conversation, messages.items))
}

/// 400: SMS and MMS have no such thing.
fn only_imessage(what: &str, conversation: &Conversation) -> ApiError {
    ApiError::refused(format!("{what} need iMessage; this conversation is on {}", conversation.channel))
}
