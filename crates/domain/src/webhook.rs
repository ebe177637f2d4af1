//! A customer's endpoint for events, and when a failed delivery is tried again.

use std::time::Duration;

use crate::ids::{AccountId, AgentId, DeliveryId, WebhookId};
use crate::time::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookStatus {
    Active,
    /// The endpoint answered 410 Gone, or an operator switched it off.
    Disabled,
}

impl WebhookStatus {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Disabled].into_iter().find(|status| status.as_str() == text)
    }
}

/// What an event is about (contract, "Envelope"). `number.released` is our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    Message,
    CallEnded,
    Reaction,
    MessageStatus,
    NumberReleased,
}

impl EventType {
    pub const ALL: [Self; 5] =
        [Self::Message, Self::CallEnded, Self::Reaction, Self::MessageStatus, Self::NumberReleased];
    /// What an endpoint gets that did not say what it wants.
    pub const DEFAULT: [Self; 3] = [Self::Message, Self::CallEnded, Self::Reaction];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Message => "agent.message",
            Self::CallEnded => "agent.call_ended",
            Self::Reaction => "agent.reaction",
            Self::MessageStatus => "message.status",
            Self::NumberReleased => "number.released",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == text)
    }
}

#[derive(Clone)]
pub struct Webhook {
    pub id: WebhookId,
    pub account_id: AccountId,
    /// The agent it is for, or the whole account's.
    pub agent_id: Option<AgentId>,
    pub url: String,
    /// The signing secret as the store keeps it: sealed. Opened only to show it or to sign.
    pub sealed_secret: String,
    pub status: WebhookStatus,
    /// How many earlier messages an event carries.
    pub context_limit: i64,
    pub timeout_seconds: i64,
    pub events: Vec<EventType>,
    pub external_id: Option<String>,
    pub created_at: Timestamp,
}

impl Webhook {
    #[must_use]
    pub fn wants(&self, event: EventType) -> bool {
        self.status == WebhookStatus::Active && self.events.contains(&event)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStatus {
    Pending,
    Success,
    Failed,
}

impl DeliveryStatus {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Failed => "failed",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Success, Self::Failed].into_iter().find(|status| status.as_str() == text)
    }
}

/// One event's way to one endpoint, as the log keeps it.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub id: DeliveryId,
    pub webhook_id: WebhookId,
    pub event_type: EventType,
    pub channel: String,
    pub message_id: Option<String>,
    pub status: DeliveryStatus,
    pub at: Timestamp,
    /// When the next attempt may be made, while it is pending.
    pub due_at: Timestamp,
    pub attempts: u32,
    /// What the last attempt got: a status and the first bytes of the answer, or why there was none.
    pub http_status: Option<i64>,
    pub error: Option<String>,
    pub response_body: Option<String>,
    pub response_ms: Option<i64>,
    pub last_attempt_at: Option<Timestamp>,
    pub delivered_at: Option<Timestamp>,
}

impl Delivery {
    /// When a failed delivery will be tried again.
    #[must_use]
    pub fn next_retry_at(&self) -> Option<Timestamp> {
        (self.status == DeliveryStatus::Pending && self.attempts > 0).then_some(self.due_at)
    }
}

/// The waits before the second, third … attempt (contract, "Delivery": 5 s, 30 s, 5 min, 30 min, 2 h).
#[derive(Debug, Clone)]
pub struct RetrySchedule {
    waits: Vec<Duration>,
}

impl RetrySchedule {
    #[must_use]
    pub fn new(waits: Vec<Duration>) -> Self {
        Self { waits }
    }

    /// How long to wait after `attempts` failed attempts, or `None` when that was the last.
    /// `jitter` in 0..1 stretches the wait by up to a tenth, so that endpoints are not hit in step.
    #[must_use]
    pub fn wait_after(&self, attempts: u32, jitter: f64) -> Option<Duration> {
        let wait = self.waits.get(usize::try_from(attempts.checked_sub(1)?).ok()?)?;
        Some(wait.mul_f64(1.0 + 0.1 * jitter.clamp(0.0, 1.0)))
    }
}

impl Default for RetrySchedule {
    fn default() -> Self {
        Self::new([5, 30, 300, 1800, 7200].map(Duration::from_secs).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_six_attempts_in_all() {
        let schedule = RetrySchedule::default();
        assert_eq!(schedule.wait_after(1, 0.0), Some(Duration::from_secs(5)));
        assert_eq!(schedule.wait_after(5, 0.0), Some(Duration::from_secs(7200)));
        assert_eq!(schedule.wait_after(6, 0.0), None);
        assert_eq!(schedule.wait_after(0, 0.0), None);
    }

    #[test]
    fn jitter_only_stretches() {
        let stretched = RetrySchedule::default().wait_after(1, 1.0).expect("a second attempt");
        assert!(stretched > Duration::from_secs(5) && stretched <= Duration::from_millis(5500));
    }
}
