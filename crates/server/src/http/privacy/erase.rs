//! `POST /v1/privacy/erase`

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::Person;
use crate::app::App;
use crate::app::erase_person::erase_person;
use crate::http::audit_log::target_of_person;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Body;

/// How far an erasure came.
#[derive(Debug, Serialize, ToSchema)]
pub struct Erasure {
    /// Whether nothing is left. Where it is false, ask again later: what was done stays done.
    done: bool,
    /// Messages still waiting to be sent and events still to be delivered. They are erased once they have arrived.
    left: usize,
}

/// Erases what one person wrote and was written over the account's numbers: the texts and attachments of messages, previews,
/// metadata and names of conversations, what the log of webhook deliveries holds of them, what calls said, the proofs that were given for opt-outs, and the contact.
/// What stays: that there were messages, when, and what they cost; and opt-outs. It can't be undone.
#[utoipa::path(
    post,
    path = "/v1/privacy/erase",
    operation_id = "eraseContact",
    tag = "Privacy",
    request_body = Person,
    responses(
        (status = 200, body = Erasure),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 403, body = ErrorEnvelope, description = "The key lacks the scope admin"),
        (status = 422, body = ErrorEnvelope, description = "The number is missing or malformed"),
    )
)]
pub async fn handle(State(app): State<App>, caller: Caller, Body(person): Body<Person>) -> Result<Response, ApiError> {
    let erased = erase_person(&app, &caller.account, &person.phone_number.0).await?;
    let target = target_of_person(&app, &person.phone_number.0);
    let answer = Erasure { done: erased.finished && erased.left == 0, left: erased.left };
    Ok((axum::Extension(target), Json(answer)).into_response())
}
