//! `DELETE /v1/numbers/{id}/contact-card`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::NumberId;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId};
use crate::http::once::{Once, Reply};

/// Takes the card of a number away; there need not be one.
#[utoipa::path(
    delete,
    path = "/v1/numbers/{id}/contact-card",
    operation_id = "deleteContactCard",
    tag = "Numbers",
    params(("id" = String, Path, description = "The number's id")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such number"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    PathId(id): PathId<NumberId>,
) -> Result<Response, ApiError> {
    let account = caller.account.clone();
    once.write(&app, &caller, async move |tx| {
        let mut scope = tx.of(&account);
        scope.number(&id).await?.ok_or_else(NumberId::missing)?;
        scope.delete_contact_card(&id).await?;
        Ok(Reply::no_content())
    })
    .await
}
