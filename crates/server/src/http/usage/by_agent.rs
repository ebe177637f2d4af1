//! `GET /v1/usage/by-agent`

use std::borrow::Cow;

use axum::Json;
use axum::extract::State;
use jiff::ToSpan;
use jiff::tz::TimeZone;
use offhook_domain::Timestamp;
use offhook_store::usage::AgentUsage as Used;
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::midnight;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Query;
use crate::http::fields::{Casing, Fields, FromField, Input, Problem};

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ByAgentQuery {
    /// The calendar week (from Monday), month or year that is now.
    #[param(inline, required = false)]
    period: Period,
    /// The IANA time zone it is now in.
    #[param(inline, required = false, example = "America/New_York")]
    tz: Zone,
}

impl Input for ByAgentQuery {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { period: fields.or("period", Period::Month), tz: fields.or("tz", Zone(TimeZone::UTC)) })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(default = "month")]
enum Period {
    Week,
    Month,
    Year,
}

impl FromField for Period {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        match value.as_str() {
            Some("week") => Ok(Self::Week),
            Some("month") => Ok(Self::Month),
            Some("year") => Ok(Self::Year),
            _ => Err(Problem::value("must be one of week, month, year")),
        }
    }
}

#[derive(Debug, Clone)]
struct Zone(TimeZone);

impl FromField for Zone {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let name = value.as_str().ok_or_else(|| Problem::wrong_type("a string"))?;
        let zone = TimeZone::get(name);
        zone.map(Self).map_err(|_| Problem::value("must be an IANA time zone such as America/New_York"))
    }
}

impl PartialSchema for Zone {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).default(Some("UTC".into())).into()
    }
}

impl ToSchema for Zone {
    fn name() -> Cow<'static, str> {
        "TimeZone".into()
    }
}

/// An agent and what it did in the period.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentUsage {
    /// Null for what no agent had a part in.
    agent_id: Option<String>,
    agent_name: String,
    messages: i64,
    calls: i64,
    total_seconds: i64,
    /// The agent was deleted, or there was none.
    is_orphan: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageByAgent {
    data: Vec<AgentUsage>,
    period: Period,
    #[schema(value_type = String, format = DateTime)]
    period_start: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    period_end: Timestamp,
}

/// What each agent did in this week, month or year.
#[utoipa::path(
    get,
    path = "/v1/usage/by-agent",
    operation_id = "getUsageByAgent",
    tag = "Usage",
    params(ByAgentQuery),
    responses(
        (status = 200, body = UsageByAgent),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 422, body = ErrorEnvelope, description = "The period or the time zone is unknown"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ByAgentQuery>,
) -> Result<Json<UsageByAgent>, ApiError> {
    let now = app.now();
    let (period_start, period_end) = query.period.around(now, &query.tz.0).unwrap_or((now, now));
    let used = app
        .store
        .read::<_, ApiError>(async move |tx| {
            Ok(tx.of(&caller.account).usage_by_agent(period_start, period_end).await?)
        })
        .await?;
    let data = used.into_iter().map(AgentUsage::from).collect();
    Ok(Json(UsageByAgent { data, period: query.period, period_start, period_end }))
}

impl Period {
    /// Its first moment and the next one's. `None` at the ends of the calendar.
    fn around(self, now: Timestamp, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let today = now.to_jiff().to_zoned_datetime(zone.clone()).date();
        let (first, length) = match self {
            Self::Week => {
                let since_monday = i64::from(today.weekday().to_monday_zero_offset());
                (today.checked_sub(since_monday.days()).ok()?, 1.week())
            }
            Self::Month => (today.first_of_month(), 1.month()),
            Self::Year => (today.first_of_year(), 1.year()),
        };
        Some((midnight(first, zone)?, midnight(first.checked_add(length).ok()?, zone)?))
    }
}

impl From<Used> for AgentUsage {
    fn from(used: Used) -> Self {
        let is_orphan = used.name.is_none();
        let agent_id = Some(used.agent_key).filter(|key| !key.is_empty());
        let absent = if agent_id.is_some() { "Deleted agent" } else { "No agent" };
        Self {
            agent_id,
            agent_name: used.name.unwrap_or_else(|| absent.to_owned()),
            messages: used.messages,
            calls: used.calls,
            total_seconds: used.call_seconds,
            is_orphan,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(period: Period, now: &str, zone: &str) -> (String, String) {
        let zone = TimeZone::get(zone).unwrap();
        let (start, end) = period.around(Timestamp::parse(now).unwrap(), &zone).unwrap();
        (start.to_jiff().to_string(), end.to_jiff().to_string())
    }

    fn pair(start: &str, end: &str) -> (String, String) {
        (start.to_owned(), end.to_owned())
    }

    #[test]
    fn periods_begin_at_the_zones_own_midnight() {
        // It is still Sunday, 1 March there; daylight saving begins within that week and month.
        let now = "2026-03-02T04:30:00Z";
        let zone = "America/New_York";
        assert_eq!(around(Period::Week, now, zone), pair("2026-02-23T05:00:00Z", "2026-03-02T05:00:00Z"));
        assert_eq!(around(Period::Month, now, zone), pair("2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z"));
        assert_eq!(around(Period::Year, now, zone), pair("2026-01-01T05:00:00Z", "2027-01-01T05:00:00Z"));
        assert_eq!(around(Period::Week, now, "UTC"), pair("2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z"));
    }

    #[test]
    fn what_nobody_did_is_an_orphan() {
        let used = Used { agent_key: String::new(), name: None, messages: 2, calls: 0, call_seconds: 0 };
        let shown = AgentUsage::from(used);
        assert_eq!((shown.agent_id, shown.agent_name.as_str(), shown.is_orphan), (None, "No agent", true));
    }
}
