//! `POST /v1/sip-trunks`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::sip_trunk::{MAX_TRUNKS, SipTrunk, TransferCallerId, Transfers};
use offhook_domain::{Id, TrunkId};

use super::SipTrunkView;
use super::input::TrunkInput;
use crate::app::trunks::{Login, Password};
use crate::app::{App, Ring};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Body;
use crate::http::once::{Once, Reply};

/// Makes a SIP trunk: where your telephone system calls us, and the login with which it does. The password is shown this once.
#[utoipa::path(
    post,
    path = "/v1/sip-trunks",
    operation_id = "createSipTrunk",
    tag = "SIP trunks",
    request_body(content = TrunkInput),
    responses(
        (status = 201, body = SipTrunkView),
        (status = 400, body = ErrorEnvelope, description = "The account has as many as it may, or an address can't be called"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 403, body = ErrorEnvelope, description = "The key lacks the scope admin"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    Body(input): Body<TrunkInput>,
) -> Result<Response, ApiError> {
    input.check_reach(&app)?;
    let (now, account) = (app.now(), caller.account.clone());
    let password = Password::generate();
    let mut trunk = SipTrunk {
        id: TrunkId::generate(now),
        account_id: account.clone(),
        name: "SIP trunk".to_owned(),
        // Who can have calls transferred to phone numbers spends money: that is to be asked for.
        transfers: Transfers::None,
        transfer_caller_id: TransferCallerId::Transferee,
        origination: Vec::new(),
        allowed_ips: Vec::new(),
        login: Login::fresh(&app.sealer, &password),
        created_at: now,
        updated_at: now,
    };
    input.apply(&mut trunk);
    let shown = app.clone();
    once.write(&app, &caller, async move |tx| {
        let mut scope = tx.of(&account);
        // So that two at once are counted one after the other.
        scope.lock_account().await?;
        if scope.count_sip_trunks().await? >= MAX_TRUNKS {
            return Err(ApiError::refused(format!("the account has its limit of {MAX_TRUNKS} SIP trunks")));
        }
        scope.insert_sip_trunk(&trunk).await?;
        let view = SipTrunkView::of(&shown, trunk.clone(), Some(password.as_str()));
        Ok(Reply::created(&view)?.ringing(Ring::Trunks))
    })
    .await
}
