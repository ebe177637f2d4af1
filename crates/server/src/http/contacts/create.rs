//! `POST /v1/contacts`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::contact::Contact;
use offhook_domain::{ContactId, E164, Id};
use utoipa::ToSchema;

use super::ContactView;
use super::email::Email;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Body;
use crate::http::fields::{Casing, Fields, Input};
use crate::http::once::{Once, Reply};
use crate::http::values::Text;

#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct CreateContact {
    /// In any usual format; kept in E.164.
    #[schema(value_type = String, format = "phone", example = "+14155550100")]
    phone_number: E164,
    name: Text<1, 200>,
    email: Option<Email>,
    notes: Option<Text<0, 5000>>,
}

impl Input for CreateContact {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        let (phone_number, name) = (fields.required("phone_number"), fields.required("name"));
        let email = fields.optional("email");
        let notes = fields.optional("notes");
        Some(Self { phone_number: phone_number?, name: name?, email, notes })
    }
}

/// Adds a contact.
#[utoipa::path(
    post,
    path = "/v1/contacts",
    operation_id = "createContact",
    tag = "Contacts",
    request_body = CreateContact,
    responses(
        (status = 201, body = ContactView),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 409, body = ErrorEnvelope, description = "There is a contact with that number"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    Body(input): Body<CreateContact>,
) -> Result<Response, ApiError> {
    let (now, account) = (app.now(), caller.account.clone());
    let contact = Contact {
        id: ContactId::generate(now),
        phone_number: input.phone_number,
        name: input.name.0,
        email: input.email.map(|email| email.0),
        notes: input.notes.map(|notes| notes.0),
        created_at: now,
        updated_at: now,
    };
    once.write(&app, &caller, async move |tx| {
        if !tx.of(&account).insert_contact(&contact).await? {
            return Err(super::duplicate(&contact.phone_number));
        }
        Reply::created(&ContactView::of(contact.clone()))
    })
    .await
}
