//! `POST /v1/webhooks/deliveries/{id}/replay`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::usage::UsageDelta;
use offhook_domain::webhook::WebhookStatus;
use offhook_domain::{AgentId, DeliveryId, Id};

use super::DeliveryView;
use crate::app::{App, Ring};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId};
use crate::http::once::{Once, Reply};

/// Sends an event again, as a new delivery, to the endpoint that such events go to now.
#[utoipa::path(
    post,
    path = "/v1/webhooks/deliveries/{id}/replay",
    operation_id = "replayWebhookDelivery",
    tag = "Webhooks",
    params(("id" = String, Path, description = "The delivery's id")),
    responses(
        (status = 200, body = DeliveryView),
        (status = 400, body = ErrorEnvelope, description = "There is no active webhook to send it to"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such delivery"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    PathId(id): PathId<DeliveryId>,
) -> Result<Response, ApiError> {
    let (account, now) = (caller.account.clone(), app.now());
    once.write(&app, &caller, async move |tx| {
        let mut scope = tx.of(&account);
        let (earlier, owner) = scope.delivery(&id).await?.ok_or_else(DeliveryId::missing)?;
        let webhook = scope.webhook_for(owner.as_ref()).await?;
        let active = webhook.filter(|webhook| webhook.status == WebhookStatus::Active);
        let webhook = active.ok_or_else(|| ApiError::refused("there is no active webhook to send it to"))?;
        let again = scope.replay_delivery(&webhook, &earlier, now).await?;
        let agent_key = webhook.agent_id.as_ref().map_or("", AgentId::as_str);
        let delta = UsageDelta { webhooks: 1, ..UsageDelta::default() };
        scope.count_usage(now, None, agent_key, again.as_str(), delta);
        let (delivery, _) = scope.delivery(&again).await?.ok_or_else(DeliveryId::missing)?;
        Ok(Reply::ok(&DeliveryView::from(delivery))?.ringing(Ring::Deliver(webhook.id.to_string())))
    })
    .await
}
