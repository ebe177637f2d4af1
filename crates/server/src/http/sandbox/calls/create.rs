//! `POST /sandbox/calls`

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use offhook_domain::{E164, NumberId};
use serde_json::Value;
use utoipa::ToSchema;

use super::HandsetCallView;
use crate::app::App;
use crate::app::sandbox_calls::handsets::{Does, HandsetCall};
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, Named};
use crate::http::fields::{Casing, Fields, FromField, Input, Problem};
use crate::http::values::{List, Number, Text};

/// A script takes no longer, whatever it waits for.
const LONGEST: Duration = Duration::from_secs(600);
/// An agent that has not greeted within so long waits for the caller to speak first.
const GREETING: Duration = Duration::from_secs(2);
/// An agent whose answer has not begun after so long has none: longer than any webhook is waited for.
const ANSWER: Duration = Duration::from_secs(45);

/// A handset that calls a number of the platform.
#[derive(Debug, ToSchema)]
pub struct HandsetCalls {
    /// The handset: any phone number.
    #[schema(value_type = Option<String>, default = "+14155551234")]
    from: E164,
    /// A number that this platform holds.
    #[schema(value_type = String, example = "+14155550100")]
    to: E164,
    /// How many characters the agent says in a second; 0: everything at once.
    #[schema(value_type = Option<Number<0, 1000>>, default = 0)]
    characters_per_second: Number<0, 1000>,
    /// What the handset does, in order: `{"say": "text"}` after the agent has spoken and paused, `{"press": "12#"}`,
    /// `{"pause_ms": 500}`, `{"interrupt": "text"}` at once, `{"hangup": true}`. With a script, the answer comes when it is
    /// done and the call over.
    #[schema(value_type = Option<Vec<Object>>, max_items = 100)]
    script: Option<List<Step, 100>>,
}

/// A step of a script.
#[derive(Debug, Clone)]
pub enum Step {
    Say(String),
    Interrupt(String),
    Press(String),
    Pause(Duration),
    HangUp,
}

impl FromField for Step {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let text = |name: &str| value.get(name).map(Text::<1, 2_000>::from_field).transpose();
        if let Some(words) = text("say")? {
            return Ok(Self::Say(words.0));
        }
        if let Some(words) = text("interrupt")? {
            return Ok(Self::Interrupt(words.0));
        }
        if let Some(keys) = text("press")? {
            return keys_of(&keys.0).map(Self::Press);
        }
        if let Some(pause) = value.get("pause_ms").map(Number::<0, 60_000>::from_field).transpose()? {
            return Ok(Self::Pause(Duration::from_millis(pause.0.unsigned_abs())));
        }
        match value.get("hangup") {
            Some(Value::Bool(true)) => Ok(Self::HangUp),
            _ => Err(Problem::value("must be say, interrupt, press, pause_ms or hangup: true")),
        }
    }
}

/// Keys of a phone.
pub fn keys_of(text: &str) -> Result<String, Problem> {
    let is_key = |c: char| c.is_ascii_digit() || matches!(c, '*' | '#' | 'A'..='D');
    if text.is_empty() || !text.chars().all(is_key) {
        return Err(Problem::value("must be keys of a phone: 0-9, *, # and A-D"));
    }
    Ok(text.to_owned())
}

impl Input for HandsetCalls {
    const CASING: Casing = Casing::Either;

    fn read(fields: &mut Fields) -> Option<Self> {
        let from = fields.optional("from").or_else(|| E164::parse("+14155551234").ok());
        let (to, script) = (fields.required("to"), fields.optional("script"));
        let characters_per_second = fields.or("characters_per_second", Number(0));
        Some(Self { from: from?, to: to?, characters_per_second, script })
    }
}

/// A handset calls a number of the platform. Without a script the answer comes at once, and the handset is used by
/// `…/say`, `…/press`, `…/hangup` and `…/events`.
#[utoipa::path(
    post,
    path = "/sandbox/calls",
    operation_id = "sandboxCall",
    tag = "Sandbox",
    security(()),
    request_body = HandsetCalls,
    responses(
        (status = 200, body = HandsetCallView),
        (status = 404, body = ErrorEnvelope, description = "No account of this platform holds the number"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    Body(input): Body<HandsetCalls>,
) -> Result<Json<HandsetCallView>, ApiError> {
    let to = input.to.clone();
    let holder = app.store.read::<_, ApiError>(async move |tx| Ok(tx.holder_of(&to).await?)).await?;
    holder.ok_or_else(NumberId::missing)?;
    let pace = u32::try_from(input.characters_per_second.0).ok().filter(|pace| *pace > 0);
    let call = app.handset_calls.call(&app, input.from, input.to, pace);
    let call = call.ok_or_else(|| ApiError::refused("this process leads no calls"))?;
    if let Some(script) = input.script {
        // Also where whoever asked has gone away meanwhile.
        let _hangs_up = HangsUp(call.clone());
        drop(tokio::time::timeout(LONGEST, play(&call, script.0)).await);
        call.does(Does::HangsUp);
        call.over().await;
    }
    Ok(Json(HandsetCallView::of(&call)))
}

/// Hangs up when nobody waits for the end of the script any more.
struct HangsUp(Arc<HandsetCall>);

impl Drop for HangsUp {
    fn drop(&mut self) {
        self.0.does(Does::HangsUp);
    }
}

/// Does one step after the other.
async fn play(call: &HandsetCall, script: Vec<Step>) {
    let mut place = answered(call).await;
    let mut patience = GREETING;
    for step in script {
        let does = match step {
            Step::Pause(pause) => {
                tokio::time::sleep(pause).await;
                continue;
            }
            Step::Say(words) => {
                call.next_words(place, patience).await;
                place = call.heard(0).len();
                patience = ANSWER;
                Does::Says(words)
            }
            Step::Interrupt(words) => {
                patience = ANSWER;
                Does::Says(words)
            }
            Step::Press(keys) => Does::Presses(keys),
            Step::HangUp => {
                call.next_words(place, patience).await;
                Does::HangsUp
            }
        };
        if !call.does(does) {
            return;
        }
    }
    // Its last words are answered.
    call.next_words(place, patience).await;
}

/// Waits until the call is taken; how much was heard then.
async fn answered(call: &HandsetCall) -> usize {
    loop {
        let heard = call.heard(0);
        if let Some(place) = heard.iter().position(|one| one.kind == "answered") {
            return place;
        }
        if call.is_over() {
            return heard.len();
        }
        call.next(heard.len()).await;
    }
}
