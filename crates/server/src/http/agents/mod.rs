//! `/v1/agents`: who answers and sends.

pub mod create;
pub mod get;
pub mod list;

use offhook_domain::agent::{Agent, AgentProfile};
use offhook_domain::number::Number;
use offhook_domain::{AgentId, NumberId, Timestamp};
use offhook_store::{Scope, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

/// An agent as the API shows it (contract, "Agents").
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Agent)]
pub struct AgentView {
    #[schema(value_type = String, example = "agt_06ck3v0w2e8zg1m8t4q7x5n9ra")]
    id: AgentId,
    name: String,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    profile: ProfileView,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    numbers: Vec<AgentNumber>,
}

/// The profile, whose field names are the wire's.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct ProfileView(AgentProfile);

/// A number as an agent shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentNumber {
    #[schema(value_type = String)]
    id: NumberId,
    phone_number: String,
    status: &'static str,
    r#type: String,
}

impl AgentNumber {
    pub fn of(number: &Number) -> Self {
        Self {
            id: number.id.clone(),
            phone_number: number.phone_number.to_string(),
            status: number.status.as_str(),
            r#type: number.kind.clone(),
        }
    }
}

/// Joins an agent with its numbers.
pub async fn show(scope: &mut Scope<'_>, agent: Agent) -> Result<AgentView, StoreError> {
    let numbers = scope.numbers_of_agent(&agent.id).await?;
    Ok(AgentView {
        id: agent.id,
        name: agent.name,
        profile: ProfileView(agent.profile),
        created_at: agent.created_at,
        numbers: numbers.iter().map(AgentNumber::of).collect(),
    })
}
