//! `POST /v0/agent/verify`

use axum::Json;
use axum::extract::State;
use offhook_domain::VerificationId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::app::open_account::{Entered, OpenAccountError, OpenedAccount, open_account};
use crate::http::client_address::ClientNetwork;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, Named};
use crate::http::fields::{Casing, Fields, Input};
use crate::http::values::{OneTimeCode, Ref, Text};

#[derive(Debug, ToSchema)]
pub struct EnterCode {
    #[schema(value_type = String)]
    verification_id: Ref<VerificationId>,
    /// As it stands in the mail.
    otp_code: OneTimeCode,
    /// How you heard of us.
    source: Option<Text<0, 200>>,
}

impl Input for EnterCode {
    const CASING: Casing = Casing::Snake;

    fn read(fields: &mut Fields) -> Option<Self> {
        let (verification_id, otp_code) = (fields.required("verification_id"), fields.required("otp_code"));
        let source = fields.optional("source");
        Some(Self { verification_id: verification_id?, otp_code: otp_code?, source })
    }
}

/// The new account. Its key is shown here only.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignedUp {
    account_id: String,
    agent_id: String,
    number_id: String,
    phone_number: String,
    api_key: String,
}

/// Enters the code: account, number, agent and key are made together, or none of them. The same code gives the same
/// answer again, as long as it lasts.
#[utoipa::path(
    post,
    path = "/v0/agent/verify",
    operation_id = "verifySignUp",
    tag = "Sign-up",
    security(()),
    request_body = EnterCode,
    responses(
        (status = 200, body = SignedUp),
        (status = 400, body = ErrorEnvelope, description = "The code is wrong, past its time or out of tries, or there is no \
            number to be had"),
        (status = 404, body = ErrorEnvelope, description = "No such verification"),
        (status = 409, body = ErrorEnvelope, description = "The address has an account, or the account is being made: enter \
            the code again"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
        (status = 429, body = ErrorEnvelope, description = "Too many codes; Retry-After tells how long to wait"),
        (status = 502, body = ErrorEnvelope, description = "The carrier failed for the moment; nothing was made"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    ClientNetwork(from): ClientNetwork,
    Body(input): Body<EnterCode>,
) -> Result<Json<SignedUp>, ApiError> {
    let id = input.verification_id.id().cloned().ok_or_else(VerificationId::missing)?;
    let source = input.source.map(|text| text.0).filter(|text| !text.is_empty());
    let entered = Entered { id, code: input.otp_code.0, source, from };
    let OpenedAccount { account_id, agent_id, number_id, phone_number, api_key } = open_account(&app, entered).await?;
    Ok(Json(SignedUp {
        account_id: account_id.to_string(),
        agent_id: agent_id.to_string(),
        number_id: number_id.to_string(),
        phone_number: phone_number.to_string(),
        api_key,
    }))
}

impl From<OpenAccountError> for ApiError {
    fn from(error: OpenAccountError) -> Self {
        let message = error.to_string();
        match error {
            OpenAccountError::NoSuchSignUp => VerificationId::missing(),
            OpenAccountError::WrongCode(_) | OpenAccountError::Expired | OpenAccountError::NoTriesLeft => {
                Self::refused_field("otp_code", message)
            }
            OpenAccountError::TooMany(error) => error.into(),
            OpenAccountError::UnderWay | OpenAccountError::HasAccount(_) => Self::conflict("CONFLICT", message),
            OpenAccountError::Unconfirmed => Self::conflict("PURCHASE_UNCONFIRMED", message),
            OpenAccountError::NotCovered => Self::refused(message),
            OpenAccountError::Buying(error) => error.into(),
            OpenAccountError::Store(error) => error.into(),
        }
    }
}
