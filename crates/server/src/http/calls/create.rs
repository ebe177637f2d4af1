//! `POST /v1/calls`

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use offhook_domain::{AgentId, CallId, E164, NumberId, destinations};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::WholeCall;
use crate::app::lead_call::CallOptions;
use crate::app::place_call::{CallRefused, CallWanted, place_call};
use crate::app::{App, Ring};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, Named};
use crate::http::fields::{Casing, Fields, FromField, Input, Problem};
use crate::http::once::{Once, Reply};
use crate::http::values::{Number, Ref, Text};

const MOST_VARIABLES: usize = 100;
const LONGEST_METADATA: usize = 10_000;

/// A call to place. snake_case names are taken too.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct CreateCall {
    /// The agent that speaks.
    #[schema(value_type = String)]
    agent_id: Ref<AgentId>,
    /// E.164.
    #[schema(value_type = String, example = "+14155550123")]
    to_number: Callee,
    /// The number it goes out from; without it, the agent's first.
    #[schema(value_type = Option<String>)]
    from_number_id: Option<Ref<NumberId>>,
    /// What the agent says first, in place of its own `beginMessage`. `{{name}}` stands for a variable.
    initial_greeting: Option<Text<0, 5_000>>,
    voice: Option<Text<0, 200>>,
    /// With it, the built-in model talks: not available here yet.
    system_prompt: Option<Text<0, 100_000>>,
    /// Of the built-in model.
    #[allow(dead_code, reason = "checked like every field; the built-in model will have it")]
    model_tier: Option<Text<0, 40>>,
    /// What stands for `{{name}}`.
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    variables: Option<Variables>,
    #[schema(default = false)]
    disable_recording: bool,
    call_screening_identity: Option<Text<0, 500>>,
    call_screening_purpose: Option<Text<0, 500>>,
    /// Your own, kept with the call.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Metadata>,
    /// Whether the answer is to wait until the call is over.
    #[schema(default = false)]
    wait_for_completion: bool,
    /// For so long at the most; then the answer is the call so far.
    #[schema(value_type = Option<Number<10, 600>>, default = 300)]
    max_wait_seconds: Number<10, 600>,
}

impl Input for CreateCall {
    const CASING: Casing = Casing::Either;

    fn read(fields: &mut Fields) -> Option<Self> {
        let (agent_id, to_number) = (fields.required("agent_id"), fields.required("to_number"));
        let from_number_id = fields.optional("from_number_id");
        let (initial_greeting, voice) = (fields.optional("initial_greeting"), fields.optional("voice"));
        let (system_prompt, model_tier) = (fields.optional("system_prompt"), fields.optional("model_tier"));
        let (variables, metadata) = (fields.optional("variables"), fields.optional("metadata"));
        let disable_recording = fields.or("disable_recording", false);
        let call_screening_identity = fields.optional("call_screening_identity");
        let call_screening_purpose = fields.optional("call_screening_purpose");
        let wait_for_completion = fields.or("wait_for_completion", false);
        let max_wait_seconds = fields.or("max_wait_seconds", Number(300));
        Some(Self {
            agent_id: agent_id?,
            to_number: to_number?,
            from_number_id,
            initial_greeting,
            voice,
            system_prompt,
            model_tier,
            variables,
            disable_recording,
            call_screening_identity,
            call_screening_purpose,
            metadata,
            wait_for_completion,
            max_wait_seconds,
        })
    }
}

/// Whom to call.
#[derive(Debug)]
enum Callee {
    Number(E164),
    /// A short code, which is refused for what it is, not for how it is written.
    ServiceLine(String),
}

impl FromField for Callee {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        match value.as_str().map(str::trim).filter(|text| destinations::is_service_line(text)) {
            Some(line) if E164::parse(line).is_err() => Ok(Self::ServiceLine(line.to_owned())),
            _ => E164::from_field(value).map(Self::Number),
        }
    }
}

/// Names with the text that stands for them.
#[derive(Debug)]
struct Variables(BTreeMap<String, String>);

impl FromField for Variables {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let object = Map::from_field(value)?;
        if object.len() > MOST_VARIABLES {
            return Err(Problem::value(format!("must have at most {MOST_VARIABLES} names")));
        }
        let read = |(name, value): (String, Value)| match &value {
            Value::String(text) => Text::<0, 5_000>::from_field(&value)
                .map(|_| (name.clone(), text.clone()))
                .map_err(|problem| Problem { message: format!("{name} {}", problem.message), ..problem }),
            Value::Number(number) => Ok((name, number.to_string())),
            Value::Bool(truth) => Ok((name, truth.to_string())),
            _ => Err(Problem::value(format!("{name} must be a text, a number or a truth value"))),
        };
        object.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}

/// A JSON object, as text.
#[derive(Debug)]
struct Metadata(String);

impl FromField for Metadata {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let object = Map::from_field(value)?;
        let text = Value::Object(object).to_string();
        if text.len() > LONGEST_METADATA || text.contains("\\u0000") {
            return Err(Problem::value(format!("must be at most {LONGEST_METADATA} bytes of JSON, without U+0000")));
        }
        Ok(Self(text))
    }
}

/// Places a call. The answer is the call as it is kept, at once, or when it is over.
#[utoipa::path(
    post,
    path = "/v1/calls",
    operation_id = "createCall",
    tag = "Calls",
    request_body = CreateCall,
    responses(
        (status = 200, body = WholeCall),
        (status = 400, body = ErrorEnvelope, description = "The agent has no number or no webhook, the number is released, a limit is reached, or the built-in model is asked for"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 402, body = ErrorEnvelope, description = "The balance does not cover a call"),
        (status = 403, body = ErrorEnvelope, description = "The destination is blocked, or the key lacks the scope calls"),
        (status = 404, body = ErrorEnvelope, description = "No such agent or number"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    Body(input): Body<CreateCall>,
) -> Result<Response, ApiError> {
    let patience = input.wait_for_completion.then(|| Duration::from_secs(input.max_wait_seconds.0.unsigned_abs()));
    let wanted = wanted(&caller, input)?;
    let (doors, account) = (app.clone(), caller.account.clone());
    let placed = std::sync::Arc::new(std::sync::OnceLock::<CallId>::new());
    let told = placed.clone();
    let answer = once
        .write(&app, &caller, async move |tx| {
            let call = place_call(&doors, tx, &wanted).await??;
            let kept = tx.of(&account).call(&call).await?.ok_or_else(CallId::missing)?;
            let _ = told.set(call.clone());
            Ok(Reply::ok(&WholeCall::of(&doors, kept, &[]))?.ringing(Ring::Place(call)))
        })
        .await?;
    match (patience, placed.get()) {
        (Some(patience), Some(call)) => {
            let (call, turns) =
                super::when_over(&app, &caller.account, call, patience).await?.ok_or_else(CallId::missing)?;
            Ok(Reply::ok(&WholeCall::of(&app, call, &turns))?.into_response())
        }
        _ => Ok(answer),
    }
}

fn wanted(caller: &Caller, input: CreateCall) -> Result<CallWanted, ApiError> {
    let text = |text: Option<Text<0, 500>>| text.map(|text| text.0).filter(|text| !text.is_empty());
    let from = match input.from_number_id {
        Some(id) => Some(id.id().cloned().ok_or_else(NumberId::missing)?),
        None => None,
    };
    Ok(CallWanted {
        account: caller.account.clone(),
        agent: input.agent_id.id().cloned().ok_or_else(AgentId::missing)?,
        to: match input.to_number {
            Callee::Number(number) => number,
            Callee::ServiceLine(line) => return Err(CallRefused::ServiceLine(line).into()),
        },
        from,
        hosted: input.system_prompt.is_some_and(|prompt| !prompt.0.is_empty()),
        metadata: input.metadata.map(|metadata| metadata.0),
        options: CallOptions {
            initial_greeting: input.initial_greeting.map(|text| text.0),
            voice: input.voice.map(|voice| voice.0).filter(|voice| !voice.is_empty()),
            variables: input.variables.map(|variables| variables.0).unwrap_or_default(),
            disable_recording: input.disable_recording,
            call_screening_identity: text(input.call_screening_identity),
            call_screening_purpose: text(input.call_screening_purpose),
        },
    })
}

impl From<CallRefused> for ApiError {
    fn from(refused: CallRefused) -> Self {
        match &refused {
            CallRefused::NoSuchAgent => AgentId::missing(),
            CallRefused::NoSuchNumber => NumberId::missing(),
            CallRefused::ServiceLine(_) | CallRefused::DestinationBlocked(_) => Self::forbidden(refused.to_string()),
            CallRefused::InsufficientBalance(_) => Self::insufficient_balance(refused.to_string()),
            CallRefused::SpendLimitReached(reached) => (*reached).into(),
            CallRefused::ToItself => Self::refused_field("toNumber", refused.to_string()),
            CallRefused::AgentHasNoNumber | CallRefused::NoWebhook => {
                Self::refused_field("agentId", refused.to_string())
            }
            CallRefused::HostedUnavailable => Self::refused_field("systemPrompt", refused.to_string()),
            CallRefused::NumberOfAnotherAgent
            | CallRefused::NumberReleased
            | CallRefused::VoiceOff
            | CallRefused::TooManyCalls(_) => Self::refused(refused.to_string()),
        }
    }
}
