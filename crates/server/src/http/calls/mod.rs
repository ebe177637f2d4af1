//! `/v1/calls`: phone calls.

use offhook_domain::call::Call;
use offhook_domain::{AgentId, CallId, NumberId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

/// A call as lists show it (contract, "Calls").
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Call)]
pub struct CallView {
    #[schema(value_type = String)]
    id: CallId,
    #[schema(value_type = Option<String>)]
    agent_id: Option<AgentId>,
    agent_name: Option<String>,
    #[schema(value_type = Option<String>)]
    phone_number_id: Option<NumberId>,
    phone_number: String,
    from_number: String,
    to_number: String,
    direction: String,
    status: String,
    end_reason: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    duration_seconds: Option<u64>,
    last_transcript_snippet: Option<String>,
    recording_url: Option<String>,
    recording_available: bool,
}

impl CallView {
    pub fn of(call: Call) -> Self {
        Self {
            duration_seconds: call.duration_seconds(),
            id: call.id,
            agent_id: call.agent_id,
            agent_name: call.agent_name,
            phone_number_id: call.number_id,
            phone_number: call.phone_number,
            from_number: call.from,
            to_number: call.to,
            direction: call.direction,
            status: call.status,
            end_reason: call.end_reason,
            started_at: call.started_at,
            ended_at: call.ended_at,
            last_transcript_snippet: call.last_transcript_snippet,
            recording_url: None,
            recording_available: call.has_recording,
        }
    }
}
