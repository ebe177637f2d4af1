//! `POST /v1/agents`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::agent::{Agent, AgentProfile, VoiceMode};
use offhook_domain::{AgentId, Id};
use utoipa::ToSchema;

use super::AgentView;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Body;
use crate::http::fields::{Casing, Fields, Input, Problem};
use crate::http::once::{Once, Reply};
use crate::http::values::{Text, choice};

#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct CreateAgent {
    name: Text<1, 200>,
    description: Option<Text<0, 2000>>,
    #[schema(value_type = Option<choice::VoiceMode>)]
    voice_mode: VoiceMode,
    system_prompt: Option<Text<0, 100_000>>,
}

impl Input for CreateAgent {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name");
        let description = fields.optional("description");
        let voice_mode = fields.or("voice_mode", VoiceMode::Webhook);
        let system_prompt = fields.optional("system_prompt");
        if voice_mode == VoiceMode::Hosted && system_prompt.is_none() {
            fields.complain("system_prompt", Problem::value("is required when voiceMode is hosted"));
        }
        Some(Self { name: name?, description, voice_mode, system_prompt })
    }
}

/// Creates an agent.
#[utoipa::path(
    post,
    path = "/v1/agents",
    operation_id = "createAgent",
    tag = "Agents",
    request_body = CreateAgent,
    responses(
        (status = 200, body = AgentView),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    Body(input): Body<CreateAgent>,
) -> Result<Response, ApiError> {
    let now = app.now();
    let account = caller.account.clone();
    let agent = Agent {
        id: AgentId::generate(now),
        account_id: account.clone(),
        name: input.name.0,
        profile: AgentProfile {
            description: input.description.map(|t| t.0),
            voice_mode: input.voice_mode,
            system_prompt: input.system_prompt.map(|t| t.0),
            ..AgentProfile::default()
        },
        created_at: now,
    };
    once.write(&app, &caller, async move |tx| {
        let mut scope = tx.of(&account);
        scope.insert_agent(&agent).await?;
        Reply::ok(&super::show(&mut scope, agent.clone()).await?)
    })
    .await
}
