//! `GET /v1/usage/daily`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::{Counts, date_of, day_of, day_start};
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Query;
use crate::http::fields::{Casing, Fields, Input};
use crate::http::values::Number;

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DailyQuery {
    /// How many days, today included.
    #[param(inline, required = false, default = 30)]
    days: Number<1, 365>,
}

impl Input for DailyQuery {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { days: fields.or("days", Number(30)) })
    }
}

/// One day, UTC.
#[derive(Debug, Serialize, ToSchema)]
pub struct DayUsage {
    #[schema(example = "2026-01-31", format = Date)]
    date: String,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DailyUsage {
    data: Vec<DayUsage>,
    days: i64,
}

/// What was done on each of the last days, oldest first, quiet ones too.
#[utoipa::path(
    get,
    path = "/v1/usage/daily",
    operation_id = "getDailyUsage",
    tag = "Usage",
    params(DailyQuery),
    responses(
        (status = 200, body = DailyUsage),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 422, body = ErrorEnvelope, description = "days is out of range"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<DailyQuery>,
) -> Result<Json<DailyUsage>, ApiError> {
    let days = query.days.0;
    let first = day_of(app.now()) - days + 1;
    let used = app
        .store
        .read::<_, ApiError>(async move |tx| Ok(tx.of(&caller.account).usage_by_day(day_start(first)).await?))
        .await?;
    let mut data: Vec<DayUsage> = (first..first + days)
        .map(|day| DayUsage { date: date_of(day).to_string(), counts: Counts::default() })
        .collect();
    for used in used {
        // A day beyond the last began while we were reading.
        if let Some(day) = usize::try_from(used.day - first).ok().and_then(|place| data.get_mut(place)) {
            day.counts.add(&used);
        }
    }
    Ok(Json(DailyUsage { data, days }))
}
