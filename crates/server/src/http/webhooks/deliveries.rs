//! `GET /v1/webhooks/deliveries`

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use offhook_domain::Timestamp;
use offhook_domain::webhook::Delivery;
use offhook_store::{Page, Window};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::DeliveryView;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Query;
use crate::http::fields::{Casing, Fields, Input};
use crate::http::values::Number;

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeliveriesQuery {
    /// How many items at the most.
    #[param(inline, required = false, default = 50)]
    pub limit: Number<1, 100>,
    /// How many items to pass over.
    #[param(inline, required = false, default = 0)]
    pub offset: Number<0, 1_000_000_000>,
    /// Only those of the last so many hours.
    #[param(inline, nullable = false)]
    pub hours: Option<Number<1, 8760>>,
}

impl Input for DeliveriesQuery {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            limit: fields.or("limit", Number(50)),
            offset: fields.or("offset", Number(0)),
            hours: fields.optional("hours"),
        })
    }
}

impl DeliveriesQuery {
    #[must_use]
    pub fn window(&self) -> Window {
        Window { limit: self.limit.0, offset: self.offset.0 }
    }

    /// Since when.
    #[must_use]
    pub fn since(&self, now: Timestamp) -> Timestamp {
        let span = |hours: Number<1, 8760>| Duration::from_secs(hours.0.unsigned_abs() * 3600);
        self.hours.map_or(Timestamp::from_micros(0), |hours| now.minus(span(hours)))
    }
}

/// A page of the log. `data` and `hasMore` say it once more, as other lists do.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryLog {
    items: Vec<DeliveryView>,
    total: i64,
    offset: i64,
    limit: i64,
    data: Vec<DeliveryView>,
    has_more: bool,
}

impl DeliveryLog {
    pub fn of(page: Page<Delivery>, window: Window) -> Self {
        let items: Vec<DeliveryView> = page.items.into_iter().map(DeliveryView::from).collect();
        let has_more = window.offset.saturating_add(items.len() as i64) < page.total;
        let Window { limit, offset } = window;
        Self { data: items.clone(), items, total: page.total, offset, limit, has_more }
    }
}

/// The log of deliveries to all endpoints of the account, the newest first.
#[utoipa::path(
    get,
    path = "/v1/webhooks/deliveries",
    operation_id = "listWebhookDeliveries",
    tag = "Webhooks",
    params(DeliveriesQuery),
    responses(
        (status = 200, body = DeliveryLog),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 422, body = ErrorEnvelope, description = "limit, offset or hours is out of range"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<DeliveriesQuery>,
) -> Result<Json<DeliveryLog>, ApiError> {
    let (window, since) = (query.window(), query.since(app.now()));
    let page = app
        .store
        .read::<_, ApiError>(async move |tx| Ok(tx.of(&caller.account).deliveries(since, window).await?))
        .await?;
    Ok(Json(DeliveryLog::of(page, window)))
}
