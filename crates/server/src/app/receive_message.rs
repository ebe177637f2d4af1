//! Walk 2, up to the commit: a text or a receipt from a carrier is kept with everything it causes in one
//! transaction. Only then may the carrier be told that we have it.

use async_trait::async_trait;
use offhook_carriers::{Inbound, InboundMessage, InboundSink, NotKept, Receipt};
use offhook_domain::ledger::{EntryKind, Posting};
use offhook_domain::message::{Channel, Direction, Message, MessageStatus};
use offhook_domain::number::Number;
use offhook_domain::usage::UsageDelta;
use offhook_domain::{AgentId, ConversationId, Id, MessageId, WebhookId, segments};
use offhook_store::message_flow::Touch;
use offhook_store::{StoreError, Tx};

use super::announce::{self, Received};
use super::fit_inbound::fit;
use super::{App, Ring, record_outcome};
use crate::telemetry::names;

#[async_trait]
impl InboundSink for App {
    async fn receive(&self, inbound: Vec<Inbound>) -> Result<(), NotKept> {
        receive(self, inbound).await.map_err(|error| NotKept(error.to_string()))
    }
}

/// Keeps what carriers brought.
///
/// # Errors
/// [`StoreError`]: nothing is kept, or not all; the carrier must bring it again.
pub async fn receive(app: &App, inbound: Vec<Inbound>) -> Result<(), StoreError> {
    if receive_each(app, inbound).await?.contains(&false) {
        return Err(StoreError::Unavailable("it can't be kept now".to_owned()));
    }
    Ok(())
}

/// Keeps what carriers brought in one transaction, and tells of each whether it is kept or must be brought again: one
/// that can't be kept keeps no other from being received.
///
/// # Errors
/// [`StoreError`]: nothing is kept.
pub async fn receive_each(app: &App, inbound: Vec<Inbound>) -> Result<Vec<bool>, StoreError> {
    let inbound: Vec<_> = inbound.into_iter().map(|one| fit(one, app.now())).collect();
    match receive_together(app, inbound.clone()).await {
        Err(error) if error.is_of_the_values() => {}
        outcome => return outcome,
    }
    let mut kept = Vec::with_capacity(inbound.len());
    for one in inbound {
        match receive_together(app, vec![one]).await {
            Err(error) if error.is_of_the_values() => {
                tracing::error!(%error, "something that a carrier brought can't be kept");
                kept.push(false);
            }
            outcome => kept.extend(outcome?),
        }
    }
    Ok(kept)
}

async fn receive_together(app: &App, inbound: Vec<Inbound>) -> Result<Vec<bool>, StoreError> {
    let doors = app.clone();
    let count = inbound.len();
    let mut messages = Vec::new();
    let mut receipts = Vec::new();
    for (place, one) in inbound.into_iter().enumerate() {
        match one {
            Inbound::Message(message) => messages.push((place, message)),
            Inbound::Receipt(receipt) => receipts.push(receipt),
        }
    }
    // In one order for every transaction, so that two of them can't wait for each other (PostgreSQL).
    messages.sort_by(|(_, a), (_, b)| (&a.to, &a.from).cmp(&(&b.to, &b.from)));
    receipts.sort_by(|a: &Receipt, b: &Receipt| a.carrier_message_id.cmp(&b.carrier_message_id));
    let (after, received, kept) = app
        .store
        .write::<_, StoreError>(async move |tx| {
            let after = record_outcome::apply_receipts(&doors, tx, &receipts).await?;
            let mut received = Vec::with_capacity(messages.len());
            let mut kept = vec![true; count];
            for (place, message) in &messages {
                match keep_message(&doors, tx, message).await? {
                    Keeping::Kept(message) => received.push(message),
                    Keeping::NothingToKeep => {}
                    Keeping::Later => kept[*place] = false,
                }
            }
            Ok((after, received, kept))
        })
        .await?;
    after.commit(app);
    record_outcome::apply_crossed(app, after.crossing).await;
    for Kept { channel, webhook } in received {
        metrics::counter!(names::MESSAGES, "direction" => "inbound", "channel" => channel.as_str()).increment(1);
        if let Some(webhook) = webhook {
            app.wakes.ring(Ring::Deliver(webhook.to_string()));
        }
    }
    Ok(kept)
}

/// What became of one text.
enum Keeping {
    Kept(Kept),
    /// It was brought before, or nobody holds its number.
    NothingToKeep,
    /// Its number is sold to us and not stored yet.
    Later,
}

/// A text that was kept, and the webhook that is to hear of it.
struct Kept {
    channel: Channel,
    webhook: Option<WebhookId>,
}

/// Keeps one text. One that was brought before changes nothing; one for a number nobody holds is dropped.
async fn keep_message(app: &App, tx: &mut Tx, inbound: &InboundMessage) -> Result<Keeping, StoreError> {
    if tx.was_received(inbound.carrier, &inbound.carrier_message_id).await? {
        return Ok(Keeping::NothingToKeep);
    }
    let Some(number) = tx.holder_of(&inbound.to).await? else {
        if tx.is_being_bought(&inbound.to).await? {
            return Ok(Keeping::Later);
        }
        tracing::warn!(carrier = inbound.carrier, "a text for a number that nobody holds was dropped");
        return Ok(Keeping::NothingToKeep);
    };
    let message = write_message(app, tx, inbound, &number).await?;
    let webhook = announce::message_received(app, tx, &message).await?;
    Ok(Keeping::Kept(Kept { channel: message.message.channel, webhook }))
}

async fn write_message(
    app: &App,
    tx: &mut Tx,
    inbound: &InboundMessage,
    number: &Number,
) -> Result<Received, StoreError> {
    let now = app.now();
    let channel = Channel::for_media(&inbound.media_urls);
    let count = segments::count(&inbound.body).count;
    let price = app.prices().sms_segment.times(count);
    let touch = Touch {
        fresh_id: &ConversationId::generate(now),
        account_id: &number.account_id,
        number_id: &number.id,
        phone_number: number.phone_number.as_str(),
        participant: &inbound.from,
        agent_id: number.agent_id.as_ref(),
        channel,
        body: &inbound.body,
        at: &[now],
    };
    let touched = tx.touch_conversations(&[touch]).await?.pop();
    let touched = touched.ok_or_else(|| StoreError::Corrupt("a conversation was not touched".to_owned()))?;
    let at = touched.at.last().copied().unwrap_or(now);
    let message = Message {
        id: MessageId::generate(now),
        account_id: number.account_id.clone(),
        number_id: number.id.clone(),
        conversation_id: touched.id.clone(),
        direction: Direction::Inbound,
        channel,
        status: MessageStatus::Received,
        from: inbound.from.clone(),
        to: inbound.to.to_string(),
        body: inbound.body.clone(),
        media_urls: inbound.media_urls.clone(),
        segments: count,
        failure: None,
        carrier: inbound.carrier.to_owned(),
        carrier_message_id: Some(inbound.carrier_message_id.clone()),
        at,
        delivered_at: None,
    };
    tx.insert_messages(&[(&message, price)]).await?;
    let mut scope = tx.of(&number.account_id);
    let charge = Posting { kind: EntryKind::MessageIn, amount: price, reference: message.id.to_string(), at: now };
    scope.post(&charge).await?;
    let delta = UsageDelta { messages_in: 1, segments: i64::from(count), ..UsageDelta::default() };
    let agent_key = number.agent_id.as_ref().map_or("", AgentId::as_str);
    scope.count_usage(now, Some(&number.id), agent_key, touched.id.as_str(), delta);
    Ok(Received {
        message,
        agent_id: number.agent_id.clone(),
        number_external_id: number.external_id.clone(),
        metadata: touched.metadata,
    })
}
