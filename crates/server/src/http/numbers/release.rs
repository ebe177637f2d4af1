//! `DELETE /v1/numbers/{id}`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::NumberId;
use offhook_domain::number::ReleaseReason;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::release_number::release_number;
use crate::app::{App, Ring};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId};
use crate::http::once::{Once, Reply};

/// A number that was given up.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleasedNumber {
    success: bool,
    #[schema(value_type = String)]
    id: NumberId,
    phone_number: String,
    /// `released`.
    status: &'static str,
}

/// Gives a number back for good. Its messages, conversations and calls stay.
#[utoipa::path(
    delete,
    path = "/v1/numbers/{id}",
    operation_id = "deleteNumber",
    tag = "Numbers",
    params(("id" = String, Path, description = "The number's id")),
    responses(
        (status = 200, body = ReleasedNumber),
        (status = 400, body = ErrorEnvelope, description = "The number is released already"),
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
    let (account, now, doors) = (caller.account.clone(), app.now(), app.clone());
    once.write(&app, &caller, async move |tx| {
        let number = tx.of(&account).number(&id).await?.ok_or_else(NumberId::missing)?;
        if !release_number(&doors, tx, &number, ReleaseReason::Requested, now).await? {
            return Err(ApiError::refused("the number is released already"));
        }
        let released = ReleasedNumber {
            success: true,
            id: number.id,
            phone_number: number.phone_number.to_string(),
            status: "released",
        };
        Ok(Reply::ok(&released)?.ringing(Ring::Numbers))
    })
    .await
}
