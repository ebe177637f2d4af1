//! `GET /v1/sip-trunks/{id}`

use axum::Json;
use axum::extract::State;
use offhook_domain::TrunkId;
use offhook_store::Tx;

use super::SipTrunkView;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId};

/// One SIP trunk.
#[utoipa::path(
    get,
    path = "/v1/sip-trunks/{id}",
    operation_id = "getSipTrunk",
    tag = "SIP trunks",
    params(("id" = String, Path, description = "The trunk's id")),
    responses(
        (status = 200, body = SipTrunkView),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such SIP trunk"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<TrunkId>,
) -> Result<Json<SipTrunkView>, ApiError> {
    let find = async move |tx: &mut Tx| tx.of(&caller.account).sip_trunk(&id).await;
    let found = app.store.read(find).await?.ok_or_else(TrunkId::missing)?;
    Ok(Json(SipTrunkView::of(&app, found, None)))
}
