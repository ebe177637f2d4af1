//! `GET /v1/agents/{id}/webhook/deliveries`

use axum::Json;
use axum::extract::State;
use offhook_domain::AgentId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{PathId, Query};
use crate::http::webhooks::deliveries::{DeliveriesQuery, DeliveryLog};
use crate::http::webhooks::{DeliveryView, check_owner};

/// A bare array; with `hours` sent, the page that the account's log has. The two published clients disagree.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum AgentDeliveries {
    Bare(Vec<DeliveryView>),
    Page(DeliveryLog),
}

/// The log of deliveries to the agent's own webhook, the newest first.
#[utoipa::path(
    get,
    path = "/v1/agents/{id}/webhook/deliveries",
    operation_id = "listAgentWebhookDeliveries",
    tag = "Webhooks",
    params(("id" = String, Path, description = "The agent's id"), DeliveriesQuery),
    responses(
        (status = 200, body = AgentDeliveries),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such agent"),
        (status = 422, body = ErrorEnvelope, description = "limit, offset or hours is out of range"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<AgentId>,
    Query(query): Query<DeliveriesQuery>,
) -> Result<Json<AgentDeliveries>, ApiError> {
    let (window, since) = (query.window(), query.since(app.now()));
    let page = app
        .store
        .read::<_, ApiError>(async move |tx| {
            let mut scope = tx.of(&caller.account);
            check_owner(&mut scope, Some(&id)).await?;
            Ok(scope.deliveries_of_agent(&id, since, window).await?)
        })
        .await?;
    Ok(Json(match query.hours {
        Some(_) => AgentDeliveries::Page(DeliveryLog::of(page, window)),
        None => AgentDeliveries::Bare(page.items.into_iter().map(DeliveryView::from).collect()),
    }))
}
