//! A phone call as it is kept.

use crate::ids::{AgentId, CallId, NumberId};
use crate::time::Timestamp;

#[derive(Debug, Clone)]
pub struct Call {
    pub id: CallId,
    /// The agent that spoke; cleared when it is deleted.
    pub agent_id: Option<AgentId>,
    pub agent_name: Option<String>,
    /// The number the call went over; a call from the web has none.
    pub number_id: Option<NumberId>,
    pub phone_number: String,
    pub from: String,
    pub to: String,
    pub direction: String,
    pub status: String,
    pub end_reason: Option<String>,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub last_transcript_snippet: Option<String>,
    pub has_recording: bool,
}

impl Call {
    /// How long it took, once it is over.
    #[must_use]
    pub fn duration_seconds(&self) -> Option<u64> {
        self.ended_at.map(|end| end.since(self.started_at).as_secs())
    }
}
