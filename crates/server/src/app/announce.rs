//! What the customer's server is told of a message, inside the transaction that changes it.
//!
//! In: domain values. Out: an event and the work of delivering it, as rows of that transaction, and the webhook to
//! ring after the commit. Never here: the network.

use offhook_domain::event::{ContactData, Envelope, HistoryItem, MessageData, StatusData};
use offhook_domain::message::{Failure, Message};
use offhook_domain::usage::UsageDelta;
use offhook_domain::webhook::{EventType, Webhook};
use offhook_domain::{AgentId, Id, NumberId, Timestamp, WebhookId};
use offhook_store::deliveries::NewEvent;
use offhook_store::message_flow::KnownContact;
use offhook_store::outcomes::Flight;
use offhook_store::{Scope, StoreError, Tx};
use serde::Serialize;
use serde_json::Value;

use super::App;

/// A text that came in, with what its event needs to know.
#[derive(Debug)]
pub struct Received {
    pub message: Message,
    /// The number's agent.
    pub agent_id: Option<AgentId>,
    pub number_external_id: Option<String>,
    /// The conversation's.
    pub metadata: Option<Value>,
}

/// Writes the `agent.message` event of a text that came in; the webhook to wake, where there is one.
///
/// # Errors
/// [`StoreError`].
pub async fn message_received(app: &App, tx: &mut Tx, received: &Received) -> Result<Option<WebhookId>, StoreError> {
    let Received { message, agent_id, .. } = received;
    let mut scope = tx.of(&message.account_id);
    let Some(webhook) = choose_webhook(&mut scope, agent_id.as_ref(), EventType::Message).await? else {
        return Ok(None);
    };
    let history = scope.history(&message.conversation_id, message.at, webhook.context_limit).await?;
    let contact = scope.known_contact(&message.from).await?;
    let now = app.now();
    let body = message_body(received, contact.as_ref(), &history, now)?;
    let event = NewEvent {
        event_type: EventType::Message,
        channel: message.channel.as_str(),
        lane: message.conversation_id.as_str(),
        message_id: Some(&message.id),
        at: now,
    };
    emit(&mut scope, &webhook, &event, body, Some(&message.number_id), agent_id.as_ref()).await?;
    Ok(Some(webhook.id))
}

/// Writes the `message.status` event of a message that moved on, for the webhook chosen for it.
///
/// # Errors
/// [`StoreError`].
pub async fn message_status(
    app: &App,
    tx: &mut Tx,
    webhook: &Webhook,
    flight: &Flight,
    failure: Option<&Failure>,
) -> Result<(), StoreError> {
    let mut scope = tx.of(&flight.account_id);
    let agent_id = flight.agent_id.as_ref();
    let history = scope.history(&flight.conversation_id, flight.at, webhook.context_limit).await?;
    let state = scope.conversation_state(&flight.conversation_id).await?;
    let now = app.now();
    let body = status_body(flight, failure, state.as_ref(), &history, now)?;
    let event = NewEvent {
        event_type: EventType::MessageStatus,
        channel: flight.channel.as_str(),
        lane: flight.conversation_id.as_str(),
        message_id: Some(&flight.id),
        at: now,
    };
    emit(&mut scope, webhook, &event, body, Some(&flight.number_id), agent_id).await
}

/// The one endpoint that gets this event: the agent's where it has one, else the account's, where it wants it.
///
/// # Errors
/// [`StoreError`].
pub async fn choose_webhook(
    scope: &mut Scope<'_>,
    agent_id: Option<&AgentId>,
    event: EventType,
) -> Result<Option<Webhook>, StoreError> {
    Ok(scope.webhook_for(agent_id).await?.filter(|webhook| webhook.wants(event)))
}

/// Keeps an event with the work of delivering it, and counts it for its number and agent.
///
/// # Errors
/// [`StoreError`].
pub async fn emit(
    scope: &mut Scope<'_>,
    webhook: &Webhook,
    event: &NewEvent<'_>,
    body: String,
    number_id: Option<&NumberId>,
    agent_id: Option<&AgentId>,
) -> Result<(), StoreError> {
    scope.insert_delivery(webhook, event, body).await?;
    let delta = UsageDelta { webhooks: 1, ..UsageDelta::default() };
    scope.count_usage(event.at, number_id, agent_id.map_or("", AgentId::as_str), event.lane, delta);
    Ok(())
}

/// The bytes that are kept, signed and sent.
///
/// # Errors
/// [`StoreError::Corrupt`] when `D` can't be JSON.
pub fn write_down<D: Serialize>(envelope: &Envelope<'_, D>) -> Result<String, StoreError> {
    serde_json::to_string(envelope).map_err(|error| StoreError::Corrupt(format!("event: {error}")))
}

fn message_body(
    received: &Received,
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
        media_url: message.media_urls.first().map(String::as_str),
        media_urls: &message.media_urls,
        direction: message.direction,
        received_at: message.at,
        external_id: received.number_external_id.as_deref(),
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
        };
        Received { message, agent_id: None, number_external_id: None, metadata: None }
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
        let body = message_body(&received, Some(&contact), &history, AT).unwrap();
        insta::assert_snapshot!("agent_message", pretty(&body));
    }

    #[test]
    fn what_is_not_there_is_null_and_lists_are_lists() {
        let body = message_body(&received(Vec::new()), None, &[], AT).unwrap();
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
