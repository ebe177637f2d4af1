//! `POST /v1/privacy/export`

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use offhook_domain::call::Call;
use offhook_domain::contact::Contact;
use offhook_domain::conversation::Conversation;
use offhook_domain::message::Message;
use offhook_domain::{AccountId, Timestamp};
use offhook_store::campaigns::Standing;
use offhook_store::{StoreError, Tx};
use serde::Serialize;
use utoipa::ToSchema;

use super::Participant;
use crate::app::{App, media};
use crate::http::audit_log::target_of_person;
use crate::http::auth::Caller;
use crate::http::calls::CallView;
use crate::http::contacts::ContactView;
use crate::http::conversations::ConversationView;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Body;
use crate::http::fields::{Casing, Fields, Input};
use crate::http::numbers::messages::NumberMessage;

/// Messages in one answer.
const PAGE: usize = 1_000;
/// Calls in one answer.
const CALLS: i64 = 1_000;

/// Whom it is about, and from where on.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ExportContact {
    /// In any usual format; a short code too.
    #[schema(value_type = String, format = "phone", example = "+14155550100")]
    phone_number: Participant,
    /// Only messages behind this time: the `next` of the answer before.
    #[schema(value_type = Option<String>, format = DateTime)]
    after: Option<Timestamp>,
}

impl Input for ExportContact {
    const CASING: Casing = Casing::Either;

    fn read(fields: &mut Fields) -> Option<Self> {
        let (phone_number, after) = (fields.required("phone_number"), fields.optional("after"));
        Some(Self { phone_number: phone_number?, after })
    }
}

/// Everything that is kept of one person.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Export {
    phone_number: String,
    contact: Option<ContactView>,
    conversations: Vec<ConversationView>,
    /// The oldest first, a thousand at the most.
    messages: Vec<NumberMessage>,
    /// The oldest thousand.
    calls: Vec<CallView>,
    /// Where there are more messages: the `after` to ask for them with.
    #[schema(value_type = Option<String>, format = DateTime)]
    next: Option<Timestamp>,
}

/// Hands out what is kept of one person: the contact, and the conversations, messages and calls over the account's numbers.
#[utoipa::path(
    post,
    path = "/v1/privacy/export",
    operation_id = "exportContact",
    tag = "Privacy",
    request_body = ExportContact,
    responses(
        (status = 200, body = Export),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 403, body = ErrorEnvelope, description = "The key lacks the scope admin"),
        (status = 422, body = ErrorEnvelope, description = "A field is missing or malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    Body(input): Body<ExportContact>,
) -> Result<Response, ApiError> {
    let target = target_of_person(&app, &input.phone_number.0);
    let (account, person) = (caller.account, input.phone_number.0.clone());
    let after = input.after.unwrap_or(Timestamp::from_micros(i64::MIN));
    let kept = app.store.read(async move |tx: &mut Tx| Kept::find(tx, &account, &person, after).await).await?;
    let (mut messages, next) = first_page(kept.messages);
    media::link_all(&app, &mut messages);
    let standing = kept.standing.as_ref();
    let conversations = kept.conversations.into_iter().map(|one| ConversationView::of(&app, standing, one));
    let export = Export {
        phone_number: input.phone_number.0,
        contact: kept.contact.map(ContactView::of),
        conversations: conversations.collect(),
        messages: messages.into_iter().map(NumberMessage::of).collect(),
        calls: kept.calls.into_iter().map(|call| CallView::of(&app, call)).collect(),
        next,
    };
    Ok((axum::Extension(target), Json(export)).into_response())
}

struct Kept {
    contact: Option<Contact>,
    conversations: Vec<Conversation>,
    messages: Vec<Message>,
    calls: Vec<Call>,
    /// How the account stands with the US carriers.
    standing: Option<Standing>,
}

impl Kept {
    /// Of each conversation one message more than fits, so that it shows whether there are more.
    async fn find(tx: &mut Tx, account: &AccountId, person: &str, after: Timestamp) -> Result<Self, StoreError> {
        let mut scope = tx.of(account);
        let contact = scope.contact_with_number(person).await?;
        let conversations = scope.conversations_with(person).await?;
        let mut messages = Vec::new();
        for conversation in &conversations {
            messages.extend(scope.messages_after(&conversation.id, after, PAGE as i64 + 1).await?);
        }
        let calls = scope.calls_with(person, CALLS).await?;
        let standing = scope.standing().await?;
        Ok(Self { contact, conversations, messages, calls, standing })
    }
}

/// The oldest thousand, and their last time where there are more. Two numbers may have a message of the same microsecond:
/// such are on one page.
fn first_page(mut messages: Vec<Message>) -> (Vec<Message>, Option<Timestamp>) {
    messages.sort_by_key(|message| message.at);
    let Some(last) = messages.get(PAGE - 1).map(|message| message.at) else { return (messages, None) };
    let fits = messages.partition_point(|message| message.at <= last);
    let more = fits < messages.len();
    messages.truncate(fits);
    (messages, more.then_some(last))
}
