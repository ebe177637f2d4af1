//! Conversations and their messages as the API shows them (contract, "Messages and conversations").

use offhook_domain::campaign::OutboundSms;
use offhook_domain::conversation::Conversation;
use offhook_domain::message::{Channel, Direction, Message, MessageStatus};
use offhook_domain::{AgentId, ConversationId, MessageId, NumberId, Timestamp, one_time_code};
use offhook_store::campaigns::Standing;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::App;
use crate::app::registration::outbound_sms;

/// A conversation, as lists show it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Conversation)]
pub struct ConversationView {
    #[schema(value_type = String)]
    id: ConversationId,
    #[schema(value_type = Option<String>)]
    agent_id: Option<AgentId>,
    #[schema(value_type = String)]
    phone_number_id: NumberId,
    phone_number: String,
    /// The other side: a phone number, a short code or an address.
    participant: String,
    /// What the last message went over.
    channel: String,
    is_group: bool,
    group_id: Option<String>,
    group_name: Option<String>,
    group_icon_url: Option<String>,
    /// The members of a group; none where there are but two.
    participants: Vec<GroupParticipant>,
    #[schema(value_type = String, format = DateTime)]
    last_message_at: Timestamp,
    last_message_preview: String,
    message_count: i64,
    /// Your own.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    capabilities: Capabilities,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// A member of a group.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupParticipant {
    identifier: String,
    name: Option<String>,
}

/// What can be done in a conversation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities {
    can_send_messages: bool,
    media: bool,
    reactions: bool,
    emoji_reactions: bool,
    /// Why not: `number_released`, `recipient_opted_out`, or what the number's `outboundSms` says: `registration_required` or
    /// `activating`.
    send_disabled_reason: Option<&'static str>,
    send_channel: Option<&'static str>,
    available_channels: &'static [&'static str],
    media_channels: &'static [&'static str],
}

impl Capabilities {
    const TEXTING: Self = Self {
        can_send_messages: true,
        media: true,
        reactions: false,
        emoji_reactions: false,
        send_disabled_reason: None,
        send_channel: Some("sms"),
        available_channels: &["sms", "mms"],
        media_channels: &["mms"],
    };
    const RELEASED: Self = Self {
        can_send_messages: false,
        media: false,
        reactions: false,
        emoji_reactions: false,
        send_disabled_reason: Some("number_released"),
        send_channel: None,
        available_channels: &[],
        media_channels: &[],
    };

    /// `standing` is how the account stands with the US carriers.
    fn of(app: &App, standing: Option<&Standing>, conversation: &Conversation) -> Self {
        let Conversation { number_active, opted_out, number_carrier, number_country, participant, .. } = conversation;
        if !number_active {
            return Self::RELEASED;
        }
        // A carrier that is not configured just now may take media.
        let takes_media = app.carriers.named(number_carrier).is_none_or(|carrier| carrier.takes_media(participant));
        let all = if takes_media {
            Self::TEXTING
        } else {
            Self { media: false, available_channels: &["sms"], media_channels: &[], ..Self::TEXTING }
        };
        let outbound = outbound_sms(&app.config, number_carrier, number_country, standing);
        match (opted_out, outbound) {
            (true, _) => all.disabled("recipient_opted_out"),
            (false, OutboundSms::Enabled) => all,
            (false, hindered) => all.disabled(hindered.as_str()),
        }
    }

    fn disabled(self, reason: &'static str) -> Self {
        Self { can_send_messages: false, media: false, send_disabled_reason: Some(reason), ..self }
    }
}

impl ConversationView {
    /// `standing` is how its account stands with the US carriers.
    pub fn of(app: &App, standing: Option<&Standing>, conversation: Conversation) -> Self {
        Self {
            capabilities: Capabilities::of(app, standing, &conversation),
            id: conversation.id,
            agent_id: conversation.agent_id,
            phone_number_id: conversation.number_id,
            phone_number: conversation.phone_number,
            participant: conversation.participant,
            channel: conversation.channel,
            is_group: false,
            group_id: None,
            group_name: conversation.group_name,
            group_icon_url: None,
            participants: Vec::new(),
            last_message_at: conversation.last_message_at,
            last_message_preview: one_time_code::masked_preview(conversation.last_message_preview),
            message_count: conversation.message_count,
            metadata: conversation.metadata,
            created_at: conversation.created_at,
        }
    }
}

/// A conversation with its latest messages, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConversationDetail {
    #[serde(flatten)]
    conversation: ConversationView,
    messages: Vec<MessageView>,
}

impl ConversationDetail {
    /// `standing` is how its account stands with the US carriers.
    pub fn of(app: &App, standing: Option<&Standing>, conversation: Conversation, messages: Vec<Message>) -> Self {
        let messages = messages.into_iter().map(MessageView::of).collect();
        Self { conversation: ConversationView::of(app, standing, conversation), messages }
    }
}

/// A message of a conversation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Message)]
pub struct MessageView {
    #[schema(value_type = String)]
    id: MessageId,
    /// Empty where there is only media.
    body: String,
    from_number: String,
    to_number: String,
    #[schema(value_type = String)]
    direction: Direction,
    #[schema(value_type = String)]
    channel: Channel,
    #[schema(value_type = String)]
    status: MessageStatus,
    failure_reason: Option<String>,
    error_code: Option<String>,
    /// The first of `mediaUrls`.
    media_url: Option<String>,
    media_urls: Vec<String>,
    /// Who of a group wrote it.
    sender_identifier: Option<String>,
    /// When it was received, or accepted for sending.
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    delivered_at: Option<Timestamp>,
    #[schema(value_type = Option<String>)]
    delivered_channel: Option<Channel>,
    #[schema(value_type = Option<String>, format = DateTime)]
    read_at: Option<Timestamp>,
    /// What other channels carry beside text.
    #[schema(value_type = Option<Object>)]
    content: Option<Value>,
    reactions: Vec<ReactionView>,
    reply_to: Option<ReplyView>,
    segments: u32,
    /// When a queued message is likely to go, where its campaign's rate or day has it wait.
    #[schema(value_type = Option<String>, format = DateTime)]
    estimated_send_at: Option<Timestamp>,
}

/// What somebody felt about a message.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Reaction)]
pub struct ReactionView {
    id: String,
    reaction_type: String,
    from_number: String,
    direction: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// The message that a message answers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReplyTo)]
pub struct ReplyView {
    message_id: String,
    message: String,
    media_urls: Vec<String>,
}

impl MessageView {
    pub fn of(message: Message) -> Self {
        let (failure_reason, error_code) = message.failure.map(|failure| (failure.reason, failure.code)).unzip();
        Self {
            id: message.id,
            body: one_time_code::masked(message.body),
            from_number: message.from,
            to_number: message.to,
            direction: message.direction,
            channel: message.channel,
            status: message.status,
            failure_reason,
            error_code,
            media_url: message.media_urls.first().cloned(),
            media_urls: message.media_urls,
            sender_identifier: None,
            received_at: message.at,
            delivered_at: message.delivered_at,
            delivered_channel: message.delivered_at.map(|_| message.channel),
            read_at: None,
            content: None,
            reactions: Vec::new(),
            reply_to: None,
            segments: message.segments,
            estimated_send_at: message.estimated_send_at,
        }
    }
}
