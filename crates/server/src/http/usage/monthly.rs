//! `GET /v1/usage/monthly`

use axum::Json;
use axum::extract::State;
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::{Counts, date_of, day_of, midnight};
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Query;
use crate::http::fields::{Casing, Fields, Input};
use crate::http::values::Number;

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MonthlyQuery {
    /// How many months, this one included.
    #[param(inline, required = false, default = 6)]
    months: Number<1, 120>,
}

impl Input for MonthlyQuery {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { months: fields.or("months", Number(6)) })
    }
}

/// One calendar month, UTC.
#[derive(Debug, Serialize, ToSchema)]
pub struct MonthUsage {
    #[schema(example = "2026-01")]
    month: String,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct MonthlyUsage {
    data: Vec<MonthUsage>,
    months: i64,
}

/// What was done in each of the last months, oldest first, quiet ones too.
#[utoipa::path(
    get,
    path = "/v1/usage/monthly",
    operation_id = "getMonthlyUsage",
    tag = "Usage",
    params(MonthlyQuery),
    responses(
        (status = 200, body = MonthlyUsage),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 422, body = ErrorEnvelope, description = "months is out of range"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<MonthlyQuery>,
) -> Result<Json<MonthlyUsage>, ApiError> {
    let months = query.months.0;
    let mut data = Vec::new();
    let this_month = date_of(day_of(app.now())).first_of_month();
    let mut since = app.now();
    for back in (0..months).rev() {
        let first = this_month.checked_sub(back.months()).unwrap_or(this_month);
        since = midnight(first, &TimeZone::UTC).unwrap_or(since).min(since);
        data.push(MonthUsage { month: month_of(first), counts: Counts::default() });
    }
    let used =
        app.store.read::<_, ApiError>(async move |tx| Ok(tx.of(&caller.account).usage_by_day(since).await?)).await?;
    for used in used {
        let month = month_of(date_of(used.day));
        if let Some(place) = data.iter_mut().find(|place| place.month == month) {
            place.counts.add(&used);
        }
    }
    Ok(Json(MonthlyUsage { data, months }))
}

fn month_of(date: Date) -> String {
    format!("{:04}-{:02}", date.year(), date.month())
}
