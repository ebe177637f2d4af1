//! `PATCH /v1/contacts/{id}`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::contact::Contact;
use offhook_domain::{ContactId, E164};
use utoipa::ToSchema;

use super::ContactView;
use super::email::{Email, EmailOrNone};
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, Named, PathId};
use crate::http::fields::{Casing, Clearable, Fields, Input, Patch};
use crate::http::once::{Once, Reply};
use crate::http::values::Text;

/// What to change about a contact. A field that isn't sent stays as it is.
#[derive(Debug, Clone, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct UpdateContact {
    #[schema(value_type = Option<String>, format = "phone")]
    phone_number: Option<E164>,
    name: Option<Text<1, 200>>,
    /// Empty or null clears it.
    #[schema(value_type = Option<EmailOrNone>)]
    email: Patch<Clearable<Email>>,
    #[schema(value_type = Option<Text<0, 5000>>)]
    notes: Patch<Text<0, 5000>>,
}

impl Input for UpdateContact {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            phone_number: fields.optional("phone_number"),
            name: fields.optional("name"),
            email: fields.patch("email"),
            notes: fields.patch("notes"),
        })
    }
}

impl UpdateContact {
    fn apply(self, contact: &mut Contact) {
        if let Some(number) = self.phone_number {
            contact.phone_number = number;
        }
        if let Some(name) = self.name {
            contact.name = name.0;
        }
        self.email.or_cleared().map(|email| email.0).apply(&mut contact.email);
        self.notes.map(|notes| notes.0).apply(&mut contact.notes);
    }
}

/// Changes what is sent about a contact.
#[utoipa::path(
    patch,
    path = "/v1/contacts/{id}",
    operation_id = "updateContact",
    tag = "Contacts",
    params(("id" = String, Path, description = "The contact's id")),
    request_body = UpdateContact,
    responses(
        (status = 200, body = ContactView),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such contact"),
        (status = 409, body = ErrorEnvelope, description = "There is another contact with that number"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    PathId(id): PathId<ContactId>,
    Body(input): Body<UpdateContact>,
) -> Result<Response, ApiError> {
    let (now, account) = (app.now(), caller.account.clone());
    once.write(&app, &caller, async move |tx| {
        let mut scope = tx.of(&account);
        let mut contact = scope.contact_to_change(&id).await?.ok_or_else(ContactId::missing)?;
        input.clone().apply(&mut contact);
        contact.updated_at = now;
        if !scope.update_contact(&contact).await? {
            return Err(super::duplicate(&contact.phone_number));
        }
        Reply::ok(&ContactView::of(contact))
    })
    .await
}
