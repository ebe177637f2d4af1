//! `GET /v1/agents/voices`

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::auth::Caller;
use crate::http::error::ErrorEnvelope;
use crate::voices::VOICES;

#[derive(Debug, Serialize, ToSchema)]
pub struct Voices {
    data: Vec<VoiceView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Voice)]
pub struct VoiceView {
    /// What to send as an agent's `voice`.
    voice_id: &'static str,
    voice_name: &'static str,
    provider: &'static str,
    gender: Option<&'static str>,
    accent: Option<&'static str>,
    preview_audio_url: Option<&'static str>,
}

/// The voices there are; the first is the default.
#[utoipa::path(
    get,
    path = "/v1/agents/voices",
    operation_id = "listVoices",
    tag = "Agents",
    responses(
        (status = 200, body = Voices),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
    )
)]
pub async fn handle(_: Caller) -> Json<Voices> {
    let data = VOICES.iter().map(|voice| VoiceView {
        voice_id: voice.id,
        voice_name: voice.name,
        provider: voice.provider,
        gender: voice.gender,
        accent: voice.accent,
        preview_audio_url: None,
    });
    Json(Voices { data: data.collect() })
}
