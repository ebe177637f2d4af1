//! `POST /v0/agent/sign-up`

use axum::Json;
use axum::extract::State;
use offhook_domain::{Timestamp, VerificationId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::app::sign_up::{SignUpError, sign_up};
use crate::http::client_address::ClientNetwork;
use crate::http::contacts::email::Email;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Body;
use crate::http::fields::{Casing, Fields, Input};
use crate::http::values::Name;

#[derive(Debug, ToSchema)]
pub struct SignUp {
    /// Where the code is sent.
    human_email: Email,
    /// The name of the first agent.
    agent_name: Name<1, 200>,
}

impl Input for SignUp {
    const CASING: Casing = Casing::Snake;

    fn read(fields: &mut Fields) -> Option<Self> {
        let (human_email, agent_name) = (fields.required("human_email"), fields.required("agent_name"));
        Some(Self { human_email: human_email?, agent_name: agent_name? })
    }
}

/// A code is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignUpBegun {
    #[schema(value_type = String)]
    verification_id: VerificationId,
    human_email: String,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    message: String,
}

/// Begins a sign-up: a code is sent by mail. Nothing is made before it is entered.
#[utoipa::path(
    post,
    path = "/v0/agent/sign-up",
    operation_id = "signUp",
    tag = "Sign-up",
    security(()),
    request_body = SignUp,
    responses(
        (status = 200, body = SignUpBegun),
        (status = 409, body = ErrorEnvelope, description = "The address has an account"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
        (status = 429, body = ErrorEnvelope, description = "Too many sign-ups; Retry-After tells how long to wait"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    ClientNetwork(from): ClientNetwork,
    Body(input): Body<SignUp>,
) -> Result<Json<SignUpBegun>, ApiError> {
    let asked = sign_up(&app, &input.human_email.0, input.agent_name.0, from).await?;
    let message = format!("a code was sent to {}: enter it with POST /v0/agent/verify", asked.email);
    Ok(Json(SignUpBegun { verification_id: asked.id, human_email: asked.email, expires_at: asked.expires_at, message }))
}

impl From<SignUpError> for ApiError {
    fn from(error: SignUpError) -> Self {
        let message = error.to_string();
        match error {
            SignUpError::HasAccount(_) => Self::conflict("CONFLICT", message),
            SignUpError::TooMany(error) => error.into(),
            SignUpError::Store(error) => error.into(),
        }
    }
}
