//! `GET /v1/webhooks/deliveries/stats`

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use offhook_domain::Timestamp;
use offhook_domain::time::HOUR_MICROS;
use offhook_domain::webhook::DeliveryStatus;
use offhook_store::deliveries::Tally;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::success_rate;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Query;
use crate::http::fields::{Casing, Fields, Input};
use crate::http::values::Number;

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StatsQuery {
    /// Of the last so many hours.
    #[param(inline, required = false, default = 24)]
    hours: Number<1, 2160>,
}

impl Input for StatsQuery {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { hours: fields.or("hours", Number(24)) })
    }
}

/// How deliveries went.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryStats {
    #[serde(flatten)]
    all: Counts,
    by_event_type: BTreeMap<&'static str, Counts>,
    /// Every hour, the earliest first, also those in which nothing happened.
    by_hour: Vec<HourCounts>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeliveryCounts)]
pub struct Counts {
    total: i64,
    success: i64,
    failed: i64,
    pending: i64,
    /// Of those that ended, in percent; 0 before the first ended.
    success_rate: f64,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HourCounts {
    /// When the hour began.
    #[schema(value_type = String, format = DateTime)]
    hour: Timestamp,
    #[serde(flatten)]
    counts: Counts,
}

/// How the account's deliveries of the last hours went, by type and by hour.
#[utoipa::path(
    get,
    path = "/v1/webhooks/deliveries/stats",
    operation_id = "getWebhookDeliveryStats",
    tag = "Webhooks",
    params(StatsQuery),
    responses(
        (status = 200, body = DeliveryStats),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 422, body = ErrorEnvelope, description = "hours is out of range"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<StatsQuery>,
) -> Result<Json<DeliveryStats>, ApiError> {
    let now = app.now();
    let since = now.minus(Duration::from_secs(query.hours.0.unsigned_abs() * 3600));
    let tallies = app
        .store
        .read::<_, ApiError>(async move |tx| Ok(tx.of(&caller.account).delivery_tallies(since).await?))
        .await?;
    Ok(Json(DeliveryStats::of(&tallies, since, now)))
}

impl DeliveryStats {
    fn of(tallies: &[Tally], since: Timestamp, now: Timestamp) -> Self {
        let mut all = Counts::default();
        let mut by_event_type = BTreeMap::<_, Counts>::new();
        let (first, last) = (since.hour_start().as_micros(), now.hour_start().as_micros());
        let mut hours: BTreeMap<i64, Counts> =
            (0..=(last - first) / HOUR_MICROS).map(|n| (first + n * HOUR_MICROS, Counts::default())).collect();
        for tally in tallies {
            all.add(tally);
            by_event_type.entry(tally.event_type.as_str()).or_default().add(tally);
            hours.entry(tally.hour.as_micros()).or_default().add(tally);
        }
        let hour = |(start, counts)| HourCounts { hour: Timestamp::from_micros(start), counts };
        Self { all, by_event_type, by_hour: hours.into_iter().map(hour).collect() }
    }
}

impl Counts {
    fn add(&mut self, tally: &Tally) {
        self.total += tally.count;
        match tally.status {
            DeliveryStatus::Success => self.success += tally.count,
            DeliveryStatus::Failed => self.failed += tally.count,
            DeliveryStatus::Pending => self.pending += tally.count,
        }
        self.success_rate = success_rate(self.success, self.failed);
    }
}
