//! `GET /v1/opt-outs`

use axum::Json;
use axum::extract::State;
use offhook_store::Tx;

use super::{OfParticipant, OptOutView};
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Query;
use crate::http::page::Listed;

/// Who may not be texted, whoever came last first.
#[utoipa::path(
    get,
    path = "/v1/opt-outs",
    operation_id = "listOptOuts",
    tag = "Opt-outs",
    params(OfParticipant),
    responses(
        (status = 200, body = Listed<OptOutView>),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 422, body = ErrorEnvelope, description = "A parameter is out of range"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<OfParticipant>,
) -> Result<Json<Listed<OptOutView>>, ApiError> {
    let (window, of) = (query.window(), query.participant());
    let find = async move |tx: &mut Tx| tx.of(&caller.account).opt_outs(of.as_deref(), window).await;
    Ok(Json(Listed::of(app.store.read(find).await?, window, OptOutView::of)))
}
