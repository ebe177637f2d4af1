//! Who asks to be left alone, in the transaction that keeps what they texted; and whoever says so for them.
//!
//! In: texts that were kept. Out: of each what it did; with it the state, the log, the end of what waits for its sender,
//! and one answer of ours for every change, an ordinary message that is paid for like any other. Never here: what a
//! keyword is, that is the domain's.

use std::collections::BTreeMap;

use offhook_domain::ledger::{EntryKind, Posting};
use offhook_domain::message::{Channel, Direction, Failure, Message, MessageStatus};
use offhook_domain::opt_out::{FIRST_LANGUAGE, Keyword, Said};
use offhook_domain::{
    AccountId, AgentId, ApiKeyId, ConversationId, Id, MessageId, Micros, OptOutLogId, Timestamp, segments,
};
use offhook_store::opt_outs::{OptOutAction, OptOutAnswers, OptOutLogged, OptOutScope};
use offhook_store::{StoreError, Tx};

use super::App;
use super::announce::Received;
use super::place_messages::{Placing, place};
use super::release_number::fail_waiting;
use super::send_message::{Keeping, Outgoing, keep};
use crate::config::OptOutReach;

/// Why a message to somebody who is opted out does not go.
#[must_use]
pub fn left_alone() -> Failure {
    Failure::new("21610", "the recipient asked to get no more messages from this number")
}

/// Does what the texts ask for that are keywords, and notes it with them. The other texts cost nothing.
///
/// # Errors
/// [`StoreError`].
pub async fn heed(app: &App, tx: &mut Tx, received: &mut [Received]) -> Result<(), StoreError> {
    let mut answers = Vec::new();
    for one in received.iter_mut() {
        let Some(said) = app.config.opt_out.keywords.read(&one.message.body) else { continue };
        let did = obey(app, tx, one, &said).await?;
        if let Some(Did { action, answer }) = did {
            one.opt_out = Some(action);
            if answer {
                let text = words(app, tx, &one.message, &said).await?;
                answers.extend(text.map(|text| (answer_to(app, &one.message, text), one.agent_id.clone())));
                one.answered = true;
            }
        }
    }
    send(app, tx, answers).await
}

/// What a keyword did.
struct Did {
    action: OptOutAction,
    /// Whether it is to be answered.
    answer: bool,
}

async fn obey(app: &App, tx: &mut Tx, one: &Received, said: &Said<'_>) -> Result<Option<Did>, StoreError> {
    let message = &one.message;
    let (number, participant, at) = (&message.number_id, message.from.as_str(), message.at);
    let mut scope = tx.of(&message.account_id);
    let (action, changed) = match said.keyword {
        Keyword::Stop => {
            let reach = match app.config.opt_out.reach {
                OptOutReach::Number => OptOutScope::Number(number.clone()),
                OptOutReach::Account => OptOutScope::Account,
            };
            let was_out = scope.is_opted_out(number, participant).await?;
            let changed = scope.opt_out(&reach, participant, Some((said.word, &message.id)), at).await?;
            let ended = scope.end_sends_to(&reach, participant).await?;
            fail_waiting(app, tx, &ended, &left_alone(), at).await?;
            (OptOutAction::OptedOut, changed && !was_out)
        }
        Keyword::Start => {
            let changed = scope.opt_in(number, participant).await?;
            if said.only_if_out && !changed {
                return Ok(None);
            }
            (OptOutAction::OptedIn, changed)
        }
        Keyword::Help => {
            let last = at.minus(app.config.opt_out.help_again);
            (OptOutAction::Help, scope.help_once(number, participant, at, last).await?)
        }
    };
    let line = OptOutLogged {
        id: OptOutLogId::generate(app.now()),
        participant: participant.to_owned(),
        number_id: Some(number.clone()),
        action: action.as_str().to_owned(),
        changed: changed && said.keyword != Keyword::Help,
        keyword: Some(said.word.to_owned()),
        message_id: Some(message.id.clone()),
        key_id: None,
        note: None,
        at,
    };
    tx.of(&message.account_id).log_opt_out(action, &line).await?;
    Ok(Some(Did { action, answer: changed }))
}

/// The text of an answer: the account's own, else the installation's, in the language of the keyword where it has that.
async fn words(app: &App, tx: &mut Tx, message: &Message, said: &Said<'_>) -> Result<Option<String>, StoreError> {
    let OptOutAnswers { opted_out, opted_in, help } = tx.of(&message.account_id).opt_out_answers().await?;
    let config = &app.config.opt_out;
    let (own, general): (Option<String>, &BTreeMap<String, String>) = match said.keyword {
        Keyword::Stop => (opted_out, &config.stop_answers),
        Keyword::Start => (opted_in, &config.start_answers),
        Keyword::Help => (help, &config.help_answers),
    };
    Ok(own.or_else(|| general.get(said.language).or_else(|| general.get(FIRST_LANGUAGE)).cloned()))
}

fn answer_to(app: &App, text: &Message, body: String) -> Message {
    let now = app.now();
    Message {
        id: MessageId::generate(now),
        account_id: text.account_id.clone(),
        number_id: text.number_id.clone(),
        conversation_id: ConversationId::generate(now),
        direction: Direction::Outbound,
        channel: Channel::Sms,
        status: MessageStatus::Queued,
        from: text.to.clone(),
        to: text.from.clone(),
        segments: segments::count(&body).count,
        body,
        media_urls: Vec::new(),
        failure: None,
        carrier: text.carrier.clone(),
        carrier_message_id: None,
        at: now,
        delivered_at: None,
        estimated_send_at: None,
    }
}

/// Queues answers, whatever the balance is: they are the law's, not the customer's.
async fn send(app: &App, tx: &mut Tx, answers: Vec<(Message, Option<AgentId>)>) -> Result<(), StoreError> {
    if answers.is_empty() {
        return Ok(());
    }
    let (mut messages, agents): (Vec<Message>, Vec<Option<AgentId>>) = answers.into_iter().unzip();
    // Their conversations are those of the texts they answer, which this transaction holds already.
    let mut placing: Vec<_> =
        messages.iter_mut().zip(&agents).map(|(message, agent)| Placing { message, agent: agent.as_ref() }).collect();
    let placed = place(tx, &mut placing).await?;
    let segment = app.prices().sms_segment;
    let priced: Vec<(&Message, Micros)> =
        messages.iter().map(|message| (message, segment.times(message.segments))).collect();
    let outgoing = priced.iter().zip(&agents);
    let outgoing = outgoing.map(|((message, price), agent)| Outgoing { message, agent: agent.as_ref(), price: *price });
    keep(tx, &outgoing.collect::<Vec<_>>(), &placed, Keeping::Exempt).await?;
    let charges = priced.iter().map(|(message, price)| {
        let (kind, reference) = (EntryKind::MessageOut, message.id.to_string());
        (&message.account_id, Posting { kind, amount: *price, reference, at: message.at })
    });
    tx.post_all(&charges.collect::<Vec<_>>()).await
}

/// A change that somebody makes for a participant, with their key.
pub struct ForThem<'a> {
    pub account: &'a AccountId,
    pub key: &'a ApiKeyId,
    pub participant: &'a str,
    pub note: Option<String>,
}

impl ForThem<'_> {
    /// Opts the participant out, and ends what waits for them; whether that is new.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn opt_out(
        &self,
        app: &App,
        tx: &mut Tx,
        scope: &OptOutScope,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = tx.of(self.account).opt_out(scope, self.participant, None, at).await?;
        let ended = tx.of(self.account).end_sends_to(scope, self.participant).await?;
        fail_waiting(app, tx, &ended, &left_alone(), at).await?;
        self.log(tx, scope, OptOutAction::OptedOut, changed, at).await?;
        Ok(changed)
    }

    /// Notes that the participant may be texted again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn opted_in(&self, tx: &mut Tx, scope: &OptOutScope, at: Timestamp) -> Result<(), StoreError> {
        self.log(tx, scope, OptOutAction::OptedIn, true, at).await
    }

    async fn log(
        &self,
        tx: &mut Tx,
        scope: &OptOutScope,
        action: OptOutAction,
        changed: bool,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let number_id = match scope {
            OptOutScope::Number(number) => Some(number.clone()),
            OptOutScope::Account => None,
        };
        let line = OptOutLogged {
            id: OptOutLogId::generate(at),
            participant: self.participant.to_owned(),
            number_id,
            action: action.as_str().to_owned(),
            changed,
            keyword: None,
            message_id: None,
            key_id: Some(self.key.clone()),
            note: self.note.clone(),
            at,
        };
        tx.of(self.account).log_opt_out(action, &line).await
    }
}
