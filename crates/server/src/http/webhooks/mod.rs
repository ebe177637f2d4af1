//! `/v1/webhooks`: where the account wants its events, and how delivering them went. An agent's own endpoint has the
//! same under `/v1/agents/{id}/webhook`.

pub mod all_time;
pub mod delete;
pub mod deliveries;
pub mod get;
mod input;
pub mod replay;
pub mod set;
pub mod stats;
pub mod test;

use offhook_domain::webhook::{Delivery, DeliveryStatus, Webhook};
use offhook_domain::{AgentId, DeliveryId, Timestamp, WebhookId};
use offhook_store::Scope;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::extract::Named;
use crate::app::App;

/// A webhook as the API shows it (contract, "Webhooks").
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Webhook)]
pub struct WebhookView {
    #[schema(value_type = String, example = "wh_06ck3v0w2e8zg1m8t4q7x5n9ra")]
    id: WebhookId,
    url: String,
    /// Signs every request to the endpoint.
    #[schema(example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")]
    secret: String,
    /// `disabled` after the endpoint answered 410 Gone; setting the webhook again makes it `active`.
    #[schema(example = "active")]
    status: &'static str,
    /// How many earlier messages an event carries.
    context_limit: i64,
    /// Seconds an attempt may take.
    timeout: i64,
    /// The events that the endpoint gets.
    events: Vec<&'static str>,
    external_id: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl WebhookView {
    /// # Errors
    /// 500 when the secret was sealed with another key.
    pub fn of(app: &App, webhook: Webhook) -> Result<Self, ApiError> {
        let secret = app.sealer.open(&webhook.sealed_secret).map_err(|error| ApiError::internal(&error))?;
        Ok(Self {
            id: webhook.id,
            url: webhook.url,
            secret,
            status: webhook.status.as_str(),
            context_limit: webhook.context_limit,
            timeout: webhook.timeout_seconds,
            events: webhook.events.iter().map(|event| event.as_str()).collect(),
            external_id: webhook.external_id,
            created_at: webhook.created_at,
        })
    }
}

/// One event's way to one endpoint, as the log shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookDelivery)]
pub struct DeliveryView {
    /// Also in the request's `X-Webhook-ID`, the same on every attempt.
    #[schema(value_type = String, example = "del_06ck3v0w2e8zg1m8t4q7x5n9ra")]
    id: DeliveryId,
    message_id: Option<String>,
    event_type: &'static str,
    channel: String,
    /// `pending`, `success` or `failed`.
    status: &'static str,
    /// What the last attempt got.
    http_status: Option<i64>,
    error_message: Option<String>,
    /// The first 2 KB of the last answer.
    response_body: Option<String>,
    attempt_count: u32,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_attempt_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    next_retry_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The same as `eventType`.
    event: &'static str,
    /// The same as `httpStatus`.
    status_code: Option<i64>,
    success: bool,
    #[schema(value_type = Option<String>, format = DateTime)]
    delivered_at: Option<Timestamp>,
    response_ms: Option<i64>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            next_retry_at: delivery.next_retry_at(),
            event_type: delivery.event_type.as_str(),
            event: delivery.event_type.as_str(),
            status: delivery.status.as_str(),
            success: delivery.status == DeliveryStatus::Success,
            id: delivery.id,
            message_id: delivery.message_id,
            channel: delivery.channel,
            http_status: delivery.http_status,
            status_code: delivery.http_status,
            error_message: delivery.error,
            response_body: delivery.response_body,
            attempt_count: delivery.attempts,
            last_attempt_at: delivery.last_attempt_at,
            created_at: delivery.at,
            delivered_at: delivery.delivered_at,
            response_ms: delivery.response_ms,
        }
    }
}

/// Deliveries that succeeded among those that ended, in percent; 0 before the first ended.
#[allow(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
fn success_rate(success: i64, failed: i64) -> f64 {
    let ended = success + failed;
    if ended == 0 { 0.0 } else { (success as f64 / ended as f64 * 10_000.0).round() / 100.0 }
}

/// That the agent of a path is the caller's; without one it is the account itself.
///
/// # Errors
/// 404 when it is not.
pub async fn check_owner(scope: &mut Scope<'_>, agent: Option<&AgentId>) -> Result<(), ApiError> {
    if let Some(agent) = agent {
        scope.agent(agent).await?.ok_or_else(AgentId::missing)?;
    }
    Ok(())
}

/// The endpoint of an agent of the caller's, or of the account itself.
///
/// # Errors
/// 404 when the agent is not the caller's.
pub async fn webhook_of(scope: &mut Scope<'_>, agent: Option<&AgentId>) -> Result<Option<Webhook>, ApiError> {
    match scope.webhook(agent).await? {
        Some(webhook) => Ok(Some(webhook)),
        None => check_owner(scope, agent).await.map(|()| None),
    }
}
