//! `GET /v1/keys`

use axum::Json;
use axum::extract::State;
use offhook_store::{Page, Tx, Window};

use super::KeyView;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Query;
use crate::http::page::{Listed, OffsetQuery};

/// The account's keys, revoked ones too, the newest first.
#[utoipa::path(
    get,
    path = "/v1/keys",
    operation_id = "listKeys",
    tag = "Keys",
    params(OffsetQuery),
    responses(
        (status = 200, body = Listed<KeyView>),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 403, body = ErrorEnvelope, description = "The key lacks the scope admin"),
        (status = 422, body = ErrorEnvelope, description = "limit or offset is out of range"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<OffsetQuery>,
) -> Result<Json<Listed<KeyView>>, ApiError> {
    let window: Window = query.window();
    let find = async move |tx: &mut Tx| tx.of(&caller.account).keys_page(window).await;
    let page: Page<_> = app.store.read(find).await?;
    Ok(Json(Listed::of(page, window, KeyView::of)))
}
