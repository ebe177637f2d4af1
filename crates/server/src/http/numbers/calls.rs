//! `GET /v1/numbers/{id}/calls`

use axum::Json;
use axum::extract::State;
use offhook_domain::NumberId;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::calls::CallView;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId, Query};
use crate::http::page::{Listed, OffsetQuery};

/// The calls over a number, the newest first; of a released one too.
#[utoipa::path(
    get,
    path = "/v1/numbers/{id}/calls",
    operation_id = "listNumberCalls",
    tag = "Numbers",
    params(("id" = String, Path, description = "The number's id"), OffsetQuery),
    responses(
        (status = 200, body = Listed<CallView>),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such number"),
        (status = 422, body = ErrorEnvelope, description = "limit or offset is out of range"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<NumberId>,
    Query(query): Query<OffsetQuery>,
) -> Result<Json<Listed<CallView>>, ApiError> {
    let window = query.window();
    let page = app
        .store
        .read::<_, ApiError>(async move |tx| {
            let mut scope = tx.of(&caller.account);
            scope.number(&id).await?.ok_or_else(NumberId::missing)?;
            Ok(scope.calls_of_number(&id, window).await?)
        })
        .await?;
    Ok(Json(Listed::of(page, window, |call| CallView::of(&app, call))))
}
