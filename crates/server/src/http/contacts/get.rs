//! `GET /v1/contacts/{id}`

use axum::Json;
use axum::extract::State;
use offhook_domain::ContactId;
use offhook_store::Tx;

use super::ContactView;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId};

/// One contact.
#[utoipa::path(
    get,
    path = "/v1/contacts/{id}",
    operation_id = "getContact",
    tag = "Contacts",
    params(("id" = String, Path, description = "The contact's id")),
    responses(
        (status = 200, body = ContactView),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such contact"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<ContactId>,
) -> Result<Json<ContactView>, ApiError> {
    let find = async move |tx: &mut Tx| tx.of(&caller.account).contact(&id).await;
    let contact = app.store.read(find).await?.ok_or_else(ContactId::missing)?;
    Ok(Json(ContactView::of(contact)))
}
