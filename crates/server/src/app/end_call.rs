//! A call is over: its row, its price, its counts and its event, in one transaction. Whoever ends it does so here: the node
//! that led it, or another one that finds nobody leading it any more.

use std::time::Duration;

use offhook_domain::agent::VoiceMode;
use offhook_domain::call::{self, CallStatus, EndReason, MOST_TURNS, SpokenTurn};
use offhook_domain::event::{CallEndedData, ContactData, Envelope, NO_HISTORY, SaidData};
use offhook_domain::guards::day_of;
use offhook_domain::ledger::{EntryKind, Posting};
use offhook_domain::usage::UsageDelta;
use offhook_domain::webhook::EventType;
use offhook_domain::{AgentId, Id, Micros, Timestamp, WebhookId};
use offhook_store::call_flow::{CallEnd, OpenCall};
use offhook_store::deliveries::{Emission, NewEvent};
use offhook_store::message_flow::KnownContact;
use offhook_store::{StoreError, Tx};

use super::App;
use super::announce::{Listeners, write_down};
use crate::telemetry::names;

/// How a call ended.
#[derive(Debug, Clone)]
pub struct Ending {
    pub reason: EndReason,
    pub at: Timestamp,
    /// The object that its recording is in.
    pub recording: Option<String>,
}

/// Ends a call. What came of it: the webhook that is to hear of it, where there is one. A call that is over already is not
/// touched.
///
/// # Errors
/// [`StoreError`]; the transaction must then be given up.
pub async fn end_call(
    app: &App,
    tx: &mut Tx,
    open: &OpenCall,
    ending: &Ending,
) -> Result<Option<WebhookId>, StoreError> {
    let was_answered = open.answered_at.is_some();
    let talked = open.answered_at.map_or(Duration::ZERO, |answered| ending.at.since(answered));
    let status = ending.reason.status(was_answered);
    let price = if was_answered { price(app, open, talked) } else { Micros::ZERO };
    let end = CallEnd { reason: ending.reason, status, at: ending.at, price, recording: ending.recording.as_deref() };
    if !tx.end_call(&open.id, end).await? {
        return Ok(None);
    }
    let (direction, reason) = (open.direction.as_str(), ending.reason.as_str());
    metrics::counter!(names::CALLS_ENDED, "direction" => direction, "reason" => reason).increment(1);
    charge(tx, open, price, ending.at).await?;
    let seconds = if was_answered { call::whole_seconds(talked) } else { 0 };
    let delta =
        UsageDelta { calls: 1, call_seconds: i64::try_from(seconds).unwrap_or(i64::MAX), ..UsageDelta::default() };
    let agent_key = open.agent_id.as_ref().map_or("", AgentId::as_str);
    tx.of(&open.account_id).count_usage(ending.at, open.number_id.as_ref(), agent_key, open.id.as_str(), delta);
    announce(app, tx, open, ending, status, seconds).await
}

fn price(app: &App, open: &OpenCall, talked: Duration) -> Micros {
    let prices = app.prices();
    let hosted = open.voice_mode == VoiceMode::Hosted.as_str();
    let minute = if hosted { prices.hosted_voice_minute } else { prices.voice_minute };
    call::price(minute, prices.call_least, talked)
}

/// The call took place: it is paid for whatever the balance is, which may so go below zero by what a call's last seconds
/// cost. It counts as the day's spending, of the account and of its payer.
async fn charge(tx: &mut Tx, open: &OpenCall, price: Micros, at: Timestamp) -> Result<(), StoreError> {
    if price.is_zero() {
        return Ok(());
    }
    let account = &open.account_id;
    let payers = tx.payers_of([account]).await?;
    let payer = payers.of(account).clone();
    tx.note_spending(account, day_of(at), price).await?;
    if payer != *account {
        tx.note_spending(&payer, day_of(at), price).await?;
    }
    let reference = open.id.as_str().to_owned();
    tx.of(account).post(&Posting { kind: EntryKind::Call, amount: price, reference, at }).await
}

async fn announce(
    app: &App,
    tx: &mut Tx,
    open: &OpenCall,
    ending: &Ending,
    status: CallStatus,
    seconds: u64,
) -> Result<Option<WebhookId>, StoreError> {
    let mut listeners = Listeners::default();
    listeners.find(tx, std::iter::once((&open.account_id, &open.agent_id))).await?;
    let Some(webhook) = listeners.of(&open.account_id, &open.agent_id, EventType::CallEnded) else {
        return Ok(None);
    };
    let turns = tx.of(&open.account_id).call_turns(&open.id, None, MOST_TURNS).await?;
    let contacts = tx.known_contacts(&[(&open.account_id, other_side(open))]).await?;
    let body = body(open, ending, status, seconds, &turns, contacts.first().and_then(Option::as_ref), app.now())?;
    let event = NewEvent {
        event_type: EventType::CallEnded,
        channel: "voice",
        lane: open.id.as_str(),
        message_id: None,
        at: app.now(),
    };
    let delta = UsageDelta { webhooks: 1, ..UsageDelta::default() };
    let agent_key = open.agent_id.as_ref().map_or("", AgentId::as_str);
    tx.of(&open.account_id).count_usage(event.at, open.number_id.as_ref(), agent_key, open.id.as_str(), delta);
    let heard_by = webhook.id.clone();
    tx.insert_deliveries(vec![Emission { webhook, event, body }]).await?;
    Ok(Some(heard_by))
}

/// The party that is not ours.
#[must_use]
pub fn other_side(open: &OpenCall) -> &str {
    if open.from == open.phone_number { &open.to } else { &open.from }
}

/// The address-book entry of the other side, as events tell it.
#[must_use]
pub fn contact_data<'a>(contact: &'a KnownContact, phone_number: &'a str) -> ContactData<'a> {
    ContactData { id: &contact.id, name: contact.name.as_deref(), email: contact.email.as_deref(), phone_number }
}

fn body(
    open: &OpenCall,
    ending: &Ending,
    status: CallStatus,
    duration_seconds: u64,
    turns: &[SpokenTurn],
    contact: Option<&KnownContact>,
    timestamp: Timestamp,
) -> Result<String, StoreError> {
    let data = CallEndedData {
        call_id: &open.id,
        number_id: open.number_id.as_ref(),
        from: &open.from,
        to: &open.to,
        contact: contact.map(|contact| contact_data(contact, other_side(open))),
        direction: open.direction,
        status,
        started_at: open.started_at,
        ended_at: ending.at,
        duration_seconds,
        disconnection_reason: ending.reason.as_str(),
        transcript: turns.iter().map(SaidData::of).collect(),
        summary: None,
        user_sentiment: None,
        call_successful: status.was_successful(Some(ending.reason.as_str())),
    };
    write_down(&Envelope {
        event: EventType::CallEnded,
        channel: "voice",
        timestamp,
        agent_id: open.agent_id.as_ref(),
        data,
        conversation_state: None,
        recent_history: NO_HISTORY,
        test: None,
    })
}
