//! `GET /v1/webhooks`

use axum::Json;
use axum::extract::State;
use offhook_domain::AgentId;

use super::WebhookView;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};

/// The account's webhook, or `null`.
#[utoipa::path(
    get,
    path = "/v1/webhooks",
    operation_id = "getWebhook",
    tag = "Webhooks",
    responses(
        (status = 200, body = Option<WebhookView>),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
    )
)]
pub async fn handle(State(app): State<App>, caller: Caller) -> Result<Json<Option<WebhookView>>, ApiError> {
    get(app, caller, None).await
}

/// The webhook of an agent, or of the account.
///
/// # Errors
/// 404 for an agent that is not the caller's.
pub async fn get(app: App, caller: Caller, agent: Option<AgentId>) -> Result<Json<Option<WebhookView>>, ApiError> {
    let found = app
        .store
        .read::<_, ApiError>(async move |tx| super::webhook_of(&mut tx.of(&caller.account), agent.as_ref()).await)
        .await?;
    Ok(Json(found.map(|webhook| WebhookView::of(&app, webhook)).transpose()?))
}
