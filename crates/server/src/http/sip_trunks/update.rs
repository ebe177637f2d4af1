//! `PATCH /v1/sip-trunks/{id}`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::TrunkId;

use super::SipTrunkView;
use super::input::TrunkInput;
use crate::app::trunks::{Login, Password};
use crate::app::{App, Ring};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, Named, PathId};
use crate::http::once::{Once, Reply};

/// Changes what is sent about a trunk. With nothing sent it gets a new password, shown this once; the old one is void at once.
#[utoipa::path(
    patch,
    path = "/v1/sip-trunks/{id}",
    operation_id = "updateSipTrunk",
    tag = "SIP trunks",
    params(("id" = String, Path, description = "The trunk's id")),
    request_body(content = TrunkInput),
    responses(
        (status = 200, body = SipTrunkView),
        (status = 400, body = ErrorEnvelope, description = "An address can't be called"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 403, body = ErrorEnvelope, description = "The key lacks the scope admin"),
        (status = 404, body = ErrorEnvelope, description = "No such SIP trunk"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    PathId(id): PathId<TrunkId>,
    Body(input): Body<TrunkInput>,
) -> Result<Response, ApiError> {
    input.check_reach(&app)?;
    let (now, account) = (app.now(), caller.account.clone());
    let password = input.is_empty.then(Password::generate);
    let shown = app.clone();
    once.write(&app, &caller, async move |tx| {
        let mut scope = tx.of(&account);
        let mut trunk = scope.sip_trunk_to_change(&id).await?.ok_or_else(TrunkId::missing)?;
        input.clone().apply(&mut trunk);
        if let Some(password) = &password {
            trunk.login = Login::renewed(&shown.sealer, trunk.login, password);
        }
        trunk.updated_at = now;
        scope.update_sip_trunk(&trunk).await?;
        let view = SipTrunkView::of(&shown, trunk, password.as_ref().map(Password::as_str));
        Ok(Reply::ok(&view)?.ringing(Ring::Trunks))
    })
    .await
}
