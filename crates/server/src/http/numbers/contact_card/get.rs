//! `GET /v1/numbers/{id}/contact-card`

use axum::Json;
use axum::extract::State;
use offhook_domain::NumberId;

use super::CardView;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId};

/// The card of a number.
#[utoipa::path(
    get,
    path = "/v1/numbers/{id}/contact-card",
    operation_id = "getContactCard",
    tag = "Numbers",
    params(("id" = String, Path, description = "The number's id")),
    responses(
        (status = 200, body = CardView),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such number"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<NumberId>,
) -> Result<Json<CardView>, ApiError> {
    let card = app
        .store
        .read::<_, ApiError>(async move |tx| {
            let mut scope = tx.of(&caller.account);
            scope.number(&id).await?.ok_or_else(NumberId::missing)?;
            Ok(scope.contact_card(&id).await?)
        })
        .await?;
    Ok(Json(CardView::of(card.unwrap_or_default())))
}
