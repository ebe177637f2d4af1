//! An agent: who answers a number, and how it speaks.

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, AgentId};
use crate::time::Timestamp;
use crate::words::words;

words! {
    /// Who speaks on a call: the customer's webhook or the built-in model.
    VoiceMode { Webhook = "webhook", Hosted = "hosted" }
    ModelTier { Turbo = "turbo", Balanced = "balanced", Max = "max" }
    SttMode { Fast = "fast", Accurate = "accurate" }
    AmbientSound { None = "none", Office = "office", CoffeeShop = "coffee-shop", Outdoor = "outdoor" }
    DenoisingMode {
        NoiseCancellation = "noise-cancellation",
        NoiseAndBackgroundSpeech = "noise-and-background-speech-cancellation",
    }
    ToolMethod { Get = "GET", Post = "POST" }
}

/// The most custom tools an agent may have.
pub const MAX_CUSTOM_TOOLS: usize = 20;

#[derive(Debug, Clone)]
pub struct Agent {
    pub id: AgentId,
    pub account_id: AccountId,
    pub name: String,
    pub profile: AgentProfile,
    pub created_at: Timestamp,
}

/// Everything about an agent that a customer sets beside its name. Kept as one JSON text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentProfile {
    pub description: Option<String>,
    pub voice_mode: VoiceMode,
    pub enable_messaging: bool,
    pub model_tier: ModelTier,
    pub system_prompt: Option<String>,
    pub begin_message: Option<String>,
    pub voice: Option<String>,
    pub transfer_number: Option<String>,
    pub custom_tools: Vec<CustomTool>,
    pub voicemail_message: Option<String>,
    pub call_screening_identity: Option<String>,
    pub call_screening_purpose: Option<String>,
    pub stt_mode: SttMode,
    pub ambient_sound: AmbientSound,
    pub denoising_mode: DenoisingMode,
    pub max_silence_ms: i64,
    pub voice_speed: f64,
    pub interruption_sensitivity: f64,
    pub enable_backchannel: bool,
    pub language: String,
}

impl Default for AgentProfile {
    fn default() -> Self {
        Self {
            description: None,
            voice_mode: VoiceMode::Webhook,
            enable_messaging: true,
            model_tier: ModelTier::Balanced,
            system_prompt: None,
            begin_message: None,
            voice: None,
            transfer_number: None,
            custom_tools: Vec::new(),
            voicemail_message: None,
            call_screening_identity: None,
            call_screening_purpose: None,
            stt_mode: SttMode::Fast,
            ambient_sound: AmbientSound::None,
            denoising_mode: DenoisingMode::NoiseCancellation,
            max_silence_ms: 600_000,
            voice_speed: 1.0,
            interruption_sensitivity: 0.8,
            enable_backchannel: true,
            language: "en-US".to_owned(),
        }
    }
}

impl AgentProfile {
    /// A hosted agent needs words to go by.
    ///
    /// # Errors
    /// [`NeedsSystemPrompt`] when the voice is hosted and there is no prompt.
    pub fn check(&self) -> Result<(), NeedsSystemPrompt> {
        let prompted = self.system_prompt.as_deref().is_some_and(|prompt| !prompt.trim().is_empty());
        if self.voice_mode == VoiceMode::Hosted && !prompted { Err(NeedsSystemPrompt) } else { Ok(()) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("required when voiceMode is hosted")]
pub struct NeedsSystemPrompt;

/// A tool the hosted model may call (contract, "Agents").
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomTool {
    pub name: String,
    pub description: String,
    pub url: String,
    pub method: ToolMethod,
    pub headers: serde_json::Map<String, serde_json::Value>,
    pub parameters: serde_json::Map<String, serde_json::Value>,
    pub timeout_ms: i64,
    pub speak_during_execution: bool,
    pub execution_message: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosted_agent_needs_a_prompt() {
        let mut profile = AgentProfile { voice_mode: VoiceMode::Hosted, ..AgentProfile::default() };
        assert_eq!(profile.check(), Err(NeedsSystemPrompt));
        profile.system_prompt = Some("  ".to_owned());
        assert_eq!(profile.check(), Err(NeedsSystemPrompt));
        profile.system_prompt = Some("You take orders.".to_owned());
        assert_eq!(profile.check(), Ok(()));
    }
}
