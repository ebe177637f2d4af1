//! What customers' servers are told of messages and numbers, inside the transaction that changes them.
//!
//! In: domain values. Out: events and the work of delivering them, as rows of that transaction, and the webhooks to
//! ring after the commit. Never here: the network.

use std::collections::{HashMap, HashSet};

use offhook_domain::event::{ContactData, Envelope, HistoryItem, MessageData, NO_HISTORY, ReleasedData, StatusData};
use offhook_domain::message::{Failure, Message};
use offhook_domain::number::{Number, ReleaseReason};
use offhook_domain::usage::UsageDelta;
use offhook_domain::webhook::{EventType, Webhook};
use offhook_domain::{AccountId, AgentId, Id, NumberId, Timestamp, WebhookId};
use offhook_store::deliveries::{Emission, NewEvent};
use offhook_store::message_flow::{KnownContact, Past};
use offhook_store::opt_outs::OptOutAction;
use offhook_store::outcomes::Flight;
use offhook_store::{StoreError, Tx};
use serde::Serialize;
use serde_json::Value;

use super::{App, media};

/// A text that came in, with what its event needs to know.
#[derive(Debug)]
pub struct Received {
    pub message: Message,
    /// The number's agent.
    pub agent_id: Option<AgentId>,
    pub number_external_id: Option<String>,
    /// The conversation's.
    pub metadata: Option<Value>,
    /// What it did, where it is a keyword.
    pub opt_out: Option<OptOutAction>,
    /// Whether an answer of ours waits to go out.
    pub answered: bool,
}

/// A message that moved on.
#[derive(Debug)]
pub struct Moved {
    /// As it is now.
    pub flight: Flight,
    pub failure: Option<Failure>,
}

/// Who hears of things, looked up once for each agent.
#[derive(Default)]
pub struct Listeners {
    known: HashMap<(AccountId, Option<AgentId>), Option<Webhook>>,
}

impl Listeners {
    /// Looks up who hears of these owners' events: the agent's own endpoint where it has one, else the account's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find(
        &mut self,
        tx: &mut Tx,
        owners: impl Iterator<Item = (&AccountId, &Option<AgentId>)>,
    ) -> Result<(), StoreError> {
        let owners: HashSet<_> = owners.map(|(account, agent)| (account.clone(), agent.clone())).collect();
        let unknown: Vec<_> = owners.into_iter().filter(|owner| !self.known.contains_key(owner)).collect();
        let asked: Vec<_> = unknown.iter().map(|(account, agent)| (account, agent.as_ref())).collect();
        let found = tx.webhooks_for(&asked).await?;
        self.known.extend(unknown.into_iter().zip(found));
        Ok(())
    }

    /// The endpoint of an owner that was looked up, where it wants to hear of this.
    #[must_use]
    pub fn of(&self, account: &AccountId, agent: &Option<AgentId>, event: EventType) -> Option<&Webhook> {
        let found = self.known.get(&(account.clone(), agent.clone()))?;
        found.as_ref().filter(|webhook| webhook.wants(event))
    }
}

/// Writes the `agent.message` events of texts that came in; for each the webhook to wake, where there is one.
///
/// # Errors
/// [`StoreError`].
pub async fn messages_received(
    app: &App,
    tx: &mut Tx,
    received: &[Received],
) -> Result<Vec<Option<WebhookId>>, StoreError> {
    let mut listeners = Listeners::default();
    listeners.find(tx, received.iter().map(|one| (&one.message.account_id, &one.agent_id))).await?;
    let heard_by = |one: &Received| listeners.of(&one.message.account_id, &one.agent_id, EventType::Message);
    let told: Vec<(&Received, &Webhook)> =
        received.iter().filter_map(|one| heard_by(one).map(|webhook| (one, webhook))).collect();
    let pasts: Vec<_> = told
        .iter()
        .map(|(Received { message, .. }, webhook)| Past {
            conversation: &message.conversation_id,
            before: message.at,
            most: webhook.context_limit,
        })
        .collect();
    let histories = tx.histories(&pasts).await?;
    let senders: Vec<_> = told.iter().map(|(one, _)| (&one.message.account_id, one.message.from.as_str())).collect();
    let contacts = tx.known_contacts(&senders).await?;
    let mut emissions = Vec::with_capacity(told.len());
    for (((one, webhook), history), contact) in told.iter().zip(&histories).zip(&contacts) {
        let (message, at) = (&one.message, app.now());
        let urls = media::linked(app, &message.media_urls);
        let body = message_body(one, &urls, contact.as_ref(), history, at)?;
        let event = NewEvent {
            event_type: EventType::Message,
            channel: message.channel.as_str(),
            lane: message.conversation_id.as_str(),
            message_id: Some(&message.id),
            at,
        };
        count(tx, webhook, &event, &message.number_id, one.agent_id.as_ref());
        emissions.push(Emission { webhook, event, body });
    }
    tx.insert_deliveries(emissions).await?;
    Ok(received.iter().map(|one| heard_by(one).map(|webhook| webhook.id.clone())).collect())
}

/// Writes the `message.status` events of messages that moved on, in their order; the webhooks to wake.
///
/// # Errors
/// [`StoreError`].
pub async fn messages_moved(
    app: &App,
    tx: &mut Tx,
    listeners: &mut Listeners,
    moved: &[Moved],
) -> Result<Vec<WebhookId>, StoreError> {
    listeners.find(tx, moved.iter().map(|one| (&one.flight.account_id, &one.flight.agent_id))).await?;
    let heard_by = |one: &Moved| listeners.of(&one.flight.account_id, &one.flight.agent_id, EventType::MessageStatus);
    let told: Vec<(&Moved, &Webhook)> =
        moved.iter().filter_map(|one| heard_by(one).map(|webhook| (one, webhook))).collect();
    let pasts: Vec<_> = told
        .iter()
        .map(|(Moved { flight, .. }, webhook)| Past {
            conversation: &flight.conversation_id,
            before: flight.at,
            most: webhook.context_limit,
        })
        .collect();
    let histories = tx.histories(&pasts).await?;
    let conversations: Vec<_> =
        told.iter().map(|(one, _)| (&one.flight.account_id, &one.flight.conversation_id)).collect();
    let states = tx.conversation_states(&conversations).await?;
    let mut emissions = Vec::with_capacity(told.len());
    for (((Moved { flight, failure }, webhook), history), state) in told.iter().zip(&histories).zip(&states) {
        let at = app.now();
        let body = status_body(flight, failure.as_ref(), state.as_ref(), history, at)?;
        let event = NewEvent {
            event_type: EventType::MessageStatus,
            channel: flight.channel.as_str(),
            lane: flight.conversation_id.as_str(),
            message_id: Some(&flight.id),
            at,
        };
        count(tx, webhook, &event, &flight.number_id, flight.agent_id.as_ref());
        emissions.push(Emission { webhook, event, body });
    }
    tx.insert_deliveries(emissions).await?;
    Ok(told.into_iter().map(|(_, webhook)| webhook.id.clone()).collect())
}

/// Writes the `number.released` event of a number as it was until now; its webhook finds it with its next look.
///
/// # Errors
/// [`StoreError`].
pub async fn number_released(
    tx: &mut Tx,
    number: &Number,
    reason: ReleaseReason,
    at: Timestamp,
) -> Result<(), StoreError> {
    let mut listeners = Listeners::default();
    listeners.find(tx, std::iter::once((&number.account_id, &number.agent_id))).await?;
    let Some(webhook) = listeners.of(&number.account_id, &number.agent_id, EventType::NumberReleased) else {
        return Ok(());
    };
    let body = released_body(number, reason, at)?;
    let event = NewEvent {
        event_type: EventType::NumberReleased,
        channel: &number.kind,
        lane: number.id.as_str(),
        message_id: None,
        at,
    };
    count(tx, webhook, &event, &number.id, number.agent_id.as_ref());
    tx.insert_deliveries(vec![Emission { webhook, event, body }]).await?;
    Ok(())
}

/// Counts an event for its number and agent.
fn count(tx: &mut Tx, webhook: &Webhook, event: &NewEvent<'_>, number: &NumberId, agent: Option<&AgentId>) {
    let delta = UsageDelta { webhooks: 1, ..UsageDelta::default() };
    let agent_key = agent.map_or("", AgentId::as_str);
    tx.of(&webhook.account_id).count_usage(event.at, Some(number), agent_key, event.lane, delta);
}

/// The bytes that are kept, signed and sent.
///
/// # Errors
/// [`StoreError::Corrupt`] when `D` can't be JSON.
pub fn write_down<D: Serialize, H: Serialize>(envelope: &Envelope<'_, D, H>) -> Result<String, StoreError> {
    serde_json::to_string(envelope).map_err(|error| StoreError::Corrupt(format!("event: {error}")))
}

fn message_body(
    received: &Received,
    media_urls: &[String],
    contact: Option<&KnownContact>,
    history: &[HistoryItem],
    timestamp: Timestamp,
) -> Result<String, StoreError> {
    let message = &received.message;
    let contact = contact.map(|contact| ContactData {
        id: &contact.id,
        name: contact.name.as_deref(),
        email: contact.email.as_deref(),
        phone_number: &message.from,
    });
    let data = MessageData {
        message_id: &message.id,
        external_message_id: message.carrier_message_id.as_deref(),
        conversation_id: Some(&message.conversation_id),
        number_id: Some(&message.number_id),
        from: &message.from,
        to: &message.to,
        contact,
        message: &message.body,
        media_url: media_urls.first().map(String::as_str),
        media_urls,
        direction: message.direction,
        received_at: message.at,
        external_id: received.number_external_id.as_deref(),
        opt_out: received.opt_out.map(OptOutAction::as_str),
    };
    write_down(&Envelope {
        event: EventType::Message,
        channel: message.channel.as_str(),
        timestamp,
        agent_id: received.agent_id.as_ref(),
        data,
        conversation_state: received.metadata.as_ref(),
        recent_history: history,
        test: None,
    })
}

fn status_body(
    flight: &Flight,
    failure: Option<&Failure>,
    state: Option<&Value>,
    history: &[HistoryItem],
    at: Timestamp,
) -> Result<String, StoreError> {
    let data = StatusData {
        message_id: &flight.id,
        conversation_id: &flight.conversation_id,
        number_id: &flight.number_id,
        from: &flight.phone_number,
        to: &flight.participant,
        status: flight.status,
        failure_reason: failure.map(|failure| failure.reason.as_str()),
        error_code: failure.map(|failure| failure.code.as_str()),
        at,
    };
    write_down(&Envelope {
        event: EventType::MessageStatus,
        channel: flight.channel.as_str(),
        timestamp: at,
        agent_id: flight.agent_id.as_ref(),
        data,
        conversation_state: state,
        recent_history: history,
        test: None,
    })
}

fn released_body(number: &Number, reason: ReleaseReason, at: Timestamp) -> Result<String, StoreError> {
    let data = ReleasedData {
        number_id: &number.id,
        phone_number: number.phone_number.as_str(),
        external_id: number.external_id.as_deref(),
        reason: reason.as_str(),
        at,
    };
    write_down(&Envelope {
        event: EventType::NumberReleased,
        channel: &number.kind,
        timestamp: at,
        agent_id: number.agent_id.as_ref(),
        data,
        conversation_state: None,
        recent_history: NO_HISTORY,
        test: None,
    })
}

#[cfg(test)]
mod tests {
    use offhook_domain::message::{Channel, Direction, MessageStatus};
    use offhook_domain::{AccountId, ContactId, ConversationId, MessageId, Micros};
    use serde_json::json;

    use super::*;

    const AT: Timestamp = Timestamp::from_micros(1_764_000_000_123_456);

    fn an<I: Id>() -> I {
        I::parse(&format!("{}06ck3v0w2e8zg1m8t4q7x5n9ra", I::PREFIX)).unwrap()
    }

    fn received(media_urls: Vec<String>) -> Received {
        let message = Message {
            id: an(),
            account_id: an::<AccountId>(),
            number_id: an(),
            conversation_id: an(),
            direction: Direction::Inbound,
            channel: Channel::for_media(&media_urls),
            status: MessageStatus::Received,
            from: "+14155550123".to_owned(),
            to: "+14155550100".to_owned(),
            body: "Is this the right key?".to_owned(),
            media_urls,
            segments: 1,
            failure: None,
            carrier: "sandbox".to_owned(),
            carrier_message_id: Some("SB1".to_owned()),
            at: AT,
            delivered_at: None,
            estimated_send_at: None,
        };
        Received { message, agent_id: None, number_external_id: None, metadata: None, opt_out: None, answered: false }
    }

    fn pretty(body: &str) -> String {
        serde_json::to_string_pretty(&serde_json::from_str::<Value>(body).unwrap()).unwrap()
    }

    #[test]
    fn a_message_event_tells_who_wrote_what_and_what_came_before() {
        let received = Received {
            agent_id: Some(an()),
            number_external_id: Some("front-desk".to_owned()),
            metadata: Some(json!({"ticket": 7})),
            ..received(vec!["https://example.com/key.jpg".to_owned()])
        };
        let contact = KnownContact { id: an::<ContactId>(), name: Some("Ada".to_owned()), email: None };
        let history = [HistoryItem {
            message_id: an::<MessageId>(),
            content: String::new(),
            direction: Direction::Outbound,
            channel: Channel::Sms,
            at: AT,
        }];
        let body = message_body(&received, &received.message.media_urls, Some(&contact), &history, AT).unwrap();
        insta::assert_snapshot!("agent_message", pretty(&body));
    }

    #[test]
    fn what_is_not_there_is_null_and_lists_are_lists() {
        let body = message_body(&received(Vec::new()), &[], None, &[], AT).unwrap();
        insta::assert_snapshot!("agent_message_bare", pretty(&body));
    }

    #[test]
    fn a_status_event_tells_what_became_of_a_message() {
        let flight = Flight {
            id: an(),
            account_id: an(),
            number_id: an(),
            conversation_id: an::<ConversationId>(),
            channel: Channel::Sms,
            status: MessageStatus::Undelivered,
            segments: 1,
            price: Micros(0),
            carrier: "sandbox".to_owned(),
            at: AT,
            phone_number: "+14155550100".to_owned(),
            participant: "+14155550123".to_owned(),
            agent_id: Some(an()),
        };
        let failure = Failure { code: "30003".to_owned(), reason: "the handset can't be reached".to_owned() };
        let body = status_body(&flight, Some(&failure), None, &[], AT).unwrap();
        insta::assert_snapshot!("message_status", pretty(&body));
    }
}
