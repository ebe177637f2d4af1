//! `POST /sandbox/calls/{id}/say`, `…/press` and `…/hangup`

use axum::Json;
use axum::extract::{Path, State};
use utoipa::ToSchema;

use super::create::keys_of;
use super::{HandsetCallView, find};
use crate::app::App;
use crate::app::sandbox_calls::handsets::Does;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Body;
use crate::http::fields::{Casing, Fields, FromField, Input, Problem};
use crate::http::values::Text;

/// What is said.
#[derive(Debug, ToSchema)]
pub struct Says {
    text: Text<1, 2_000>,
}

impl Input for Says {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { text: fields.required("text")? })
    }
}

/// What is pressed.
#[derive(Debug, ToSchema)]
pub struct Presses {
    #[schema(value_type = String, pattern = "^[0-9*#A-D]+$", max_length = 100)]
    digits: Keys,
}

#[derive(Debug)]
struct Keys(String);

impl FromField for Keys {
    fn from_field(value: &serde_json::Value) -> Result<Self, Problem> {
        keys_of(&Text::<1, 100>::from_field(value)?.0).map(Self)
    }
}

impl Input for Presses {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { digits: fields.required("digits")? })
    }
}

/// The handset says something, into whatever the agent says.
#[utoipa::path(
    post,
    path = "/sandbox/calls/{id}/say",
    operation_id = "sandboxCallSay",
    tag = "Sandbox",
    security(()),
    params(("id" = String, Path, description = "The call's id")),
    request_body = Says,
    responses(
        (status = 200, body = HandsetCallView),
        (status = 400, body = ErrorEnvelope, description = "The call is over"),
        (status = 404, body = ErrorEnvelope, description = "No such call"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn say(
    State(app): State<App>,
    Path(id): Path<String>,
    Body(input): Body<Says>,
) -> Result<Json<HandsetCallView>, ApiError> {
    does(&app, &id, Does::Says(input.text.0))
}

/// The handset presses keys.
#[utoipa::path(
    post,
    path = "/sandbox/calls/{id}/press",
    operation_id = "sandboxCallPress",
    tag = "Sandbox",
    security(()),
    params(("id" = String, Path, description = "The call's id")),
    request_body = Presses,
    responses(
        (status = 200, body = HandsetCallView),
        (status = 400, body = ErrorEnvelope, description = "The call is over"),
        (status = 404, body = ErrorEnvelope, description = "No such call"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn press(
    State(app): State<App>,
    Path(id): Path<String>,
    Body(input): Body<Presses>,
) -> Result<Json<HandsetCallView>, ApiError> {
    does(&app, &id, Does::Presses(input.digits.0))
}

/// The handset hangs up.
#[utoipa::path(
    post,
    path = "/sandbox/calls/{id}/hangup",
    operation_id = "sandboxCallHangUp",
    tag = "Sandbox",
    security(()),
    params(("id" = String, Path, description = "The call's id")),
    responses(
        (status = 200, body = HandsetCallView),
        (status = 400, body = ErrorEnvelope, description = "The call is over"),
        (status = 404, body = ErrorEnvelope, description = "No such call"),
    )
)]
pub async fn hang_up(State(app): State<App>, Path(id): Path<String>) -> Result<Json<HandsetCallView>, ApiError> {
    does(&app, &id, Does::HangsUp)
}

fn does(app: &App, id: &str, does: Does) -> Result<Json<HandsetCallView>, ApiError> {
    let call = find(app, id)?;
    if !call.does(does) {
        return Err(ApiError::refused("the call is over"));
    }
    Ok(Json(HandsetCallView::of(&call)))
}
