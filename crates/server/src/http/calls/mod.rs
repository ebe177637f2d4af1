//! `/v1/calls`: phone calls.

pub mod create;
pub mod end;
pub mod get;
pub mod list;
pub mod record;
pub mod recording;
pub mod stream;
pub mod trace;
pub mod transcript;

use offhook_domain::call::{Call, CallDirection, CallStatus, Exchange, MOST_TURNS, SpokenTurn, exchanges};
use offhook_domain::{AccountId, AgentId, CallId, Id, NumberId, Timestamp, TurnId};
use offhook_store::{StoreError, Tx};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::app::App;
use crate::app::signed_urls::Purpose;

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
    /// `inbound`, `outbound` or `web`.
    #[schema(value_type = String)]
    direction: CallDirection,
    /// `queued`, `ringing`, `in-progress`, `completed` or `failed`.
    #[schema(value_type = String)]
    status: CallStatus,
    /// Why it ended, such as `user_hangup`, `agent_hangup`, `busy`, `no-answer`, `canceled` or `voicemail`.
    end_reason: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// How long both could hear each other, in seconds that have begun: what is charged.
    duration_seconds: Option<u64>,
    last_transcript_snippet: Option<String>,
    /// A link that whoever has it may open, for a while.
    recording_url: Option<String>,
    recording_available: bool,
    /// Your own, as it was given.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Box<RawValue>>,
    summary: Option<String>,
    user_sentiment: Option<String>,
    call_successful: Option<bool>,
}

impl CallView {
    pub fn of(app: &App, call: Call) -> Self {
        let successful = call.status.is_over().then(|| call.status.was_successful(call.end_reason.as_deref()));
        Self {
            duration_seconds: call.duration_seconds(),
            recording_url: call.has_recording.then(|| recording_url(app, &call.id)),
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
            recording_available: call.has_recording,
            metadata: call.metadata.and_then(|text| RawValue::from_string(text).ok()),
            summary: None,
            user_sentiment: None,
            call_successful: successful,
        }
    }
}

fn recording_path(call: &CallId) -> String {
    format!("/v1/calls/{call}/recording")
}

/// A link that holds for what is configured.
fn recording_url(app: &App, call: &CallId) -> String {
    let until = app.now().plus(app.config.voice.recordings.link);
    app.signed_urls.sign(Purpose::Recording, &recording_path(call), until)
}

/// A call with all that was said so far.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WholeCall {
    #[serde(flatten)]
    call: CallView,
    /// `[]` until there are any.
    transcripts: Vec<ExchangeView>,
}

impl WholeCall {
    pub fn of(app: &App, call: Call, turns: &[SpokenTurn]) -> Self {
        let transcripts = exchanges(turns).into_iter().map(ExchangeView::of).collect();
        Self { call: CallView::of(app, call), transcripts }
    }
}

/// What the user said, and the agent's answer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CallTranscript)]
pub struct ExchangeView {
    #[schema(value_type = String)]
    id: TurnId,
    /// Empty where the agent spoke first.
    transcript: String,
    response: Option<String>,
    /// 0 to 1.
    confidence: Option<f64>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl ExchangeView {
    fn of(exchange: Exchange) -> Self {
        let Exchange { id, transcript, response, confidence, created_at } = exchange;
        Self { id, transcript, response, confidence, created_at }
    }
}

/// A call with its turns; `None` where there is none for this account.
pub(super) async fn whole(
    app: &App,
    account: &AccountId,
    call: &CallId,
) -> Result<Option<(Call, Vec<SpokenTurn>)>, StoreError> {
    so_far(app, account, call, None).await
}

/// A call with its turns behind one of them.
pub(super) async fn so_far(
    app: &App,
    account: &AccountId,
    call: &CallId,
    after: Option<&TurnId>,
) -> Result<Option<(Call, Vec<SpokenTurn>)>, StoreError> {
    let (account, call, after) = (account.clone(), call.clone(), after.cloned());
    let find = async move |tx: &mut Tx| {
        let mut scope = tx.of(&account);
        // The call first: what is said before it ends is there when it has ended.
        let Some(found) = scope.call(&call).await? else { return Ok(None) };
        let turns = scope.call_turns(&call, after.as_ref().map(Id::as_str), MOST_TURNS).await?;
        Ok(Some((found, turns)))
    };
    app.store.read(find).await
}

/// Waits until a call is over, at most so long; the call as it is then.
pub(super) async fn when_over(
    app: &App,
    account: &AccountId,
    call: &CallId,
    patience: std::time::Duration,
) -> Result<Option<(Call, Vec<SpokenTurn>)>, StoreError> {
    let until = tokio::time::Instant::now() + patience;
    loop {
        let found = whole(app, account, call).await?;
        let is_over = found.as_ref().is_none_or(|(call, _)| call.status.is_over());
        if is_over || tokio::time::Instant::now() >= until {
            return Ok(found);
        }
        news(app, until).await;
    }
}

/// Waits for news of a call: told on this node at once, seen on others after a moment.
pub(super) async fn news(app: &App, until: tokio::time::Instant) {
    const LOOK: std::time::Duration = std::time::Duration::from_millis(250);
    let look = (tokio::time::Instant::now() + LOOK).min(until);
    drop(tokio::time::timeout_at(look, app.wakes.told_calls.notified()).await);
}
