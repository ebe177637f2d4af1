//! `POST /v1/verify/check`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::VerificationId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::app::verification::{CheckCodeError, check_code};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, Named};
use crate::http::fields::{Casing, Fields, Input};
use crate::http::once::{Once, Reply};
use crate::http::values::{OneTimeCode, Ref};

#[derive(Debug, ToSchema)]
pub struct CheckCode {
    #[schema(value_type = String)]
    verification_id: Ref<VerificationId>,
    /// As it was texted.
    code: OneTimeCode,
}

impl Input for CheckCode {
    const CASING: Casing = Casing::Snake;

    fn read(fields: &mut Fields) -> Option<Self> {
        let (verification_id, code) = (fields.required("verification_id"), fields.required("code"));
        Some(Self { verification_id: verification_id?, code: code? })
    }
}

/// Whether the code was right.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckedCode {
    verified: bool,
    attempts_left: i64,
}

/// Checks a code. Of one that was sent five are looked at, and one is right at most.
#[utoipa::path(
    post,
    path = "/v1/verify/check",
    operation_id = "checkVerification",
    tag = "Verification",
    request_body = CheckCode,
    responses(
        (status = 200, body = CheckedCode),
        (status = 400, body = ErrorEnvelope, description = "The code was used before, or is past its time"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such verification"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    Body(input): Body<CheckCode>,
) -> Result<Response, ApiError> {
    let id = input.verification_id.id().cloned().ok_or_else(VerificationId::missing)?;
    let (doors, account, code) = (app.clone(), caller.account.clone(), input.code.0);
    once.write(&app, &caller, async move |tx| {
        let checked = check_code(&doors, tx, &account, &id, &code).await??;
        Reply::ok(&CheckedCode { verified: checked.verified, attempts_left: checked.tries_left })
    })
    .await
}

impl From<CheckCodeError> for ApiError {
    fn from(error: CheckCodeError) -> Self {
        match error {
            CheckCodeError::NoSuchVerification => VerificationId::missing(),
            CheckCodeError::Expired | CheckCodeError::Used => Self::refused_field("code", error.to_string()),
        }
    }
}
