//! `GET /sandbox/handsets/{number}/messages`

use axum::Json;
use axum::extract::{Path, State};
use offhook_domain::Destination;
use offhook_store::Tx;

use super::HandsetMessage;
use crate::app::App;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Query;
use crate::http::page::{Listed, OffsetQuery};

/// What a virtual handset sent and received, the newest first.
#[utoipa::path(
    get,
    path = "/sandbox/handsets/{number}/messages",
    operation_id = "sandboxHandsetMessages",
    tag = "Sandbox",
    security(()),
    params(("number" = String, Path, description = "The handset's number, in E.164, or a short code"), OffsetQuery),
    responses(
        (status = 200, body = Listed<HandsetMessage>),
        (status = 422, body = ErrorEnvelope, description = "The number, limit or offset is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    Path(number): Path<String>,
    Query(query): Query<OffsetQuery>,
) -> Result<Json<Listed<HandsetMessage>>, ApiError> {
    let handset = match Destination::parse(&number) {
        Ok(Destination::Phone(phone)) => phone.to_string(),
        Ok(Destination::ShortCode(code)) => code,
        _ => return Err(ApiError::invalid_field("path", "number", "must be a phone number such as +14155550100")),
    };
    let window = query.window();
    let page =
        app.store.read::<_, ApiError>(async move |tx: &mut Tx| Ok(tx.handset_texts(&handset, window).await?)).await?;
    Ok(Json(Listed::of(page, window, HandsetMessage::from)))
}
