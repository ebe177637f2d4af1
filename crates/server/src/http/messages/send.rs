//! `POST /v1/messages`

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use offhook_domain::message::{Channel, Message, MessageStatus};
use offhook_domain::{AccountId, AgentId, ConversationId, Destination, E164, MessageId, NumberId, Timestamp};
use offhook_store::numbers::NumberSought;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::app::accepting::{Answer, Wanted};
use crate::app::send_message::{Order, SendRefused};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, Named};
use crate::http::fields::{Casing, Fields, FromField, Input, Problem};
use crate::http::once::{Once, Reply, replayed};
use crate::http::values::{List, MediaUrl, Ref, Text};
use crate::telemetry::names;

/// A message to send. Text or media is required, and one of `agent_id`, `number_id` and `from_number`.
#[derive(Debug, ToSchema)]
pub struct SendMessage {
    /// The agent that speaks; its first number is the sender where no other is named.
    #[schema(value_type = Option<String>)]
    agent_id: Option<Ref<AgentId>>,
    /// A phone number in any usual format, or a short code.
    #[schema(value_type = Option<String>, example = "+14155550123")]
    to_number: Option<Destination>,
    /// Two or more receivers start a group, where the number's carrier has groups.
    #[schema(value_type = Option<Vec<String>>)]
    recipients: Option<List<Destination, 32>>,
    /// At most 1600 characters: what carriers take as one concatenated message.
    body: Option<Text<0, 1600>>,
    /// The old way to give one attachment.
    media_url: Option<MediaUrl>,
    #[schema(value_type = Option<Vec<MediaUrl>>, max_items = 10)]
    media_urls: Option<List<MediaUrl, 10>>,
    #[schema(value_type = Option<String>)]
    number_id: Option<Ref<NumberId>>,
    #[schema(value_type = Option<String>)]
    from_number: Option<E164>,
    /// An iMessage effect; without meaning on SMS.
    #[allow(dead_code, reason = "checked like every field, then dropped: it degrades silently on SMS")]
    send_style: Option<Text<0, 100>>,
    /// Without meaning on SMS.
    reply_to_message_id: Option<Text<0, 100>>,
}

impl FromField for Destination {
    fn from_field(value: &serde_json::Value) -> Result<Self, Problem> {
        let text = value.as_str().ok_or_else(|| Problem::wrong_type("a string"))?;
        Self::parse(text).map_err(|e| Problem::value(e.to_string()))
    }
}

impl Input for SendMessage {
    const CASING: Casing = Casing::Snake;

    fn read(fields: &mut Fields) -> Option<Self> {
        let input = Self {
            agent_id: fields.optional("agent_id"),
            to_number: fields.optional("to_number"),
            recipients: fields.optional("recipients"),
            body: fields.optional("body"),
            media_url: fields.optional("media_url"),
            media_urls: fields.optional("media_urls"),
            number_id: fields.optional("number_id"),
            from_number: fields.optional("from_number"),
            send_style: fields.optional("send_style"),
            reply_to_message_id: fields.optional("reply_to_message_id"),
        };
        if !["to_number", "recipients"].iter().any(|name| fields.has(name)) {
            fields.complain("to_number", Problem::value("is required"));
        }
        if input.recipients.as_ref().is_some_and(|list| list.0.len() < 2) {
            fields.complain("recipients", Problem::value("must name at least two receivers; for one use to_number"));
        }
        if !["agent_id", "number_id", "from_number"].iter().any(|name| fields.has(name)) {
            fields.complain("agent_id", Problem::value("is required unless number_id or from_number is given"));
        }
        let has_text = input.body.as_ref().is_some_and(|body| !body.0.is_empty());
        let has_media = input.media_url.is_some() || input.media_urls.as_ref().is_some_and(|list| !list.0.is_empty());
        // What is there and bad has been complained of already.
        let bad = fields.has("body") && input.body.is_none()
            || fields.has("media_url") && input.media_url.is_none()
            || fields.has("media_urls") && input.media_urls.is_none();
        if !(has_text || has_media || bad) {
            fields.complain("body", Problem::value("is required where there is no media"));
        }
        Some(input)
    }
}

/// The message as accepted.
#[derive(Debug, Serialize, ToSchema)]
pub struct SentMessage {
    #[schema(value_type = String)]
    id: MessageId,
    #[schema(value_type = String)]
    status: MessageStatus,
    #[schema(value_type = String)]
    channel: Channel,
    from_number: String,
    to_number: String,
    #[schema(value_type = String)]
    conversation_id: ConversationId,
    media_urls: Vec<String>,
    reply_to_message_id: Option<String>,
    reply_parent_unresolved: bool,
    /// When it is likely to go: there where a campaign limits its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    estimated_send_at: Option<Timestamp>,
}

/// Accepts a message for sending. The answer says `queued`; what becomes of it shows in the conversation.
#[utoipa::path(
    post,
    path = "/v1/messages",
    operation_id = "sendMessage",
    tag = "Messages",
    request_body = SendMessage,
    responses(
        (status = 200, body = SentMessage),
        (status = 400, body = ErrorEnvelope, description = "The agent has no number, the number is released, the destination can't be reached, takes no media or asked to be left alone, a limit is reached"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 402, body = ErrorEnvelope, description = "The balance does not cover it"),
        (status = 404, body = ErrorEnvelope, description = "No such agent, number or group"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    Body(input): Body<SendMessage>,
) -> Result<Response, ApiError> {
    let reply_to = input.reply_to_message_id.as_ref().map(|t| t.0.clone());
    accept(&app, &once, order(&caller, input)?, reply_to).await
}

/// Has an order accepted, and answers with the message.
///
/// # Errors
/// Why it was refused.
pub(in crate::http) async fn accept(
    app: &App,
    once: &Once,
    order: Order,
    reply_to: Option<String>,
) -> Result<Response, ApiError> {
    let channel = Channel::for_media(&order.media_urls);
    let show = Box::new(move |message: &Message| Reply::ok(&show(message, reply_to.clone())));
    let wanted = Wanted { app: app.clone(), order, once: once.clone(), show };
    let answer = app.accepting.accept(wanted).await?;
    once.settle();
    Ok(match answer {
        Answer::Replayed(reply) => replayed(reply),
        Answer::Accepted(reply) => {
            metrics::counter!(names::MESSAGES, "direction" => "outbound", "channel" => channel.as_str()).increment(1);
            reply.into_response()
        }
    })
}

fn order(caller: &Caller, input: SendMessage) -> Result<Order, ApiError> {
    let to = match (input.to_number, input.recipients) {
        (Some(to), None) => to,
        _ => {
            let message = "the number's carrier has no group messages: send to each receiver, with to_number";
            return Err(ApiError::refused_field("recipients", message));
        }
    };
    let agent = input.agent_id.map(|agent| agent.id().cloned().ok_or_else(AgentId::missing)).transpose()?;
    let sender = match (input.number_id, input.from_number) {
        (Some(number), _) => NumberSought::Id(number.id().cloned().ok_or_else(NumberId::missing)?),
        (None, Some(phone)) => NumberSought::Digits(phone),
        (None, None) => NumberSought::FirstOfAgent(agent.clone().ok_or_else(AgentId::missing)?),
    };
    let mut media_urls: Vec<String> =
        input.media_urls.map(|list| list.0).unwrap_or_default().into_iter().map(|m| m.0).collect();
    if let Some(old) = input.media_url.filter(|old| !media_urls.contains(&old.0)) {
        media_urls.insert(0, old.0);
    }
    let (account, body) = (caller.account.clone(), input.body.map(|b| b.0).unwrap_or_default());
    Ok(Order { account, agent, sender, to, body, media_urls })
}

fn show(message: &Message, reply_to: Option<String>) -> SentMessage {
    SentMessage {
        id: message.id.clone(),
        status: message.status,
        channel: message.channel,
        from_number: message.from.clone(),
        to_number: message.to.clone(),
        conversation_id: message.conversation_id.clone(),
        media_urls: message.media_urls.clone(),
        // Replies are a thing of other channels: on SMS the parent is named and goes unresolved.
        reply_parent_unresolved: reply_to.is_some(),
        reply_to_message_id: reply_to,
        estimated_send_at: message.estimated_send_at,
    }
}

impl From<SendRefused> for ApiError {
    fn from(refused: SendRefused) -> Self {
        match &refused {
            SendRefused::AccountClosed => AccountId::missing(),
            SendRefused::NoSuchAgent => AgentId::missing(),
            SendRefused::NoSuchNumber => NumberId::missing(),
            SendRefused::NoSuchGroup(_) => Self::not_found("GROUP_NOT_FOUND", "group"),
            SendRefused::ToItself | SendRefused::EmailUnreachable | SendRefused::ServiceLine(_) => {
                Self::refused_field("to_number", refused.to_string())
            }
            SendRefused::DestinationBlocked(_) => Self::refused_as("DESTINATION_BLOCKED", refused.to_string()),
            SendRefused::RecipientOptedOut(_) => Self::refused_as("RECIPIENT_OPTED_OUT", refused.to_string()),
            SendRefused::CallsOnly(_) => Self::refused_as("TEXTS_UNSUPPORTED", refused.to_string()),
            SendRefused::MediaUnsupported(_) => Self::refused_as("MEDIA_UNSUPPORTED", refused.to_string()),
            SendRefused::LoopDetected { .. } => Self::refused_as("LOOP_DETECTED", refused.to_string()),
            SendRefused::DestinationFlooded { .. } => Self::refused_as("DESTINATION_FLOODED", refused.to_string()),
            SendRefused::SpendLimitReached(reached) => (*reached).into(),
            SendRefused::AgentHasNoNumber | SendRefused::MessagingOff => {
                Self::refused_field("agent_id", refused.to_string())
            }
            SendRefused::NumberOfAnotherAgent
            | SendRefused::NumberReleased
            | SendRefused::NotRegistered
            | SendRefused::NotRegisteredYet => Self::refused(refused.to_string()),
            SendRefused::InsufficientBalance { .. } => Self::insufficient_balance(refused.to_string()),
        }
    }
}
