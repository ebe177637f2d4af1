//! `POST /v1/verify/send`

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use offhook_domain::E164;
use utoipa::ToSchema;

use crate::app::App;
use crate::app::accepting::Answer;
use crate::app::verification::{SendCodeError, send_code};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Body;
use crate::http::fields::{Casing, Fields, Input};
use crate::http::once::{Once, replayed};

#[derive(Debug, ToSchema)]
pub struct SendCode {
    /// In any usual format.
    #[schema(value_type = String, format = "phone", example = "+14155550100")]
    phone_number: E164,
}

impl Input for SendCode {
    const CASING: Casing = Casing::Snake;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { phone_number: fields.required("phone_number")? })
    }
}

/// A code on its way.
#[derive(Debug, ToSchema)]
#[schema(as = SentCode)]
#[allow(dead_code, reason = "only its schema is used")]
pub struct SentCodeSchema {
    verification_id: String,
    #[schema(value_type = String, format = DateTime)]
    expires_at: offhook_domain::Timestamp,
}

/// Texts a code of six digits to a phone number, from the account's first number and at the price of a message.
#[utoipa::path(
    post,
    path = "/v1/verify/send",
    operation_id = "sendVerification",
    tag = "Verification",
    request_body = SendCode,
    responses(
        (status = 200, body = SentCodeSchema),
        (status = 400, body = ErrorEnvelope, description = "The account has no number, or that one gets no codes"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 402, body = ErrorEnvelope, description = "The balance does not cover the message"),
        (status = 422, body = ErrorEnvelope, description = "phone_number is missing or malformed"),
        (status = 429, body = ErrorEnvelope, description = "Too many codes; Retry-After tells how long to wait"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    Body(input): Body<SendCode>,
) -> Result<Response, ApiError> {
    let answer = send_code(&app, caller.account, input.phone_number, &once).await?;
    once.settle();
    Ok(match answer {
        Answer::Accepted(reply) => reply.into_response(),
        Answer::Replayed(reply) => replayed(reply),
    })
}

impl From<SendCodeError> for ApiError {
    fn from(error: SendCodeError) -> Self {
        let message = error.to_string();
        match error {
            SendCodeError::NoNumber => Self::refused(message),
            SendCodeError::Premium(_) => Self::refused_field("phone_number", message),
            SendCodeError::TooMany(error) => error.into(),
            SendCodeError::Refused(error) => error,
            SendCodeError::Store(error) => error.into(),
        }
    }
}
