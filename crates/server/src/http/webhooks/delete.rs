//! `DELETE /v1/webhooks`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::{AgentId, WebhookId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{App, Ring};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Named;
use crate::http::once::{Once, Reply};

/// It is gone.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeletedWebhook {
    success: bool,
}

/// Deletes the account's webhook. What waits for it ends `failed`.
#[utoipa::path(
    delete,
    path = "/v1/webhooks",
    operation_id = "deleteWebhook",
    tag = "Webhooks",
    responses(
        (status = 200, body = DeletedWebhook),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "There is no webhook"),
    )
)]
pub async fn handle(State(app): State<App>, caller: Caller, once: Once) -> Result<Response, ApiError> {
    delete(app, caller, once, None).await
}

/// Deletes the webhook of an agent, or of the account.
///
/// # Errors
/// 404 where there is none.
pub async fn delete(app: App, caller: Caller, once: Once, agent: Option<AgentId>) -> Result<Response, ApiError> {
    let account = caller.account.clone();
    once.write(&app, &caller, async move |tx| {
        let mut scope = tx.of(&account);
        super::check_owner(&mut scope, agent.as_ref()).await?;
        let id = scope.delete_webhook(agent.as_ref()).await?.ok_or_else(WebhookId::missing)?;
        Ok(Reply::ok(&DeletedWebhook { success: true })?.ringing(Ring::Deliver(id.to_string())))
    })
    .await
}
