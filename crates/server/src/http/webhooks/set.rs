//! `POST /v1/webhooks`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::webhook::{Webhook, WebhookStatus};
use offhook_domain::{AgentId, Id, WebhookId};

use super::WebhookView;
pub use super::input::SetWebhook;
use crate::app::{App, Ring};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, Named};
use crate::http::once::{Once, Reply};
use crate::webhook_signature::generate_secret;

/// Creates the account's webhook or replaces it; a disabled one is active again.
#[utoipa::path(
    post,
    path = "/v1/webhooks",
    operation_id = "setWebhook",
    tag = "Webhooks",
    request_body = SetWebhook,
    responses(
        (status = 200, body = WebhookView),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed, or the URL is not one to be called"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    Body(input): Body<SetWebhook>,
) -> Result<Response, ApiError> {
    set(app, caller, once, None, input).await
}

/// Sets the webhook of an agent, or of the account.
///
/// # Errors
/// 404 for an agent that is not the caller's, 422 for a URL that may not be called.
pub async fn set(
    app: App,
    caller: Caller,
    once: Once,
    agent: Option<AgentId>,
    input: SetWebhook,
) -> Result<Response, ApiError> {
    app.guard.check(&input.url.0).map_err(|refused| ApiError::invalid_field("body", "url", refused.to_string()))?;
    let now = app.now();
    let webhook = Webhook {
        id: WebhookId::generate(now),
        account_id: caller.account.clone(),
        sealed_secret: app.sealer.seal(&generate_secret()),
        status: WebhookStatus::Active,
        context_limit: input.context_limit.0,
        timeout_seconds: input.timeout.0,
        events: input.wanted(),
        url: input.url.0,
        external_id: input.external_id.map(|text| text.0),
        created_at: now,
        agent_id: agent,
    };
    let (doors, rotate) = (app.clone(), input.rotate_secret);
    once.write(&app, &caller, async move |tx| {
        let mut scope = tx.of(&webhook.account_id);
        if let Some(agent) = &webhook.agent_id {
            scope.agent_to_change(agent).await?.ok_or_else(AgentId::missing)?;
        }
        let kept = scope.put_webhook(webhook.clone(), !rotate).await?;
        // Its worker may hold what it was before.
        let ring = Ring::Deliver(kept.id.to_string());
        Ok(Reply::ok(&WebhookView::of(&doors, kept)?)?.ringing(ring))
    })
    .await
}
