//! The platform as a call sees it: [`CallHost`] over the store. Each thing that a call tells is one transaction, tried until
//! it is kept.
//!
//! In: what happens in the calls of this node. Out: rows, and events to customers. Never here: sound, lines, or when to say
//! what.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use offhook_domain::agent::{Agent, VoiceMode};
use offhook_domain::call::{CallDirection, CallStatus, EndReason, Speaker, SpokenTurn};
use offhook_domain::ledger::Book;
use offhook_domain::number::Number;
use offhook_domain::{CallId, E164, Id, Timestamp};
use offhook_store::call_flow::{NewCall, OpenCall};
use offhook_store::calls::CallMark;
use offhook_store::{StoreError, Tx};
use offhook_voice::host::{Arrival, CallHost, Ended, Job};
use offhook_voice::line::Refusal;
use offhook_voice::timeline::{Mark, Marked};
use offhook_voice::turn::taking::{Role, Turn};
use serde_json::json;

use super::App;
use super::end_call::{Ending, end_call};
use super::lead_call::{CallOptions, plan};
use super::recordings;
use super::turn_ids::TurnIds;
use super::wakes::Ring;
use super::webhook_brain::WebhookBrain;
use crate::config::voice::SipStrangers;
use crate::jobs::persist::until_kept;

/// How long a node is believed to lead its calls without saying so.
pub const LASTING: std::time::Duration = std::time::Duration::from_secs(10);

/// The platform's side of this node's calls.
pub struct HostCalls {
    app: App,
    /// Of the calls that are led here.
    ids: Mutex<HashMap<CallId, Arc<TurnIds>>>,
}

/// A call that is to be taken, or why not.
type Taken = Result<(OpenCall, Agent, bool), Refusal>;

impl HostCalls {
    #[must_use]
    pub fn new(app: App) -> Self {
        Self { app, ids: Mutex::default() }
    }

    /// How a call that was kept is to be led; `None` where it is over, or its agent is gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn job_of(&self, call: &CallId) -> Result<Option<(Job, OpenCall)>, StoreError> {
        let (id, app) = (call.clone(), self.app.clone());
        let find = async move |tx: &mut Tx| {
            let Some(open) = tx.open_call(&id).await? else { return Ok(None) };
            let Some(agent) = &open.agent_id else { return Ok(None) };
            let agent = tx.of(&open.account_id).agent(agent).await?;
            let records = recordings::records(&app, tx, &open.account_id).await?;
            Ok(agent.map(|agent| (open, agent, records)))
        };
        let found = self.app.store.write::<_, StoreError>(find).await?;
        Ok(found.map(|(open, agent, records)| (self.job(&open, &agent, records), open)))
    }

    fn job(&self, open: &OpenCall, agent: &Agent, records: bool) -> Job {
        let options = CallOptions::read(open.options.as_deref());
        let plan = plan(&self.app, &open.id, &agent.profile, &options, records);
        Job { plan, brain: Box::new(WebhookBrain::new(self.app.clone(), open.clone(), self.ids_of(&open.id))) }
    }

    fn ids_of(&self, call: &CallId) -> Arc<TurnIds> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).entry(call.clone()).or_default().clone()
    }
}

#[async_trait]
impl CallHost for HostCalls {
    async fn arrives(&self, arrival: Arrival) -> Result<Job, Refusal> {
        let Some(to) = called(&arrival.to) else { return Err(Refusal::NoSuchNumber) };
        let (app, over) = (self.app.clone(), arrival.over);
        let taken =
            self.app.store.write::<_, StoreError>(async move |tx: &mut Tx| take(&app, tx, &arrival, &to).await).await;
        match taken {
            Ok(Ok((open, agent, records))) => {
                tracing::info!(call.id = %open.id, over, "a call comes in");
                Ok(self.job(&open, &agent, records))
            }
            Ok(Err(why)) => {
                tracing::info!(?why, over, "a call is not taken");
                Err(why)
            }
            Err(error) => {
                tracing::error!(%error, "a call could not be kept, and is not taken");
                Err(Refusal::Broken)
            }
        }
    }

    async fn rings(&self, call: &CallId) {
        until_kept("a call's ringing", || {
            let call = call.clone();
            self.app.store.write::<_, StoreError>(async move |tx: &mut Tx| tx.call_rings(&call).await)
        })
        .await;
    }

    async fn answered(&self, call: &CallId) {
        let at = self.app.now();
        until_kept("a call's answer", || {
            let call = call.clone();
            self.app.store.write::<_, StoreError>(async move |tx: &mut Tx| tx.call_is_answered(&call, at).await)
        })
        .await;
    }

    async fn said(&self, call: &CallId, turn: Turn, marks: Vec<Marked>) {
        let marks: Vec<CallMark> = marks.iter().map(kept_mark).collect();
        let (id, at) = self.ids_of(call).next_kept(self.app.now());
        let turn = SpokenTurn {
            id,
            speaker: match turn.role {
                Role::User => Speaker::User,
                Role::Agent => Speaker::Agent,
            },
            content: turn.content.replace('\0', ""),
            confidence: turn.confidence,
            at,
        };
        until_kept("a call's turn", || {
            let (call, turn, marks) = (call.clone(), turn.clone(), marks.clone());
            self.app.store.write::<_, StoreError>(async move |tx: &mut Tx| {
                let Some(open) = tx.open_call(&call).await? else { return Ok(()) };
                let mut scope = tx.of(&open.account_id);
                scope.insert_call_turn(&call, &turn).await?;
                scope.insert_call_marks(&call, &marks).await
            })
        })
        .await;
        self.app.wakes.told_calls.notify_waiters();
    }

    async fn marked(&self, call: &CallId, marks: Vec<Marked>) {
        let marks: Vec<CallMark> = marks.iter().map(kept_mark).collect();
        until_kept("a call's timeline", || {
            let (call, marks) = (call.clone(), marks.clone());
            self.app.store.write::<_, StoreError>(async move |tx: &mut Tx| {
                let Some(open) = tx.open_call(&call).await? else { return Ok(()) };
                tx.of(&open.account_id).insert_call_marks(&call, &marks).await
            })
        })
        .await;
    }

    async fn ended(&self, call: &CallId, ended: Ended) {
        let at = self.app.now();
        let recording = if ended.recorded { recordings::keep(&self.app, call).await } else { None };
        let ending = Ending { reason: ended.reason, at, recording };
        close(&self.app, call, &ending).await;
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).remove(call);
        tracing::info!(call.id = %call, reason = ended.reason.as_str(), "a call is over");
    }
}

/// Ends a call, however long the database takes for it.
pub async fn close(app: &App, call: &CallId, ending: &Ending) {
    let webhook = until_kept("a call's end", || {
        let (app, call, ending) = (app.clone(), call.clone(), ending.clone());
        let store = app.store.clone();
        async move {
            store
                .write::<_, StoreError>(async move |tx: &mut Tx| {
                    let Some(open) = tx.open_call(&call).await? else { return Ok(None) };
                    end_call(&app, tx, &open, &ending).await
                })
                .await
        }
    })
    .await;
    if let Some(webhook) = webhook {
        app.wakes.ring(Ring::Deliver(webhook.to_string()));
    }
    app.wakes.told_calls.notify_waiters();
}

/// The number that was called. Trunks write it with a plus or without.
fn called(to: &str) -> Option<E164> {
    E164::parse(to).or_else(|_| E164::parse(&format!("+{to}"))).ok()
}

async fn take(app: &App, tx: &mut Tx, arrival: &Arrival, to: &E164) -> Result<Taken, StoreError> {
    let Some(number) = tx.holder_of(to).await? else { return Ok(Err(Refusal::NoSuchNumber)) };
    let Some(agent_id) = &number.agent_id else { return Ok(Err(Refusal::NobodyThere)) };
    let Some(agent) = tx.of(&number.account_id).agent(agent_id).await? else {
        return Ok(Err(Refusal::NobodyThere));
    };
    let webhook = tx.of(&number.account_id).webhook_for(Some(&agent.id)).await?;
    if agent.profile.voice_mode == VoiceMode::Hosted || webhook.is_none() {
        return Ok(Err(Refusal::NobodyThere));
    }
    if !may_bring(app, arrival, &number) {
        return Ok(Err(Refusal::NoSuchNumber));
    }
    if let Err(why) = may_be_led(app, tx, &number).await? {
        return Ok(Err(why));
    }
    let at = app.now();
    let id = CallId::generate(at);
    let call = NewCall {
        id: &id,
        agent_id: Some(&agent.id),
        number_id: Some(&number.id),
        phone_number: number.phone_number.as_str(),
        from: &arrival.from.expose().0,
        to: number.phone_number.as_str(),
        direction: CallDirection::Inbound,
        status: CallStatus::Ringing,
        at,
        voice_mode: agent.profile.voice_mode.as_str(),
        carrier: arrival.over,
        metadata: None,
        options: None,
        node: &app.node,
        lasting: LASTING,
    };
    tx.of(&number.account_id).insert_call(&call).await?;
    let records = recordings::records(app, tx, &number.account_id).await?;
    let open = tx.open_call(&id).await?;
    Ok(open.map(|open| (open, agent, records)).ok_or(Refusal::Broken))
}

/// Whether a call may be for a number that came over these trunks. To whoever may not bring it, the number is not there.
fn may_bring(app: &App, arrival: &Arrival, number: &Number) -> bool {
    let welcome = app.config.voice.sip.strangers == SipStrangers::Welcome;
    arrival.over != "sip"
        || arrival.trunks.is_empty() && welcome
        || app.trunks.may_bring(&arrival.trunks, &number.carrier, &number.account_id)
}

/// Whether an account may have one more call now.
async fn may_be_led(app: &App, tx: &mut Tx, number: &Number) -> Result<Result<(), Refusal>, StoreError> {
    let mut scope = tx.of(&number.account_id);
    if scope.calls_alive().await? >= i64::from(app.config.limits.concurrent_calls) {
        return Ok(Err(Refusal::Busy));
    }
    let costs = !app.prices().voice_minute.is_zero();
    if costs && scope.balance(Book::Wallet).await?.0 <= 0 {
        return Ok(Err(Refusal::NotAllowed));
    }
    Ok(Ok(()))
}

/// What of a mark is kept: numbers, never words.
fn kept_mark(marked: &Marked) -> CallMark {
    let detail = match &marked.mark {
        Mark::Signalling(what) | Mark::SpeechFailed(what) | Mark::Transfer(what) | Mark::Over(what) => {
            Some(json!({"what": what}))
        }
        Mark::Quality { lost_percent, jitter_ms, opinion } => {
            Some(json!({"lostPercent": lost_percent, "jitterMs": jitter_ms, "opinion": opinion}))
        }
        Mark::Words { after } => Some(json!({"afterMs": after.as_millis() as u64})),
        Mark::BrainAsked { turn }
        | Mark::BrainFirst { turn }
        | Mark::BrainEnded { turn }
        | Mark::BrainFailed { turn }
        | Mark::TurnHeard { turn }
        | Mark::BargeIn { turn } => Some(json!({"turn": turn})),
        Mark::SpeakerAsked { turn, sentence } | Mark::SpeakerFirst { turn, sentence } => {
            Some(json!({"turn": turn, "sentence": sentence}))
        }
        Mark::Keys(count) => Some(json!({"count": count})),
        _ => None,
    };
    CallMark {
        since: i64::try_from(marked.at.as_micros()).unwrap_or(i64::MAX),
        name: marked.mark.name().to_owned(),
        detail: detail.map(|detail| detail.to_string()),
    }
}

/// A call that nobody leads any more: how it is closed.
#[must_use]
pub fn ending_of_lost(open: &OpenCall, led_until: Timestamp) -> Ending {
    Ending {
        reason: EndReason::ConnectionLost,
        at: led_until.max(open.answered_at.unwrap_or(open.started_at)),
        recording: None,
    }
}
