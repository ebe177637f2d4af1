//! `/v1/usage`: what an account did, from the hourly counts. Spans begin at the full UTC hour they fall in.

pub mod by_agent;
pub mod by_number;
pub mod daily;
pub mod monthly;
pub mod summary;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use offhook_domain::Timestamp;
use offhook_domain::time::DAY_MICROS;
use serde::Serialize;
use utoipa::ToSchema;

/// What was done in one day or month. A minute of calls that has begun counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UsageCounts)]
pub struct Counts {
    messages: i64,
    calls: i64,
    webhooks: i64,
    voice_minutes: i64,
    #[serde(skip)]
    #[schema(ignore)]
    call_seconds: i64,
}

impl Counts {
    fn add(&mut self, day: &offhook_store::usage::DayUsage) {
        self.messages += day.messages;
        self.webhooks += day.webhooks;
        self.calls += day.calls;
        self.call_seconds += day.call_seconds;
        self.voice_minutes = minutes(self.call_seconds);
    }
}

/// The day of a moment, UTC.
/// Those that have begun.
fn minutes(seconds: i64) -> i64 {
    seconds.div_euclid(60) + i64::from(seconds.rem_euclid(60) > 0)
}

fn day_of(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(DAY_MICROS)
}

/// The start of a day counted from 1970-01-01, UTC.
fn day_start(day: i64) -> Timestamp {
    Timestamp::from_micros(day.saturating_mul(DAY_MICROS))
}

/// The date of a day counted from 1970-01-01.
fn date_of(day: i64) -> Date {
    day_start(day).to_jiff().to_zoned_datetime(TimeZone::UTC).date()
}

/// Midnight of a date somewhere.
fn midnight(date: Date, zone: &TimeZone) -> Option<Timestamp> {
    date.to_zoned_datetime(zone.clone()).ok().map(|midnight| Timestamp::from_jiff(midnight.timestamp()))
}
