//! `/v1/agents`: who answers and sends.

pub mod attach_number;
pub mod calls;
pub mod conversations;
pub mod create;
pub mod delete;
pub mod detach_number;
pub mod get;
pub mod list;
mod profile;
mod tools;
pub mod update;
pub mod voices;
pub mod webhook;

use offhook_domain::agent::{Agent, AmbientSound, CustomTool, DenoisingMode, ModelTier, SttMode, VoiceMode};
use offhook_domain::number::Number;
use offhook_domain::{AgentId, NumberId, Timestamp};
use offhook_store::{Scope, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use super::values::choice;

/// An agent as the API shows it (contract, "Agents").
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Agent)]
pub struct AgentView {
    #[schema(value_type = String, example = "agt_06ck3v0w2e8zg1m8t4q7x5n9ra")]
    id: AgentId,
    name: String,
    description: Option<String>,
    #[schema(value_type = choice::VoiceMode)]
    voice_mode: VoiceMode,
    enable_messaging: bool,
    #[schema(value_type = choice::ModelTier)]
    model_tier: ModelTier,
    system_prompt: Option<String>,
    begin_message: Option<String>,
    voice: String,
    transfer_number: Option<String>,
    #[schema(value_type = Vec<tools::ToolInput>)]
    custom_tools: Vec<CustomTool>,
    voicemail_message: Option<String>,
    call_screening_identity: Option<String>,
    call_screening_purpose: Option<String>,
    #[schema(value_type = choice::SttMode)]
    stt_mode: SttMode,
    #[schema(value_type = choice::AmbientSound)]
    ambient_sound: AmbientSound,
    #[schema(value_type = choice::DenoisingMode)]
    denoising_mode: DenoisingMode,
    max_silence_ms: i64,
    voice_speed: f64,
    interruption_sensitivity: f64,
    enable_backchannel: bool,
    language: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    numbers: Vec<AgentNumber>,
}

impl AgentView {
    fn of(agent: Agent, numbers: &[Number]) -> Self {
        let profile = agent.profile;
        Self {
            id: agent.id,
            name: agent.name,
            description: profile.description,
            voice_mode: profile.voice_mode,
            enable_messaging: profile.enable_messaging,
            model_tier: profile.model_tier,
            system_prompt: profile.system_prompt,
            begin_message: profile.begin_message,
            voice: profile.voice.unwrap_or_else(|| crate::voices::DEFAULT.to_owned()),
            transfer_number: profile.transfer_number,
            custom_tools: profile.custom_tools,
            voicemail_message: profile.voicemail_message,
            call_screening_identity: profile.call_screening_identity,
            call_screening_purpose: profile.call_screening_purpose,
            stt_mode: profile.stt_mode,
            ambient_sound: profile.ambient_sound,
            denoising_mode: profile.denoising_mode,
            max_silence_ms: profile.max_silence_ms,
            voice_speed: profile.voice_speed,
            interruption_sensitivity: profile.interruption_sensitivity,
            enable_backchannel: profile.enable_backchannel,
            language: profile.language,
            created_at: agent.created_at,
            numbers: numbers.iter().map(AgentNumber::of).collect(),
        }
    }
}

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
    Ok(AgentView::of(agent, &numbers))
}
