//! `GET /v1/sip-trunks`

use axum::Json;
use axum::extract::State;
use offhook_store::Tx;

use super::{SipTrunkList, SipTrunkView};
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};

/// The account's SIP trunks, the newest first.
#[utoipa::path(
    get,
    path = "/v1/sip-trunks",
    operation_id = "listSipTrunks",
    tag = "SIP trunks",
    responses(
        (status = 200, body = SipTrunkList),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
    )
)]
pub async fn handle(State(app): State<App>, caller: Caller) -> Result<Json<SipTrunkList>, ApiError> {
    let find = async move |tx: &mut Tx| tx.of(&caller.account).sip_trunks().await;
    let found = app.store.read(find).await?;
    Ok(Json(SipTrunkList { data: found.into_iter().map(|trunk| SipTrunkView::of(&app, trunk, None)).collect() }))
}
