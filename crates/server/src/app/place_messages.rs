//! Messages into their conversations, whichever way they go: walk 1 and walk 2 meet here.
//!
//! In: messages as they will be kept. Out: the same, each with its conversation, and with a time behind all others of
//! it. Conversations are touched in one order, so that no two transactions wait for each other.

use std::collections::BTreeMap;

use offhook_domain::message::{Direction, Message};
use offhook_domain::{AgentId, Timestamp};
use offhook_store::message_flow::Touch;
use offhook_store::{StoreError, Tx};

/// A message on its way into its conversation.
pub struct Placing<'a> {
    pub message: &'a mut Message,
    /// Who speaks or is spoken to.
    pub agent: Option<&'a AgentId>,
}

/// What its conversation tells of it.
#[derive(Debug, Clone)]
pub struct Placed {
    pub metadata: Option<serde_json::Value>,
    /// An earlier message waits until then, and this one behind it.
    pub send_held_until: Timestamp,
}

/// Puts messages into their conversations, which are made where there are none; for each what its conversation tells.
///
/// # Errors
/// [`StoreError`].
pub async fn place(tx: &mut Tx, messages: &mut [Placing<'_>]) -> Result<Vec<Placed>, StoreError> {
    // The order of `Touch::order`.
    let mut conversations: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    for (n, one) in messages.iter().enumerate() {
        let (ours, theirs) = ends(one.message);
        conversations.entry((ours.to_owned(), theirs.to_owned())).or_default().push(n);
    }
    let times: Vec<Vec<Timestamp>> =
        conversations.values().map(|all| all.iter().map(|n| messages[*n].message.at).collect()).collect();
    let last = |all: &Vec<usize>| all.last().map(|n| &messages[*n]);
    let touches: Vec<Touch<'_>> =
        conversations.values().zip(&times).filter_map(|(all, at)| Some(touch(last(all)?, at))).collect();
    let touched = tx.touch_conversations(&touches).await?;
    let mut placed: Vec<Option<Placed>> = messages.iter().map(|_| None).collect();
    for (all, touched) in conversations.into_values().zip(touched) {
        for (n, at) in all.into_iter().zip(touched.at) {
            let message = &mut *messages[n].message;
            message.conversation_id = touched.id.clone();
            message.at = at;
            placed[n] = Some(Placed { metadata: touched.metadata.clone(), send_held_until: touched.send_held_until });
        }
    }
    placed.into_iter().map(|one| one.ok_or_else(|| StoreError::Corrupt("a message has no place".to_owned()))).collect()
}

/// Our number's digits, and the participant.
fn ends(message: &Message) -> (&str, &str) {
    match message.direction {
        Direction::Outbound => (&message.from, &message.to),
        Direction::Inbound => (&message.to, &message.from),
    }
}

fn touch<'a>(one: &'a Placing<'_>, at: &'a [Timestamp]) -> Touch<'a> {
    let message = &*one.message;
    let (phone_number, participant) = ends(message);
    Touch {
        fresh_id: &message.conversation_id,
        account_id: &message.account_id,
        number_id: &message.number_id,
        phone_number,
        participant,
        agent_id: one.agent,
        channel: message.channel,
        body: &message.body,
        at,
    }
}
