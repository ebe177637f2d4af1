//! `GET /v1/numbers/{id}`

use axum::Json;
use axum::extract::State;
use offhook_domain::NumberId;

use super::NumberView;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId};

/// One number, released or not.
#[utoipa::path(
    get,
    path = "/v1/numbers/{id}",
    operation_id = "getNumber",
    tag = "Numbers",
    params(("id" = String, Path, description = "The number's id")),
    responses(
        (status = 200, body = NumberView),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such number"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<NumberId>,
) -> Result<Json<NumberView>, ApiError> {
    let (number, standing) = app
        .store
        .read::<_, ApiError>(async move |tx| {
            let mut scope = tx.of(&caller.account);
            Ok((scope.number(&id).await?.ok_or_else(NumberId::missing)?, scope.standing().await?))
        })
        .await?;
    Ok(Json(NumberView::of(&app.config, &number, standing.as_ref())))
}
