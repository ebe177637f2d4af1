//! Walk 1, up to the commit: a message is accepted with its conversation, its price, its count and its job in
//! one transaction, or it is refused and nothing is kept.

use offhook_domain::ledger::{EntryKind, Posting};
use offhook_domain::message::{Channel, Direction, Message, MessageStatus};
use offhook_domain::number::Number;
use offhook_domain::usage::UsageDelta;
use offhook_domain::{
    AccountId, AgentId, ConversationId, Destination, E164, GroupId, Id, MessageId, Micros, NumberId, Prices, Timestamp,
    segments,
};
use offhook_store::message_flow::Touch;
use offhook_store::{Scope, StoreError, Tx};

/// What a client wants sent.
#[derive(Debug, Clone)]
pub struct Order {
    /// The agent that speaks, where one is named.
    pub agent: Option<AgentId>,
    pub sender: Sender,
    pub to: Destination,
    pub body: String,
    pub media_urls: Vec<String>,
}

/// Which number it goes out from.
#[derive(Debug, Clone)]
pub enum Sender {
    Number(NumberId),
    Digits(E164),
    /// The first number of the order's agent.
    FirstOfAgent,
}

/// A message that will be sent.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub message: Message,
    pub conversation_id: ConversationId,
    pub from: String,
    pub to: String,
}

#[derive(Debug, thiserror::Error)]
pub enum SendRefused {
    #[error("agent not found")]
    NoSuchAgent,
    #[error("phone number not found")]
    NoSuchNumber,
    #[error("group {0} not found")]
    NoSuchGroup(GroupId),
    #[error("the agent has no number to send from: attach one or name number_id")]
    AgentHasNoNumber,
    #[error("the agent has messaging switched off (enableMessaging is false)")]
    MessagingOff,
    #[error("the number is attached to another agent")]
    NumberOfAnotherAgent,
    #[error("the number is released and can't send any more")]
    NumberReleased,
    #[error("to_number is the sending number itself")]
    ToItself,
    #[error("{0} is an emergency or service line: it can't be texted from here")]
    ServiceLine(String),
    #[error("an email address can't be reached: this number's carrier has SMS and MMS, not iMessage")]
    EmailUnreachable,
    #[error("the balance does not cover the price of {price}")]
    InsufficientBalance { price: Micros },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Accepts a message inside the caller's transaction. `now` must be fresh on every run of it.
///
/// # Errors
/// [`SendRefused`]; the transaction must then be given up.
pub async fn accept(
    tx: &mut Tx,
    account: &AccountId,
    order: &Order,
    prices: Prices,
    now: Timestamp,
) -> Result<Accepted, SendRefused> {
    let mut scope = tx.of(account);
    // The agent is looked at last and speaks first: one that is deleted in between is missed itself, not its numbers.
    let number = sender(&mut scope, order).await;
    check_agent(&mut scope, order.agent.as_ref()).await?;
    let number = number?;
    let to = reachable(&order.to)?;
    if to == number.phone_number.as_str() {
        return Err(SendRefused::ToItself);
    }
    let count = segments::count(&order.body).count;
    let price = prices.sms_segment.times(count);
    let id = MessageId::generate(now);
    let channel = Channel::for_media(&order.media_urls);
    let agent = order.agent.clone().or(number.agent_id.clone());
    let touched = scope
        .touch_conversation(&Touch {
            fresh_id: &ConversationId::generate(now),
            number_id: &number.id,
            phone_number: number.phone_number.as_str(),
            participant: &to,
            agent_id: agent.as_ref(),
            channel,
            body: &order.body,
            at: now,
        })
        .await?;
    let message = Message {
        id,
        account_id: account.clone(),
        number_id: number.id.clone(),
        conversation_id: touched.id.clone(),
        direction: Direction::Outbound,
        channel,
        status: MessageStatus::Queued,
        from: number.phone_number.to_string(),
        to: to.clone(),
        body: order.body.clone(),
        media_urls: order.media_urls.clone(),
        segments: count,
        failure: None,
        carrier: number.carrier.clone(),
        carrier_message_id: None,
        at: touched.at,
        delivered_at: None,
    };
    scope.insert_message(&message, price).await?;
    let delta = UsageDelta { messages_out: 1, segments: i64::from(count), ..UsageDelta::default() };
    let agent_key = agent.as_ref().map_or("", AgentId::as_str);
    scope.count_usage(now, Some(&number.id), agent_key, touched.id.as_str(), delta);
    let due = touched.at.max(touched.send_held_until);
    tx.insert_send_job(&message.id, number.id.as_str(), &touched.id, touched.at, due).await?;
    charge(&mut tx.of(account), &message.id, price, now).await?;
    Ok(Accepted { message, conversation_id: touched.id, from: number.phone_number.to_string(), to })
}

async fn check_agent(scope: &mut Scope<'_>, id: Option<&AgentId>) -> Result<(), SendRefused> {
    let Some(id) = id else { return Ok(()) };
    let agent = scope.agent(id).await?.ok_or(SendRefused::NoSuchAgent)?;
    if agent.profile.enable_messaging { Ok(()) } else { Err(SendRefused::MessagingOff) }
}

async fn sender(scope: &mut Scope<'_>, order: &Order) -> Result<Number, SendRefused> {
    let number = match (&order.sender, &order.agent) {
        (Sender::Number(id), _) => scope.number(id).await?.ok_or(SendRefused::NoSuchNumber)?,
        (Sender::Digits(phone), _) => scope.number_by_phone(phone).await?.ok_or(SendRefused::NoSuchNumber)?,
        (Sender::FirstOfAgent, Some(agent)) => {
            let numbers = scope.numbers_of_agent(agent).await?;
            numbers.into_iter().find(Number::is_active).ok_or(SendRefused::AgentHasNoNumber)?
        }
        (Sender::FirstOfAgent, None) => return Err(SendRefused::NoSuchAgent),
    };
    if !number.is_active() {
        return Err(SendRefused::NumberReleased);
    }
    match (&order.agent, &number.agent_id) {
        (Some(asked), Some(owner)) if asked != owner => Err(SendRefused::NumberOfAnotherAgent),
        _ => Ok(number),
    }
}

fn reachable(to: &Destination) -> Result<String, SendRefused> {
    match to {
        Destination::Phone(phone) => Ok(phone.to_string()),
        Destination::ShortCode(code) if is_service_line(code) => Err(SendRefused::ServiceLine(code.clone())),
        Destination::ShortCode(code) => Ok(code.clone()),
        Destination::Email(_) => Err(SendRefused::EmailUnreachable),
        Destination::Group(id) => Err(SendRefused::NoSuchGroup(id.clone())),
    }
}

/// Emergency numbers, the N11 codes of the North American plan, and the crisis line.
fn is_service_line(code: &str) -> bool {
    let n11 = code.len() == 3 && code.ends_with("11") && !code.starts_with(['0', '1']);
    n11 || matches!(code, "112" | "988" | "999" | "000")
}

async fn charge(scope: &mut Scope<'_>, id: &MessageId, price: Micros, at: Timestamp) -> Result<(), SendRefused> {
    let posting = Posting { kind: EntryKind::MessageOut, amount: price, reference: id.to_string(), at };
    if scope.post_covered(&posting).await? { Ok(()) } else { Err(SendRefused::InsufficientBalance { price }) }
}
