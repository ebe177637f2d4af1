//! `DELETE /v1/contacts/{id}`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::ContactId;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId};
use crate::http::once::{Once, Reply};

/// Deletes a contact.
#[utoipa::path(
    delete,
    path = "/v1/contacts/{id}",
    operation_id = "deleteContact",
    tag = "Contacts",
    params(("id" = String, Path, description = "The contact's id")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such contact"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    PathId(id): PathId<ContactId>,
) -> Result<Response, ApiError> {
    let account = caller.account.clone();
    once.write(&app, &caller, async move |tx| {
        if !tx.of(&account).delete_contact(&id).await? {
            return Err(ContactId::missing());
        }
        Ok(Reply::no_content())
    })
    .await
}
