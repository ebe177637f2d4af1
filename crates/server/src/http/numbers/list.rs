//! `GET /v1/numbers`

use axum::Json;
use axum::extract::State;

use super::NumberView;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Query;
use crate::http::page::{Listed, OffsetQuery};

/// The account's active numbers, the newest first.
#[utoipa::path(
    get,
    path = "/v1/numbers",
    operation_id = "listNumbers",
    tag = "Numbers",
    params(OffsetQuery),
    responses(
        (status = 200, body = Listed<NumberView>),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 422, body = ErrorEnvelope, description = "limit or offset is out of range"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<OffsetQuery>,
) -> Result<Json<Listed<NumberView>>, ApiError> {
    let window = query.window();
    let (page, standing) = app
        .store
        .read::<_, ApiError>(async move |tx| {
            let mut scope = tx.of(&caller.account);
            Ok((scope.active_numbers(window).await?, scope.standing().await?))
        })
        .await?;
    Ok(Json(Listed::of(page, window, |number| NumberView::of(&app.config, &number, standing.as_ref()))))
}
