//! `POST /v1/webhooks/test`

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use offhook_domain::event::{Envelope, MessageData, NO_HISTORY};
use offhook_domain::message::Direction;
use offhook_domain::usage::UsageDelta;
use offhook_domain::webhook::{EventType, Webhook};
use offhook_domain::{AgentId, CallId, DeliveryId, Id, MessageId, Timestamp, WebhookId};
use offhook_store::deliveries::{NewEvent, OneAttempt};
use offhook_store::{StoreError, Tx};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::app::post_event::{Attempt, Endpoint, Posted};
use crate::app::{App, announce};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, Named, Query};
use crate::http::fields::{Casing, Fields, FromField, Input, Problem};
use crate::http::once::{Once, Reply, replayed};
use crate::http::values::{Ref, Text};

/// What is left of the request's time for the answer.
const ANSWERING: Duration = Duration::from_secs(3);

/// What the test event says. All of it may be left out.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct TestEvent {
    from: Option<Text<1, 255>>,
    to: Option<Text<1, 255>>,
    message: Option<Text<0, 10_000>>,
    channel: Option<TestChannel>,
}

impl Input for TestEvent {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            from: fields.optional("from"),
            to: fields.optional("to"),
            message: fields.optional("message"),
            channel: fields.optional("channel"),
        })
    }
}

/// A channel that `agent.message` is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestChannel(&'static str);

impl TestChannel {
    const ALL: [&'static str; 6] = ["sms", "mms", "imessage", "whatsapp", "rcs", "voice"];
}

impl FromField for TestChannel {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().ok_or_else(|| Problem::wrong_type("a string"))?;
        let found = Self::ALL.into_iter().find(|channel| *channel == text);
        found.map(Self).ok_or_else(|| Problem::value(format!("must be one of {}", Self::ALL.join(", "))))
    }
}

impl PartialSchema for TestChannel {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).enum_values(Some(Self::ALL)).into()
    }
}

impl ToSchema for TestChannel {}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct TestQuery {
    /// The endpoint that hears of this agent's events, instead of the account's own.
    #[param(value_type = Option<String>, nullable = false)]
    agent_id: Option<Ref<AgentId>>,
}

impl Input for TestQuery {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { agent_id: fields.optional("agent_id") })
    }
}

/// What the endpoint made of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestResult {
    success: bool,
    http_status: Option<u16>,
    status_code: Option<u16>,
    response_ms: i64,
    error_message: Option<String>,
    error: Option<String>,
}

/// Which endpoint to try.
#[derive(Debug, Clone)]
pub enum Tried {
    Account,
    /// Whatever hears of the agent's events.
    EventsOf(AgentId),
    /// The agent's own.
    OwnOf(AgentId),
}

/// Sends a signed `agent.message` with `test: true` at once and tells what came back. It is logged, not repeated.
#[utoipa::path(
    post,
    path = "/v1/webhooks/test",
    operation_id = "testWebhook",
    tag = "Webhooks",
    params(TestQuery),
    request_body = Option<TestEvent>,
    responses(
        (status = 200, body = TestResult),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such agent, or there is no webhook"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    Query(query): Query<TestQuery>,
    Body(input): Body<TestEvent>,
) -> Result<Response, ApiError> {
    let tried = match query.agent_id {
        Some(agent) => Tried::EventsOf(agent.id().cloned().ok_or_else(AgentId::missing)?),
        None => Tried::Account,
    };
    try_out(app, caller, once, tried, input).await
}

/// Sends a test event to an endpoint and logs it.
///
/// # Errors
/// 404 for an agent that is not the caller's, or where there is no webhook.
pub async fn try_out(
    app: App,
    caller: Caller,
    once: Once,
    tried: Tried,
    input: TestEvent,
) -> Result<Response, ApiError> {
    let (found, account, now, wanted) = (once.clone(), caller.account.clone(), app.now(), tried.clone());
    let begun = app
        .store
        .read::<_, ApiError>(async move |tx: &mut Tx| {
            // The key is claimed with the answer: a test that a crash cuts off must not hold it.
            if let Some(done) = found.look(tx, &account, now).await? {
                return Ok(Err(done));
            }
            let mut scope = tx.of(&account);
            let webhook = match &wanted {
                Tried::Account => scope.webhook(None).await?,
                Tried::OwnOf(agent) => super::webhook_of(&mut scope, Some(agent)).await?,
                Tried::EventsOf(agent) => {
                    super::check_owner(&mut scope, Some(agent)).await?;
                    scope.webhook_for(Some(agent)).await?
                }
            };
            Ok(Ok(webhook.ok_or_else(WebhookId::missing)?))
        })
        .await?;
    match begun {
        Ok(webhook) => send(app, caller, once, webhook, tried, input).await,
        Err(done) => {
            once.settle();
            Ok(replayed(done))
        }
    }
}

async fn send(
    app: App,
    caller: Caller,
    once: Once,
    webhook: Webhook,
    tried: Tried,
    input: TestEvent,
) -> Result<Response, ApiError> {
    let now = app.now();
    let (delivery, message) = (DeliveryId::generate(now), MessageId::generate(now));
    let channel = input.channel.map_or("sms", |channel| channel.0);
    let agent = match &tried {
        Tried::Account => None,
        Tried::EventsOf(agent) | Tried::OwnOf(agent) => Some(agent),
    };
    let body = write_body(&input, channel, agent, &message, now)?;
    let endpoint = Endpoint::open(&app, webhook).map_err(|error| ApiError::internal(&error))?;
    let timeout = endpoint.timeout().min(app.config.server.request_timeout.saturating_sub(ANSWERING));
    let attempt = Attempt {
        delivery: &delivery,
        event: EventType::Message,
        body: Bytes::from(body.clone()),
        timeout,
        more_follows: false,
    };
    let posted = endpoint.post(&app, attempt).await;

    let reply = Reply::ok(&TestResult::of(&posted))?;
    let (account, answer, sent_at) = (caller.account.clone(), reply.clone(), now);
    let (kept, attempt, webhook) = (once.clone(), one_attempt(&posted, app.now()), endpoint.webhook);
    let logged = app
        .store
        .write::<_, ApiError>(async move |tx: &mut Tx| {
            let mut scope = tx.of(&account);
            let (event_type, lane, message_id) = (EventType::Message, delivery.as_str(), Some(&message));
            let event = NewEvent { event_type, channel, lane, message_id, at: sent_at };
            scope.log_delivery(&delivery, &webhook, &event, &body, &attempt).await?;
            let agent_key = webhook.agent_id.as_ref().map_or("", AgentId::as_str);
            scope.count_usage(sent_at, None, agent_key, lane, counted(attempt.delivered));
            if kept.begin(tx, &account, sent_at).await?.is_none() {
                kept.finish(tx, &account, sent_at, &answer).await?;
            }
            Ok(())
        })
        .await;
    if let Err(error) = logged {
        // It was sent, so it is answered with what came of it.
        tracing::warn!(?error, "a test event was sent and could not be logged");
    }
    once.settle();
    Ok(axum::response::IntoResponse::into_response(reply))
}

impl TestResult {
    fn of(posted: &Posted) -> Self {
        Self {
            success: posted.is_delivered(),
            http_status: posted.http_status,
            status_code: posted.http_status,
            response_ms: posted.millis(),
            error_message: posted.error.clone(),
            error: posted.error.clone(),
        }
    }
}

fn one_attempt(posted: &Posted, at: Timestamp) -> OneAttempt {
    OneAttempt {
        delivered: posted.is_delivered(),
        http_status: posted.http_status.map(i64::from),
        error: posted.error.clone(),
        response_body: posted.response_body.clone(),
        response_ms: posted.millis(),
        at,
    }
}

fn counted(delivered: bool) -> UsageDelta {
    UsageDelta {
        webhooks: 1,
        webhooks_succeeded: i64::from(delivered),
        webhooks_failed: i64::from(!delivered),
        ..UsageDelta::default()
    }
}

fn write_body(
    input: &TestEvent,
    channel: &'static str,
    agent_id: Option<&AgentId>,
    message_id: &MessageId,
    at: Timestamp,
) -> Result<String, StoreError> {
    let text = |given: &Option<Text<1, 255>>, default: &str| given.as_ref().map_or(default, |t| &t.0).to_owned();
    let (from, to) = (text(&input.from, "+14155550100"), text(&input.to, "+14155550199"));
    let message = input.message.as_ref().map_or("This is a test event from Offhook.", |text| &text.0);
    let data = MessageData {
        message_id,
        external_message_id: None,
        conversation_id: None,
        number_id: None,
        from: &from,
        to: &to,
        contact: None,
        message,
        media_url: None,
        media_urls: &[],
        direction: Direction::Inbound,
        received_at: at,
        external_id: None,
        opt_out: None,
    };
    let envelope = |data: Value| Envelope {
        event: EventType::Message,
        channel,
        timestamp: at,
        agent_id,
        data,
        conversation_state: None,
        recent_history: NO_HISTORY,
        test: Some(true),
    };
    let mut data = serde_json::to_value(data).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    if channel == "voice" {
        data = voice_data(&data, message, at);
    }
    announce::write_down(&envelope(data))
}

/// The same as a caller's words.
fn voice_data(text: &Value, transcript: &str, at: Timestamp) -> Value {
    json!({
        "callId": CallId::generate(at),
        "numberId": null,
        "from": text["from"],
        "to": text["to"],
        "contact": null,
        "status": "in-progress",
        "transcript": transcript,
        "confidence": 1.0,
        "direction": "inbound",
        "messageId": text["messageId"],
        "message": transcript,
        "receivedAt": text["receivedAt"],
        "mediaUrls": [],
    })
}
