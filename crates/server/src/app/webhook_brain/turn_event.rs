//! The event of a turn: what it says, and what it needs to know of the call. In: a question. Out: the bytes that are signed
//! and sent.

use offhook_domain::Timestamp;
use offhook_domain::call::CallStatus;
use offhook_domain::event::{Envelope, VoiceHistoryItem, VoiceTurnData};
use offhook_domain::message::Direction;
use offhook_domain::webhook::{EventType, Webhook};
use offhook_store::call_flow::OpenCall;
use offhook_store::message_flow::KnownContact;
use offhook_store::{StoreError, Tx};
use offhook_voice::brain::Question;
use offhook_voice::turn::taking::Role;
use serde_json::Value;

use crate::app::App;
use crate::app::announce::write_down;
use crate::app::end_call::{contact_data, other_side};
use crate::app::turn_ids::TurnIds;

/// What is around a call.
pub struct Surroundings {
    pub webhook: Webhook,
    contact: Option<KnownContact>,
    /// The metadata of the conversation with the caller, by text.
    state: Option<Value>,
}

/// Looks around. `None` where no webhook is there to answer.
pub async fn surroundings(app: &App, call: &OpenCall) -> Result<Option<Surroundings>, StoreError> {
    let call = call.clone();
    let find = async move |tx: &mut Tx| {
        let person = other_side(&call).to_owned();
        let contacts = tx.known_contacts(&[(&call.account_id, person.as_str())]).await?;
        let mut scope = tx.of(&call.account_id);
        let Some(webhook) = scope.webhook_for(call.agent_id.as_ref()).await? else { return Ok(None) };
        let state = match &call.number_id {
            Some(number) => scope.conversation_state_with(number, &person).await?,
            None => None,
        };
        let contact = contacts.into_iter().next().flatten();
        Ok(Some(Surroundings { webhook, contact, state }))
    };
    app.store.read(find).await
}

/// The bytes of a turn's event.
pub fn body(
    call: &OpenCall,
    ids: &TurnIds,
    question: &Question,
    around: &Surroundings,
    now: Timestamp,
) -> Result<String, StoreError> {
    let (message_id, received_at) = ids.nth(question.so_far.len(), now);
    let person = other_side(call);
    let data = VoiceTurnData {
        call_id: &call.id,
        number_id: call.number_id.as_ref(),
        from: &call.from,
        to: &call.to,
        contact: around.contact.as_ref().map(|contact| contact_data(contact, person)),
        status: CallStatus::InProgress,
        transcript: &question.words,
        confidence: question.confidence,
        direction: call.direction,
        message_id: &message_id,
        message: &question.words,
        received_at,
        media_urls: [],
    };
    let most = usize::try_from(around.webhook.context_limit).unwrap_or(0);
    let skipped = question.so_far.len().saturating_sub(most);
    let history: Vec<VoiceHistoryItem> = question
        .so_far
        .iter()
        .enumerate()
        .skip(skipped)
        .map(|(place, turn)| {
            let (message_id, at) = ids.nth(place, now);
            VoiceHistoryItem {
                message_id,
                content: turn.content.clone(),
                direction: if turn.role == Role::User { Direction::Inbound } else { Direction::Outbound },
                channel: "voice",
                at,
            }
        })
        .collect();
    write_down(&Envelope {
        event: EventType::Message,
        channel: "voice",
        timestamp: now,
        agent_id: call.agent_id.as_ref(),
        data,
        conversation_state: around.state.as_ref(),
        recent_history: &history,
        test: None,
    })
}
