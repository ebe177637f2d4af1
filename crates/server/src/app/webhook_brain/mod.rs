//! The customer's webhook answers a caller (contract, part 2: "Voice turns"): one signed `agent.message` for what was said,
//! and what streams back is spoken as it comes.
//!
//! In: a question. Out: answers, and a line in the log of deliveries. One attempt: a late answer is worthless. No
//! transaction is open while somebody is waited for.

pub mod markup;
pub mod parse;
mod turn_event;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use offhook_domain::usage::UsageDelta;
use offhook_domain::webhook::{EventType, Webhook, WebhookStatus};
use offhook_domain::{AgentId, DeliveryId, Id};
use offhook_store::call_flow::OpenCall;
use offhook_store::deliveries::{NewEvent, OneAttempt};
use offhook_store::{StoreError, Tx};
use offhook_voice::brain::{Answering, Answers, Brain, Question};
use offhook_voice::turn::taking::Answer;
use tracing::Instrument;

use self::parse::Parser;
use self::turn_event::Surroundings;
use super::App;
use super::post_event::{Attempt, Endpoint, KEPT_BYTES, readable};
use super::turn_ids::TurnIds;
use crate::guarded_http::FetchFailed;

/// Nobody says more in one turn.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// Answers one call through a webhook.
pub struct WebhookBrain {
    app: App,
    call: OpenCall,
    ids: Arc<TurnIds>,
}

impl WebhookBrain {
    #[must_use]
    pub fn new(app: App, call: OpenCall, ids: Arc<TurnIds>) -> Self {
        Self { app, call, ids }
    }
}

impl Brain for WebhookBrain {
    fn ask(&mut self, question: Question) -> Answers {
        let (answering, answers) = Answers::begin();
        let (app, call, ids) = (self.app.clone(), self.call.clone(), self.ids.clone());
        let answering = async move { answer(&app, &call, &ids, &question, answering).await };
        self.app.turns.spawn(answering.in_current_span());
        answers
    }
}

/// What became of a turn, as the log tells it.
struct Outcome {
    http_status: Option<u16>,
    error: Option<String>,
    /// The beginning of what was answered.
    prefix: Vec<u8>,
    /// Until the answer began.
    first: Duration,
}

async fn answer(app: &App, call: &OpenCall, ids: &TurnIds, question: &Question, answering: Answering) {
    let surroundings = match turn_event::surroundings(app, call).await {
        Ok(Some(found)) if found.webhook.status == WebhookStatus::Active => found,
        Ok(_) => {
            tracing::warn!(call.id = %call.id, "a call's webhook is gone: nobody answers the caller");
            return give(&answering, Answer::Failed).await;
        }
        Err(error) => {
            tracing::error!(call.id = %call.id, %error, "a turn could not be prepared");
            return give(&answering, Answer::Failed).await;
        }
    };
    let delivery = DeliveryId::generate(app.now());
    let Ok(body) = turn_event::body(call, ids, question, &surroundings, app.now()) else {
        return give(&answering, Answer::Failed).await;
    };
    let Surroundings { webhook, .. } = surroundings;
    let endpoint = match Endpoint::open(app, webhook) {
        Ok(endpoint) => endpoint,
        Err(error) => {
            tracing::error!(call.id = %call.id, %error, "a webhook's secret can't be opened");
            return give(&answering, Answer::Failed).await;
        }
    };
    let began = Instant::now();
    let mut outcome = Outcome { http_status: None, error: None, prefix: Vec::new(), first: Duration::ZERO };
    let wanted = answering.wanted.clone();
    let exchange = exchange(app, &endpoint, &delivery, body.clone(), &answering, &mut outcome, began);
    if wanted.run_until_cancelled(exchange).await.is_none() && outcome.http_status.is_none() {
        outcome.error = Some("the caller spoke on before the endpoint answered".to_owned());
        outcome.first = began.elapsed();
    }
    if outcome.error.is_some() {
        give(&answering, Answer::Failed).await;
    }
    // The turn waits for nothing of this.
    drop(answering);
    log(app, call, &endpoint.webhook, &delivery, &body, outcome).await;
}

/// Posts, and hands on what comes. Why it failed is written into the outcome.
async fn exchange(
    app: &App,
    endpoint: &Endpoint,
    delivery: &DeliveryId,
    body: String,
    answering: &Answering,
    outcome: &mut Outcome,
    began: Instant,
) {
    let attempt = Attempt {
        delivery,
        event: EventType::Message,
        body: Bytes::from(body),
        timeout: endpoint.timeout(),
        more_follows: true,
    };
    let opened = endpoint.post_streaming(app, attempt).await;
    outcome.first = began.elapsed();
    let mut stream = match opened {
        Ok(stream) => stream,
        Err(failed) => {
            outcome.error = Some(failed.to_string());
            return;
        }
    };
    outcome.http_status = Some(stream.status.as_u16());
    if !stream.status.is_success() {
        outcome.error = Some(format!("the endpoint answered {}", stream.status));
    }
    let mut parser = Parser::default();
    let mut length = 0;
    loop {
        let chunk = match stream.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(failed) => {
                outcome.error.get_or_insert_with(|| broke_off(&failed));
                return;
            }
        };
        length += chunk.len();
        let room = KEPT_BYTES.saturating_sub(outcome.prefix.len());
        outcome.prefix.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if outcome.error.is_some() && room == 0 {
            return;
        }
        if length > LONGEST_ANSWER {
            outcome.error.get_or_insert_with(|| "the answer is longer than 1 MB".to_owned());
            return;
        }
        if outcome.error.is_none() {
            for answer in parser.push(&chunk) {
                let is_last = matches!(answer, Answer::Ended(_));
                give(answering, answer).await;
                if is_last {
                    return;
                }
            }
        }
    }
    if outcome.error.is_none() {
        for answer in parser.finish() {
            give(answering, answer).await;
        }
    }
}

fn broke_off(failed: &FetchFailed) -> String {
    format!("the answer broke off: {failed}")
}

/// Who no longer listens has gone on.
async fn give(answering: &Answering, answer: Answer) {
    let _ = answering.to.send(answer).await;
}

async fn log(app: &App, call: &OpenCall, webhook: &Webhook, delivery: &DeliveryId, body: &str, outcome: Outcome) {
    let at = app.now();
    let attempt = OneAttempt {
        delivered: outcome.error.is_none(),
        http_status: outcome.http_status.map(i64::from),
        error: outcome.error,
        response_body: outcome.http_status.map(|_| readable(&outcome.prefix)),
        response_ms: i64::try_from(outcome.first.as_millis()).unwrap_or(i64::MAX),
        at,
    };
    let (delivery, webhook, body) = (delivery.clone(), webhook.clone(), body.to_owned());
    let call = call.clone();
    let keep = async move |tx: &mut Tx| {
        let mut scope = tx.of(&call.account_id);
        let event =
            NewEvent { event_type: EventType::Message, channel: "voice", lane: call.id.as_str(), message_id: None, at };
        scope.log_delivery(&delivery, &webhook, &event, &body, &attempt).await?;
        let delta = UsageDelta {
            webhooks: 1,
            webhooks_succeeded: i64::from(attempt.delivered),
            webhooks_failed: i64::from(!attempt.delivered),
            ..UsageDelta::default()
        };
        let agent_key = webhook.agent_id.as_ref().map_or("", AgentId::as_str);
        scope.count_usage(at, call.number_id.as_ref(), agent_key, call.id.as_str(), delta);
        Ok(())
    };
    if let Err(error) = app.store.write::<_, StoreError>(keep).await {
        tracing::warn!(%error, "a turn of a call could not be logged");
    }
}
