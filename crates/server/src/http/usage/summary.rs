//! `GET /v1/usage`

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use jiff::ToSpan;
use jiff::tz::TimeZone;
use offhook_domain::ledger::Book;
use offhook_domain::usage::UsageDelta;
use offhook_domain::{Micros, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::{date_of, day_of, midnight};
use crate::app::App;
use crate::config::Limits;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The account's plan, what it used of it, and what it can spend.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    plan: Plan,
    numbers: NumbersHeld,
    stats: Stats,
    /// The calendar month, UTC.
    #[schema(value_type = String, format = DateTime)]
    period_start: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    period_end: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    report_generated_at: Timestamp,
    balance: Balance,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Plan {
    name: String,
    limits: PlanLimits,
}

/// Of these only the numbers are enforced.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanLimits {
    numbers: u32,
    messages_per_month: u32,
    voice_minutes_per_month: u32,
    max_call_duration_minutes: u32,
    concurrent_calls: u32,
}

/// Purchases under way count as used.
#[derive(Debug, Serialize, ToSchema)]
pub struct NumbersHeld {
    used: i64,
    limit: i64,
    remaining: i64,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    total_messages: i64,
    messages_last24h: i64,
    messages_last7d: i64,
    messages_last30d: i64,
    total_calls: i64,
    calls_last24h: i64,
    calls_last7d: i64,
    calls_last30d: i64,
    total_webhook_deliveries: i64,
    successful_webhook_deliveries: i64,
    failed_webhook_deliveries: i64,
    sms_segments_last30d: i64,
}

/// What the account can spend.
#[derive(Debug, Serialize, ToSchema)]
pub struct Balance {
    /// In millionths of a dollar.
    micros: i64,
    /// The same for people.
    #[schema(example = "$5.00")]
    text: String,
    /// `USD`.
    currency: &'static str,
}

/// The plan, what was used of it, and the balance.
#[utoipa::path(
    get,
    path = "/v1/usage",
    operation_id = "getUsage",
    tag = "Usage",
    responses(
        (status = 200, body = Usage),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
    )
)]
pub async fn handle(State(app): State<App>, caller: Caller) -> Result<Json<Usage>, ApiError> {
    let now = app.now();
    let (held, balance, used) = app
        .store
        .read::<_, ApiError>(async move |tx| {
            let mut scope = tx.of(&caller.account);
            let held = scope.numbers_held().await?;
            let balance = scope.balance(Book::Wallet).await?;
            let used = Used {
                ever: scope.usage_since(Timestamp::from_micros(0)).await?,
                last_day: scope.usage_since(now.minus(DAY)).await?,
                last_week: scope.usage_since(now.minus(7 * DAY)).await?,
                last_month: scope.usage_since(now.minus(30 * DAY)).await?,
            };
            Ok((held, balance, used))
        })
        .await?;
    let limits = &app.config.limits;
    let limit = i64::from(limits.numbers_per_account);
    let (period_start, period_end) = month_of(now);
    Ok(Json(Usage {
        plan: Plan::of(limits),
        numbers: NumbersHeld { used: held, limit, remaining: (limit - held).max(0) },
        stats: used.stats(),
        period_start,
        period_end,
        report_generated_at: now,
        balance: Balance::of(balance),
    }))
}

struct Used {
    ever: UsageDelta,
    last_day: UsageDelta,
    last_week: UsageDelta,
    last_month: UsageDelta,
}

impl Used {
    fn stats(&self) -> Stats {
        let messages = |used: &UsageDelta| used.messages_in + used.messages_out;
        Stats {
            total_messages: messages(&self.ever),
            messages_last24h: messages(&self.last_day),
            messages_last7d: messages(&self.last_week),
            messages_last30d: messages(&self.last_month),
            total_calls: self.ever.calls,
            calls_last24h: self.last_day.calls,
            calls_last7d: self.last_week.calls,
            calls_last30d: self.last_month.calls,
            total_webhook_deliveries: self.ever.webhooks,
            successful_webhook_deliveries: self.ever.webhooks_succeeded,
            failed_webhook_deliveries: self.ever.webhooks_failed,
            sms_segments_last30d: self.last_month.segments,
        }
    }
}

impl Plan {
    fn of(limits: &Limits) -> Self {
        Self {
            name: limits.plan_name.clone(),
            limits: PlanLimits {
                numbers: limits.numbers_per_account,
                messages_per_month: limits.messages_per_month,
                voice_minutes_per_month: limits.voice_minutes_per_month,
                max_call_duration_minutes: limits.max_call_duration_minutes,
                concurrent_calls: limits.concurrent_calls,
            },
        }
    }
}

impl Balance {
    fn of(balance: Micros) -> Self {
        Self { micros: balance.0, text: balance.to_string(), currency: "USD" }
    }
}

/// The calendar month a moment lies in, UTC.
fn month_of(now: Timestamp) -> (Timestamp, Timestamp) {
    let first = date_of(day_of(now)).first_of_month();
    let next = first.checked_add(1.month()).unwrap_or(first);
    let start = |date| midnight(date, &TimeZone::UTC).unwrap_or(now);
    (start(first), start(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_runs_from_its_first_to_the_next_ones() {
        let at = |text| Timestamp::parse(text).unwrap();
        let december = month_of(at("2026-12-31T23:59:59.999999Z"));
        assert_eq!(december, (at("2026-12-01T00:00:00Z"), at("2027-01-01T00:00:00Z")));
    }
}
