//! `DELETE /v1/keys/{id}`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::ApiKeyId;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId};
use crate::http::once::{Once, Reply};

/// Stops a key from working: here at once, on other nodes within a second. Nobody may lock himself out: the last key with
/// the scope `admin` stays, but for a sub-account's, whose master has keys of his own.
#[utoipa::path(
    delete,
    path = "/v1/keys/{id}",
    operation_id = "revokeKey",
    tag = "Keys",
    params(("id" = String, Path, description = "The key's id")),
    responses(
        (status = 204, description = "Revoked"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 403, body = ErrorEnvelope, description = "The key lacks the scope admin"),
        (status = 404, body = ErrorEnvelope, description = "No such key, or it was revoked before"),
        (status = 409, body = ErrorEnvelope, description = "It is the account's last key with the scope admin"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    PathId(id): PathId<ApiKeyId>,
) -> Result<Response, ApiError> {
    let (account, now, may_lock_out) = (caller.account.clone(), app.now(), caller.is_sub_account());
    let answer = once
        .write(&app, &caller, async move |tx| {
            let mut scope = tx.of(&account);
            // Two that revoke the last two keys must not both find the other's.
            scope.lock_account().await?;
            if !scope.revoke_key(&id, now).await? {
                return Err(ApiKeyId::missing());
            }
            if !may_lock_out && !scope.has_admin_key().await? {
                let message = "this is the account's last key with the scope admin: make another one first";
                return Err(ApiError::conflict("CONFLICT", message));
            }
            Ok(Reply::no_content())
        })
        .await?;
    app.keys.invalidate_all();
    Ok(answer)
}
