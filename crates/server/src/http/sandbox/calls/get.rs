//! `GET /sandbox/calls/{id}`

use axum::Json;
use axum::extract::{Path, State};

use super::{HandsetCallView, find};
use crate::app::App;
use crate::http::error::{ApiError, ErrorEnvelope};

/// A handset's call, and what it heard so far.
#[utoipa::path(
    get,
    path = "/sandbox/calls/{id}",
    operation_id = "sandboxGetCall",
    tag = "Sandbox",
    security(()),
    params(("id" = String, Path, description = "The call's id")),
    responses(
        (status = 200, body = HandsetCallView),
        (status = 404, body = ErrorEnvelope, description = "No such call"),
    )
)]
pub async fn handle(State(app): State<App>, Path(id): Path<String>) -> Result<Json<HandsetCallView>, ApiError> {
    Ok(Json(HandsetCallView::of(&*find(&app, &id)?)))
}
