//! `PATCH /v1/numbers/{id}`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::{NumberId, Timestamp};
use utoipa::ToSchema;

use super::NumberView;
use crate::app::{App, Ring};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, Named, PathId};
use crate::http::fields::{Casing, Fields, Input, Patch};
use crate::http::once::{Once, Reply};
use crate::http::values::Text;

#[derive(Debug, Clone, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct UpdateNumber {
    /// A reference of your own; null or an empty text clears it.
    #[schema(value_type = Option<String>, max_length = 255, required = false)]
    external_id: Patch<Text<0, 255>>,
    /// The number is released by itself then; null: it is not.
    #[schema(value_type = Option<String>, format = DateTime, required = false)]
    expires_at: Patch<Timestamp>,
}

impl Input for UpdateNumber {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { external_id: fields.patch("external_id"), expires_at: fields.patch("expires_at") })
    }
}

/// Changes what is sent about an active number.
#[utoipa::path(
    patch,
    path = "/v1/numbers/{id}",
    operation_id = "updateNumber",
    tag = "Numbers",
    params(("id" = String, Path, description = "The number's id")),
    request_body = UpdateNumber,
    responses(
        (status = 200, body = NumberView),
        (status = 400, body = ErrorEnvelope, description = "The number is released"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such number"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    PathId(id): PathId<NumberId>,
    Body(input): Body<UpdateNumber>,
) -> Result<Response, ApiError> {
    if let Patch::Value(end) = &input.expires_at {
        check_end(&app, Some(*end))?;
    }
    let (doors, account) = (app.clone(), caller.account.clone());
    once.write(&app, &caller, async move |tx| {
        let mut scope = tx.of(&account);
        let mut number = scope.number_to_change(&id).await?.ok_or_else(NumberId::missing)?;
        if !number.is_active() {
            return Err(ApiError::refused("the number is released"));
        }
        input.external_id.clone().apply_text(&mut number.external_id);
        input.expires_at.clone().apply(&mut number.expires_at);
        scope.update_number(&number).await?;
        let standing = scope.standing().await?;
        Ok(Reply::ok(&NumberView::of(&doors.config, &number, standing.as_ref()))?.ringing(Ring::Numbers))
    })
    .await
}

impl<const MAX: usize> Patch<Text<0, MAX>> {
    /// Puts a text into an optional place; an empty one clears it, for not every client can send null.
    fn apply_text(self, place: &mut Option<String>) {
        match self {
            Self::Absent => {}
            Self::Null => *place = None,
            Self::Value(text) => *place = Some(text.0).filter(|text| !text.is_empty()),
        }
    }
}

/// Refuses an end that lies in the past.
///
/// # Errors
/// 422.
pub fn check_end(app: &App, end: Option<Timestamp>) -> Result<(), ApiError> {
    if end.is_some_and(|end| end <= app.now()) {
        return Err(ApiError::invalid_field("body", "expiresAt", "must lie in the future"));
    }
    Ok(())
}
