//! `POST /v1/calls/{id}/end`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::CallId;
use offhook_domain::call::MOST_TURNS;

use super::WholeCall;
use crate::app::{App, Ring};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId};
use crate::http::once::{Once, Reply};

/// Has a call end, on whichever node it is. The answer is the call as it is when that is accepted; one that is over is
/// answered as it is.
#[utoipa::path(
    post,
    path = "/v1/calls/{id}/end",
    operation_id = "endCall",
    tag = "Calls",
    params(("id" = String, Path, description = "The call's id")),
    responses(
        (status = 200, body = WholeCall),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 403, body = ErrorEnvelope, description = "The key lacks the scope calls"),
        (status = 404, body = ErrorEnvelope, description = "No such call"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    PathId(id): PathId<CallId>,
) -> Result<Response, ApiError> {
    let (doors, account, now) = (app.clone(), caller.account.clone(), app.now());
    once.write(&app, &caller, async move |tx| {
        let mut scope = tx.of(&account);
        scope.call(&id).await?.ok_or_else(CallId::missing)?;
        scope.ask_call_to_end(&id, now).await?;
        let call = scope.call(&id).await?.ok_or_else(CallId::missing)?;
        let turns = scope.call_turns(&id, None, MOST_TURNS).await?;
        Ok(Reply::ok(&WholeCall::of(&doors, call, &turns))?.ringing(Ring::EndCalls))
    })
    .await
}
