//! Walk 2, up to the commit: texts from carriers are kept with everything they cause.
//!
//! In: texts that came together. Out: of each what became of it; all of it in the caller's transaction, for which
//! PostgreSQL is asked as few questions as one text takes.

use std::collections::{HashMap, HashSet};

use offhook_carriers::InboundMessage;
use offhook_domain::ledger::{EntryKind, Posting};
use offhook_domain::message::{Channel, Direction, Message, MessageStatus};
use offhook_domain::number::Number;
use offhook_domain::usage::UsageDelta;
use offhook_domain::{AgentId, ConversationId, E164, Id, MessageId, Micros, NumberId, WebhookId, segments};
use offhook_store::{StoreError, Tx};

use super::App;
use super::announce::{self, Received};
use super::guards::Guarding;
use super::media;
use super::opt_outs;
use super::place_messages::{Placing, place};

/// What became of something that a carrier brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brought {
    Kept,
    /// It was brought before, or nobody holds its number.
    Dropped,
    /// Its number is sold to us and not stored yet: it must be brought again.
    Later,
}

/// A text that was kept, with the webhook that is to hear of it; or why there is none.
pub enum Kept {
    Text {
        channel: Channel,
        webhook: Option<WebhookId>,
        /// The number whose line has an answer of ours to send.
        answers: Option<NumberId>,
    },
    Nothing(Brought),
}

impl Kept {
    #[must_use]
    pub fn brought(&self) -> Brought {
        match self {
            Self::Text { .. } => Brought::Kept,
            Self::Nothing(brought) => *brought,
        }
    }
}

/// Keeps texts. One that was brought before changes nothing; one for a number that nobody holds is dropped.
///
/// # Errors
/// [`StoreError`]; the transaction must then be given up.
pub async fn keep_all(app: &App, tx: &mut Tx, texts: &[&InboundMessage]) -> Result<Vec<Kept>, StoreError> {
    let holders = holders(tx, texts).await?;
    let mut kept = judge(tx, texts, &holders).await?;
    let fresh: Vec<usize> = (0..texts.len()).filter(|n| kept[*n].is_none()).collect();
    let drafts = fresh.iter().filter_map(|n| Some((texts[*n], holders.get(&texts[*n].to)?)));
    let mut received = write(app, tx, drafts.collect()).await?;
    Guarding::of(&app.config).hear(tx, received.iter().map(|one| &one.message)).await?;
    opt_outs::heed(app, tx, &mut received).await?;
    let webhooks = announce::messages_received(app, tx, &received).await?;
    for ((n, one), webhook) in fresh.into_iter().zip(&received).zip(webhooks) {
        let answers = one.answered.then(|| one.message.number_id.clone());
        kept[n] = Some(Kept::Text { channel: one.message.channel, webhook, answers });
    }
    Ok(kept.into_iter().map(|one| one.unwrap_or(Kept::Nothing(Brought::Later))).collect())
}

async fn holders(tx: &mut Tx, texts: &[&InboundMessage]) -> Result<HashMap<E164, Number>, StoreError> {
    let numbers: HashSet<&E164> = texts.iter().map(|text| &text.to).collect();
    let numbers: Vec<&E164> = numbers.into_iter().collect();
    let found = tx.holders_of(&numbers).await?;
    Ok(numbers.into_iter().zip(found).filter_map(|(number, holder)| Some((number.clone(), holder?))).collect())
}

/// What is not to be kept, and why; `None` for what is.
async fn judge(
    tx: &mut Tx,
    texts: &[&InboundMessage],
    holders: &HashMap<E164, Number>,
) -> Result<Vec<Option<Kept>>, StoreError> {
    let ids: Vec<_> = texts.iter().map(|text| (text.carrier, text.carrier_message_id.as_str())).collect();
    let before = tx.received_before(&ids).await?;
    let mut now = HashSet::new();
    let mut judged = Vec::with_capacity(texts.len());
    for (text, id) in texts.iter().zip(ids) {
        judged.push(if before.contains(&(id.0.to_owned(), id.1.to_owned())) || now.contains(&id) {
            Some(Kept::Nothing(Brought::Dropped))
        } else if holders.contains_key(&text.to) {
            now.insert(id);
            None
        } else if tx.is_being_bought(&text.to).await? {
            Some(Kept::Nothing(Brought::Later))
        } else {
            tracing::warn!(carrier = text.carrier, "a text for a number that nobody holds was dropped");
            Some(Kept::Nothing(Brought::Dropped))
        });
    }
    Ok(judged)
}

/// Writes the messages, their prices and their counts.
async fn write(app: &App, tx: &mut Tx, drafts: Vec<(&InboundMessage, &Number)>) -> Result<Vec<Received>, StoreError> {
    let segment = app.prices().sms_segment;
    let mut messages: Vec<Message> = drafts.iter().map(|(text, number)| message(app, text, number)).collect();
    let files = messages.iter_mut().map(|message| match app.config.media.fetch {
        true => media::take_over(&mut message.media_urls, message.at),
        false => Vec::new(),
    });
    let files: Vec<_> = files.collect();
    let mut placing: Vec<_> = messages
        .iter_mut()
        .zip(&drafts)
        .map(|(message, (_, number))| Placing { message, agent: number.agent_id.as_ref() })
        .collect();
    let placed = place(tx, &mut placing).await?;
    let price = |message: &Message| segment.times(message.segments);
    let priced: Vec<(&Message, Micros)> = messages.iter().map(|message| (message, price(message))).collect();
    tx.insert_messages(&priced).await?;
    for ((message, _), files) in priced.iter().zip(&files) {
        media::have_fetched(tx, message, files).await?;
    }
    let charges = priced.iter().map(|(message, price)| {
        let (kind, reference) = (EntryKind::MessageIn, message.id.to_string());
        (&message.account_id, Posting { kind, amount: *price, reference, at: message.at })
    });
    tx.post_all(&charges.collect::<Vec<_>>()).await?;
    for (message, (_, number)) in messages.iter().zip(&drafts) {
        let delta = UsageDelta { messages_in: 1, segments: i64::from(message.segments), ..UsageDelta::default() };
        let (agent, lane) = (number.agent_id.as_ref().map_or("", AgentId::as_str), message.conversation_id.as_str());
        tx.of(&message.account_id).count_usage(message.at, Some(&number.id), agent, lane, delta);
    }
    let received = messages.into_iter().zip(&drafts).zip(placed).map(|((message, (_, number)), placed)| Received {
        message,
        agent_id: number.agent_id.clone(),
        number_external_id: number.external_id.clone(),
        metadata: placed.metadata,
        opt_out: None,
        answered: false,
    });
    Ok(received.collect())
}

/// The message as it will be, but for its conversation and the time that depends on that.
fn message(app: &App, text: &InboundMessage, number: &Number) -> Message {
    let now = app.now();
    Message {
        id: MessageId::generate(now),
        account_id: number.account_id.clone(),
        number_id: number.id.clone(),
        conversation_id: ConversationId::generate(now),
        direction: Direction::Inbound,
        channel: Channel::for_media(&text.media_urls),
        status: MessageStatus::Received,
        from: text.from.clone(),
        to: text.to.to_string(),
        body: text.body.clone(),
        media_urls: text.media_urls.clone(),
        segments: segments::count(&text.body).count,
        failure: None,
        carrier: text.carrier.to_owned(),
        carrier_message_id: Some(text.carrier_message_id.clone()),
        at: now,
        delivered_at: None,
        estimated_send_at: None,
    }
}
