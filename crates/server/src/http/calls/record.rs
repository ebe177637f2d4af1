//! `POST /credits/recording/enable` and `/disable`: whether an account's calls are recorded.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{App, recordings};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::once::{Once, Reply};

/// Whether calls are recorded from now on.
#[derive(Debug, Serialize, ToSchema)]
pub struct Recording {
    success: bool,
    enabled: bool,
}

/// Has calls recorded from now on, and pays for a period of it where it costs something.
#[utoipa::path(
    post,
    path = "/credits/recording/enable",
    operation_id = "enableRecording",
    tag = "Calls",
    responses(
        (status = 200, body = Recording),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 402, body = ErrorEnvelope, description = "The balance does not cover a period of recording"),
        (status = 403, body = ErrorEnvelope, description = "The key lacks the scope admin"),
    )
)]
pub async fn enable(State(app): State<App>, caller: Caller, once: Once) -> Result<Response, ApiError> {
    switch(app, caller, once, true).await
}

/// Has calls recorded no more.
#[utoipa::path(
    post,
    path = "/credits/recording/disable",
    operation_id = "disableRecording",
    tag = "Calls",
    responses(
        (status = 200, body = Recording),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 403, body = ErrorEnvelope, description = "The key lacks the scope admin"),
    )
)]
pub async fn disable(State(app): State<App>, caller: Caller, once: Once) -> Result<Response, ApiError> {
    switch(app, caller, once, false).await
}

async fn switch(app: App, caller: Caller, once: Once, enabled: bool) -> Result<Response, ApiError> {
    let account = caller.account.clone();
    let doors = app.clone();
    once.write(&app, &caller, async move |tx| {
        if enabled && !recordings::pay(&doors, tx, &account).await? {
            let price = doors.prices().recording_period;
            let message = format!("the balance does not cover a period of recording, {price}");
            return Err(ApiError::insufficient_balance(message));
        }
        tx.of(&account).record_calls(enabled).await?;
        Reply::ok(&Recording { success: true, enabled })
    })
    .await
}
