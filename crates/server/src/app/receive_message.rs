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
        receive(self, inbound).await.map(drop).map_err(|error| NotKept(error.to_string()))
    }
}

/// What became of one thing that a carrier brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brought {
    /// It is kept: a text that is new, or a receipt.
    Kept,
    /// A text that was brought before, or for a number that nobody holds.
    Dropped,
    /// It can't be kept now; bring it again.
    Later,
}

/// Keeps what carriers brought. Tells how many new texts and receipts that was.
///
/// # Errors
/// [`StoreError`]: nothing is kept, or not all; the carrier must bring it again.
pub async fn receive(app: &App, inbound: Vec<Inbound>) -> Result<usize, StoreError> {
    let brought = receive_each(app, inbound).await?;
    if brought.contains(&Brought::Later) {
        return Err(StoreError::Unavailable("it can't be kept now".to_owned()));
    }
    Ok(brought.into_iter().filter(|brought| *brought == Brought::Kept).count())
}

/// Keeps what carriers brought in one transaction, and tells what became of each: one that can't be kept keeps no other
/// from being received.
///
/// # Errors
/// [`StoreError`]: nothing is kept.
pub async fn receive_each(app: &App, inbound: Vec<Inbound>) -> Result<Vec<Brought>, StoreError> {
    let inbound: Vec<_> = inbound.into_iter().map(|one| fit(one, app.now())).collect();
    match receive_together(app, inbound.clone()).await {
        Err(error) if error.is_of_the_values() => {}
        outcome => return outcome,
    }
    let mut brought = Vec::with_capacity(inbound.len());
    for one in inbound {
        match receive_together(app, vec![one]).await {
            Err(error) if error.is_of_the_values() => {
                tracing::error!(%error, "something that a carrier brought can't be kept");
                brought.push(Brought::Later);
            }
            outcome => brought.extend(outcome?),
        }
    }
    Ok(brought)
}

async fn receive_together(app: &App, inbound: Vec<Inbound>) -> Result<Vec<Brought>, StoreError> {
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
    let (after, received, brought) = app
        .store
        .write::<_, StoreError>(async move |tx| {
            let after = record_outcome::apply_receipts(&doors, tx, &receipts).await?;
            let mut received = Vec::with_capacity(messages.len());
            let mut brought = vec![Brought::Kept; count];
            for (place, message) in &messages {
                match keep_message(&doors, tx, message).await? {
                    Ok(message) => received.push(message),
                    Err(not_kept) => brought[*place] = not_kept,
                }
            }
            Ok((after, received, brought))
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
    Ok(brought)
}

/// A text that was kept, and the webhook that is to hear of it.
struct Kept {
    channel: Channel,
    webhook: Option<WebhookId>,
}

/// Keeps one text, or tells why not. One that was brought before changes nothing; one for a number that is sold to us and
/// not stored yet comes later.
async fn keep_message(app: &App, tx: &mut Tx, inbound: &InboundMessage) -> Result<Result<Kept, Brought>, StoreError> {
    if tx.was_received(inbound.carrier, &inbound.carrier_message_id).await? {
        return Ok(Err(Brought::Dropped));
    }
    let Some(number) = tx.holder_of(&inbound.to).await? else {
        if tx.is_being_bought(&inbound.to).await? {
            return Ok(Err(Brought::Later));
        }
        tracing::warn!(carrier = inbound.carrier, "a text for a number that nobody holds was dropped");
        return Ok(Err(Brought::Dropped));
    };
    let message = write_message(app, tx, inbound, &number).await?;
    let webhook = announce::message_received(app, tx, &message).await?;
    Ok(Ok(Kept { channel: message.message.channel, webhook }))
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
