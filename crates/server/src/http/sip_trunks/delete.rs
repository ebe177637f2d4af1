//! `DELETE /v1/sip-trunks/{id}`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::TrunkId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{App, Ring};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId};
use crate::http::once::{Once, Reply};

/// It is gone.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeletedSipTrunk {
    success: bool,
    #[schema(value_type = String)]
    id: TrunkId,
}

/// Deletes a SIP trunk. Calls over it that stand go on.
#[utoipa::path(
    delete,
    path = "/v1/sip-trunks/{id}",
    operation_id = "deleteSipTrunk",
    tag = "SIP trunks",
    params(("id" = String, Path, description = "The trunk's id")),
    responses(
        (status = 200, body = DeletedSipTrunk),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 403, body = ErrorEnvelope, description = "The key lacks the scope admin"),
        (status = 404, body = ErrorEnvelope, description = "No such SIP trunk"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    PathId(id): PathId<TrunkId>,
) -> Result<Response, ApiError> {
    let account = caller.account.clone();
    once.write(&app, &caller, async move |tx| {
        if !tx.of(&account).delete_sip_trunk(&id).await? {
            return Err(TrunkId::missing());
        }
        Ok(Reply::ok(&DeletedSipTrunk { success: true, id: id.clone() })?.ringing(Ring::Trunks))
    })
    .await
}
