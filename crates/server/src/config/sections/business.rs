//! What the business decides: prices, limits, patience. In: the reader. Out: checked sections. Never here: what the
//! process needs to run (`process.rs`).

use std::time::Duration;

use ipnet::IpNet;
use offhook_domain::circuit::Patience;
use offhook_domain::shaping::{CarrierDays, Limit};

use super::{Reader, name};
use crate::guarded_http::is_never_opened;

/// `[mode]`
#[derive(Debug)]
pub struct Mode {
    /// Whether the sandbox carrier is there, and nothing else.
    pub sandbox: bool,
}

/// `[prices]`, in micro-dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prices {
    /// One number for one period.
    pub number_month_micros: i64,
    /// One SMS segment, each way.
    pub sms_segment_micros: i64,
    /// Credit of a new account.
    pub sign_up_credit_micros: i64,
    /// A registration with the US carriers.
    pub registration_micros: i64,
    /// One for high volume, with the vetting it needs.
    pub registration_high_volume_micros: i64,
    /// One minute of a call that a webhook answers, and of one that the built-in model does; by the second.
    pub webhook_minute_micros: i64,
    pub hosted_minute_micros: i64,
    /// What an answered call costs at the least.
    pub call_least_micros: i64,
    /// Recording, for one period.
    pub recording_month_micros: i64,
    /// Whether a sandbox charges nothing.
    pub sandbox_free: bool,
}

impl Prices {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        Self {
            number_month_micros: reader.micros("prices.number_month_micros"),
            sms_segment_micros: reader.micros("prices.sms_segment_micros"),
            sign_up_credit_micros: reader.micros("prices.sign_up_credit_micros"),
            registration_micros: reader.micros("prices.registration_micros"),
            registration_high_volume_micros: reader.micros("prices.registration_high_volume_micros"),
            webhook_minute_micros: reader.micros("prices.webhook_minute_micros"),
            hosted_minute_micros: reader.micros("prices.hosted_minute_micros"),
            call_least_micros: reader.micros("prices.call_least_micros"),
            recording_month_micros: reader.micros("prices.recording_month_micros"),
            sandbox_free: reader.boolean("prices.sandbox_free"),
        }
    }
}

/// `[numbers]`
#[derive(Debug)]
pub struct Numbers {
    /// Days that one payment covers.
    pub period_days: u32,
    /// Days that an unpaid number is kept.
    pub grace_days: u32,
}

impl Numbers {
    /// What one payment covers.
    #[must_use]
    pub fn period(&self) -> Duration {
        Duration::from_secs(u64::from(self.period_days) * 24 * 3600)
    }

    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        Self {
            period_days: reader.integer("numbers.period_days", 1..=366),
            grace_days: reader.integer("numbers.grace_days", 0..=366),
        }
    }
}

/// `[limits]`
#[derive(Debug)]
pub struct Limits {
    /// Name of the plan.
    pub plan_name: String,
    /// Numbers held at a time.
    pub numbers_per_account: u32,
    /// Shown, not enforced.
    pub messages_per_month: u32,
    /// Shown, not enforced.
    pub voice_minutes_per_month: u32,
    /// A call is ended when it is so long.
    pub max_call_duration_minutes: u32,
    /// Calls of one account at a time; more are refused.
    pub concurrent_calls: u32,
}

impl Limits {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        const MANY: u32 = 1_000_000_000;
        Self {
            plan_name: name(reader, "limits.plan_name"),
            numbers_per_account: reader.integer("limits.numbers_per_account", 0..=1_000_000),
            messages_per_month: reader.integer("limits.messages_per_month", 0..=MANY),
            voice_minutes_per_month: reader.integer("limits.voice_minutes_per_month", 0..=MANY),
            max_call_duration_minutes: reader.integer("limits.max_call_duration_minutes", 1..=1440),
            concurrent_calls: reader.integer("limits.concurrent_calls", 0..=MANY),
        }
    }
}

/// `[rate_limits]`, for one API key; 0 is no limit.
#[derive(Debug)]
pub struct RateLimits {
    pub reads_per_minute: u32,
    pub writes_per_minute: u32,
    pub messages_per_minute: u32,
    pub calls_per_minute: u32,
    /// Requests of so many seconds may come at once.
    pub burst_seconds: u32,
    /// Whether a sandbox has them too.
    pub in_sandbox: bool,
}

impl RateLimits {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        const MANY: u32 = 10_000_000;
        Self {
            reads_per_minute: reader.integer("rate_limits.reads_per_minute", 0..=MANY),
            writes_per_minute: reader.integer("rate_limits.writes_per_minute", 0..=MANY),
            messages_per_minute: reader.integer("rate_limits.messages_per_minute", 0..=MANY),
            calls_per_minute: reader.integer("rate_limits.calls_per_minute", 0..=MANY),
            burst_seconds: reader.integer("rate_limits.burst_seconds", 1..=3_600),
            in_sandbox: reader.boolean("rate_limits.in_sandbox"),
        }
    }
}

/// `[sending]`
#[derive(Debug)]
pub struct Sending {
    /// Submissions under way at a time.
    pub concurrency: usize,
    /// When the outcome of a submission counts as unknown.
    pub submit_timeout: Duration,
    /// Waits before further tries; the last one repeats.
    pub retries: Vec<Duration>,
    /// When a message that could not be submitted fails.
    pub give_up_after: Duration,
    /// When a carrier is left alone.
    pub patience: Patience,
}

impl Sending {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        Self {
            concurrency: reader.count("sending.concurrency", 1..=10_000),
            submit_timeout: reader.seconds("sending.submit_timeout_seconds", 1..=300),
            retries: reader.waits("sending.retry_seconds", 1..=50),
            give_up_after: reader.seconds("sending.give_up_after_seconds", 1..=604_800),
            patience: Patience {
                in_a_row: reader.integer("sending.ill_after", 1..=1_000),
                first_rest: reader.seconds("sending.ill_rest_seconds", 1..=3_600),
                longest_rest: reader.seconds("sending.ill_longest_rest_seconds", 1..=86_400),
            },
        }
    }
}

/// `[shaping]`
#[derive(Debug)]
pub struct Shaping {
    /// When the carriers' days end.
    pub days: CarrierDays,
    /// What one number may send.
    pub number: Limit,
    /// What all numbers of one carrier may send.
    pub carrier: Limit,
}

impl Shaping {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        let zone =
            reader.required("shaping.time_zone", "must be a time zone like \"America/Los_Angeles\"", CarrierDays::of);
        Self {
            days: zone.unwrap_or_else(CarrierDays::utc),
            number: limit(reader, "shaping.number_messages_per_second", "shaping.number_segments_per_day"),
            carrier: limit(reader, "shaping.carrier_messages_per_second", "shaping.carrier_segments_per_day"),
        }
    }
}

/// Zero is no limit.
fn limit(reader: &mut Reader, rate: &str, cap: &str) -> Limit {
    let (rate, cap) = (reader.thousandths(rate, 100_000), reader.integer(cap, 0..=1_000_000_000));
    Limit::new(rate, (cap > 0).then_some(i64::from(cap)))
}

/// `[registration]`
#[derive(Debug)]
pub struct Registration {
    /// Whether live US numbers need one before they may send.
    pub required: bool,
    /// Whether those of the sandbox do.
    pub required_in_sandbox: bool,
    /// How long the sandbox carrier looks at one.
    pub sandbox_decides_after: Duration,
}

impl Registration {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        Self {
            required: reader.boolean("registration.required"),
            required_in_sandbox: reader.boolean("registration.required_in_sandbox"),
            sandbox_decides_after: reader.seconds("registration.sandbox_decides_after_seconds", 0..=3600),
        }
    }
}

/// `[webhooks]`
#[derive(Debug)]
pub struct Webhooks {
    /// Waits before the repeats; one more attempt than there are waits.
    pub retries: Vec<Duration>,
    /// To one endpoint at a time.
    pub concurrency_per_endpoint: usize,
    /// To all endpoints at a time.
    pub concurrency_total: usize,
    /// To all endpoints that failed last at a time.
    pub concurrency_unhealthy: usize,
    /// Private networks that may be reached nevertheless; cloud metadata within them is not.
    pub allowed_networks: Vec<IpNet>,
}

impl Webhooks {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        let read = Self {
            retries: reader.waits("webhooks.retry_seconds", 0..=20),
            concurrency_per_endpoint: reader.count("webhooks.concurrency_per_endpoint", 1..=10_000),
            concurrency_total: reader.count("webhooks.concurrency_total", 1..=10_000),
            concurrency_unhealthy: reader.count("webhooks.concurrency_unhealthy", 1..=10_000),
            allowed_networks: reader.networks("webhooks.allowed_networks"),
        };
        // Else endpoints that hang could take every place, and the healthy ones would wait for them.
        if read.concurrency_total > 1 && read.concurrency_unhealthy >= read.concurrency_total {
            reader.refuse::<()>("webhooks.concurrency_unhealthy", "must be less than webhooks.concurrency_total", None);
        }
        if let Some(net) = read.allowed_networks.iter().find(|net| is_never_opened(net)) {
            let rule = format!("must not name {net}, which is cloud metadata and is never called");
            reader.refuse::<()>("webhooks.allowed_networks", &rule, None);
        }
        read
    }
}

/// `[leases]`
#[derive(Debug)]
pub struct Leases {
    /// How long work stays taken without a sign of life.
    pub duration: Duration,
}

/// `[retention]`
#[derive(Debug)]
pub struct Retention {
    /// The log of webhook deliveries.
    pub webhook_delivery_days: u32,
}

impl Retention {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        Self { webhook_delivery_days: reader.integer("retention.webhook_delivery_days", 1..=3660) }
    }
}
