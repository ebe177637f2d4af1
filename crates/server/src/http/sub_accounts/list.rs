//! `GET /v1/sub-accounts`

use axum::Json;
use axum::extract::State;
use offhook_store::Tx;

use super::SubAccountView;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Query;
use crate::http::page::{Listed, OffsetQuery};

/// The open sub-accounts, the newest first.
#[utoipa::path(
    get,
    path = "/v1/sub-accounts",
    operation_id = "listSubAccounts",
    tag = "Sub-accounts",
    params(OffsetQuery),
    responses(
        (status = 200, body = Listed<SubAccountView>),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 403, body = ErrorEnvelope, description = "The key lacks the scope admin"),
        (status = 422, body = ErrorEnvelope, description = "limit or offset is out of range"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<OffsetQuery>,
) -> Result<Json<Listed<SubAccountView>>, ApiError> {
    let window = query.window();
    let find = async move |tx: &mut Tx| tx.of(&caller.account).sub_accounts(window).await;
    let page = app.store.read(find).await?;
    Ok(Json(Listed::of(page, window, SubAccountView::of)))
}
