//! `GET /v1/account`

use axum::Json;
use axum::extract::State;
use offhook_store::Tx;

use super::AccountView;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};

/// The account, and what it has set.
#[utoipa::path(
    get,
    path = "/v1/account",
    operation_id = "getAccount",
    tag = "Account",
    responses(
        (status = 200, body = AccountView),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
    )
)]
pub async fn handle(State(app): State<App>, caller: Caller) -> Result<Json<AccountView>, ApiError> {
    let account = caller.account.clone();
    let settings = app.store.read(async move |tx: &mut Tx| tx.of(&account).account_settings().await).await?;
    Ok(Json(AccountView::of(&caller, settings)))
}
