//! Counting what an account does, by the hour.

/// What one transaction adds to the hour's count of a number and its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageDelta {
    pub messages_in: i64,
    pub messages_out: i64,
    pub segments: i64,
    pub webhooks: i64,
    pub webhooks_succeeded: i64,
    pub webhooks_failed: i64,
    /// Calls that ended, whatever became of them.
    pub calls: i64,
    /// How long they were, as charged.
    pub call_seconds: i64,
}
