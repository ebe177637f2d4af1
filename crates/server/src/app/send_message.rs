//! Walk 1, up to the commit: messages are accepted, each with its conversation, its price, its count and its job, or
//! refused, and then nothing of it is kept.
//!
//! In: orders that came together. Out: for each what was accepted, or why not; whatever becomes of the others. All of it
//! in one transaction, for which PostgreSQL is asked as few questions as one order takes.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use offhook_domain::agent::Agent;
use offhook_domain::campaign::{CampaignStatus, OutboundSms};
use offhook_domain::guards::FloodLimit;
use offhook_domain::ledger::{Book, EntryKind, Posting};
use offhook_domain::message::{Channel, Direction, Message, MessageStatus};
use offhook_domain::number::Number;
use offhook_domain::usage::UsageDelta;
use offhook_domain::{
    AccountId, AgentId, Clock, ConversationId, Destination, GroupId, Id, MediaId, MessageId, Micros, NumberId, Prices,
    Timestamp, segments,
};
use offhook_store::campaigns::Standing;
use offhook_store::numbers::NumberSought;
use offhook_store::payers::Payers;
use offhook_store::send_jobs::SendJob;
use offhook_store::{StoreError, Tx};

use super::Carriers;
use super::guards::{Guarded, Guarding, SpendLimitReached};
use super::media;
use super::place_messages::{Placed, Placing, place};
use super::registration::outbound_sms;
use super::shaping::{campaign_resource, likely};
use crate::config::Config;

/// What a client wants sent.
#[derive(Debug, Clone)]
pub struct Order {
    pub account: AccountId,
    /// The agent that speaks, where one is named.
    pub agent: Option<AgentId>,
    /// The number it goes out from.
    pub sender: NumberSought,
    pub to: Destination,
    pub body: String,
    pub media_urls: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum SendRefused {
    #[error("the sub-account is closed")]
    AccountClosed,
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
    #[error("this US number can't send before its account is registered with the carriers: POST /v1/register")]
    NotRegistered,
    #[error("this US number can't send yet: the registration is being looked at (GET /v1/register/status)")]
    NotRegisteredYet,
    #[error("to_number is the sending number itself")]
    ToItself,
    #[error("{0} is an emergency or service line: it can't be texted from here")]
    ServiceLine(String),
    #[error("{0} is blocked here: it is dear, or in a country that is not texted")]
    DestinationBlocked(String),
    #[error("{0} asked to get no more messages from here; they must text START first")]
    RecipientOptedOut(String),
    #[error(
        "the conversation goes in circles: nothing more is sent until it has been quiet for {quiet_seconds} seconds"
    )]
    LoopDetected { quiet_seconds: u64 },
    #[error(
        "the destination had as many messages as it may: {} in a minute and {} in an hour (0: as many as one likes)",
        limit.per_minute, limit.per_hour
    )]
    DestinationFlooded { limit: FloodLimit },
    #[error(transparent)]
    SpendLimitReached(#[from] SpendLimitReached),
    #[error("an email address can't be reached: this number's carrier has SMS and MMS, not iMessage")]
    EmailUnreachable,
    #[error("the number's carrier {0} carries calls only, and no other carries messages for it")]
    CallsOnly(String),
    #[error("the number's carrier takes no media to {0}: send text alone")]
    MediaUnsupported(String),
    #[error("the balance does not cover the price of {price}")]
    InsufficientBalance { price: Micros },
}

/// Accepts messages inside the caller's transaction, in the order of the orders. `clock` is asked anew on every run of it.
///
/// # Errors
/// [`StoreError`]; the transaction must then be given up.
pub async fn accept_all(
    tx: &mut Tx,
    orders: &[&Order],
    prices: Prices,
    config: &Config,
    carriers: &Carriers,
    clock: &dyn Clock,
) -> Result<Vec<Result<Message, SendRefused>>, StoreError> {
    let guarding = Guarding::of(config);
    let senders = Senders::find(tx, orders).await?;
    let mut drafts: Vec<_> = orders.iter().map(|order| senders.draft(order, prices, guarding, clock.now())).collect();
    refuse_texts(carriers, &mut drafts);
    refuse_media(carriers, &mut drafts);
    under_campaigns(tx, config, &mut drafts).await?;
    let looked = drafts.iter().map(|draft| draft.as_ref().ok().map(Draft::guarded)).collect::<Vec<_>>();
    let (refused, seen) = guarding.look(tx, &looked).await?;
    for (draft, refused) in drafts.iter_mut().zip(refused) {
        if let Some(refused) = refused {
            *draft = Err(refused);
        }
    }
    let payers = tx.payers_of(orders.iter().map(|order| &order.account)).await?;
    refuse_uncovered(tx, &payers, &mut drafts).await?;
    let good = drafts.iter_mut().flatten();
    let mut placing: Vec<_> =
        good.map(|draft| Placing { message: &mut draft.message, agent: draft.agent.as_ref() }).collect();
    let placed = place(tx, &mut placing).await?;
    let good: Vec<&Draft<'_>> = drafts.iter().flatten().collect();
    keep(tx, &good.iter().map(|draft| draft.outgoing()).collect::<Vec<_>>(), &placed, Keeping::of(config)).await?;
    guarding.count(tx, &good.iter().map(|draft| draft.guarded()).collect::<Vec<_>>(), &seen).await?;
    charge(tx, &payers, &good).await?;
    Ok(drafts.into_iter().map(|draft| draft.map(|draft| draft.message)).collect())
}

/// The agents and numbers that orders name, each looked up once.
struct Senders<'a> {
    agents: HashMap<(&'a AccountId, &'a AgentId), Option<Agent>>,
    numbers: HashMap<(&'a AccountId, &'a NumberSought), Option<Number>>,
}

/// A message that nothing speaks against so far.
struct Draft<'a> {
    order: &'a Order,
    /// The number it goes out from.
    number: &'a Number,
    agent: Option<AgentId>,
    price: Micros,
    message: Message,
}

impl Draft<'_> {
    fn guarded(&self) -> Guarded<'_> {
        Guarded { message: &self.message, price: self.price }
    }

    /// Whether its number is one of the US.
    fn is_of_us(&self) -> bool {
        self.number.country.as_str() == "US"
    }

    fn outgoing(&self) -> Outgoing<'_> {
        Outgoing { message: &self.message, agent: self.agent.as_ref(), price: self.price }
    }
}

impl<'a> Senders<'a> {
    async fn find(tx: &mut Tx, orders: &[&'a Order]) -> Result<Self, StoreError> {
        let named = orders.iter().filter_map(|order| Some((&order.account, order.agent.as_ref()?)));
        let agents = each_once(named);
        let numbers = each_once(orders.iter().map(|order| (&order.account, &order.sender)));
        let found = tx.numbers_sought(&numbers).await?;
        let numbers = numbers.into_iter().zip(found).collect();
        // Agents are looked at last and speak first: one that is deleted in between is missed itself, not its numbers.
        let found = tx.agents_by_id(&agents).await?;
        Ok(Self { agents: agents.into_iter().zip(found).collect(), numbers })
    }

    /// The message as it will be, but for its conversation and the time that depends on that.
    fn draft<'s>(
        &'s self,
        order: &'s Order,
        prices: Prices,
        guarding: Guarding<'_>,
        now: Timestamp,
    ) -> Result<Draft<'s>, SendRefused> {
        self.check_agent(order)?;
        let number = self.sender(order)?;
        let to = reachable(&order.to)?;
        if to == number.phone_number.as_str() {
            return Err(SendRefused::ToItself);
        }
        guarding.check_destination(&to)?;
        let segments = segments::count(&order.body).count;
        let message = Message {
            id: MessageId::generate(now),
            account_id: order.account.clone(),
            number_id: number.id.clone(),
            conversation_id: ConversationId::generate(now),
            direction: Direction::Outbound,
            channel: Channel::for_media(&order.media_urls),
            status: MessageStatus::Queued,
            from: number.phone_number.to_string(),
            to,
            body: order.body.clone(),
            media_urls: order.media_urls.clone(),
            segments,
            failure: None,
            carrier: number.carrier.clone(),
            carrier_message_id: None,
            at: now,
            delivered_at: None,
            estimated_send_at: None,
        };
        let agent = order.agent.clone().or_else(|| number.agent_id.clone());
        Ok(Draft { order, number, agent, price: prices.sms_segment.times(segments), message })
    }

    fn check_agent(&self, order: &Order) -> Result<(), SendRefused> {
        let Some(id) = &order.agent else { return Ok(()) };
        let agent = self.agents.get(&(&order.account, id)).and_then(Option::as_ref).ok_or(SendRefused::NoSuchAgent)?;
        if agent.profile.enable_messaging { Ok(()) } else { Err(SendRefused::MessagingOff) }
    }

    fn sender<'s>(&'s self, order: &'s Order) -> Result<&'s Number, SendRefused> {
        let found = self.numbers.get(&(&order.account, &order.sender)).and_then(Option::as_ref);
        let number = found.ok_or(match order.sender {
            NumberSought::FirstOfAgent(_) => SendRefused::AgentHasNoNumber,
            NumberSought::Id(_) | NumberSought::Digits(_) => SendRefused::NoSuchNumber,
        })?;
        if !number.is_active() {
            return Err(SendRefused::NumberReleased);
        }
        match (&order.agent, &number.agent_id) {
            (Some(asked), Some(owner)) if asked != owner => Err(SendRefused::NumberOfAnotherAgent),
            _ => Ok(number),
        }
    }
}

/// Refuses what would have to go by a carrier that has no messages.
fn refuse_texts(carriers: &Carriers, drafts: &mut [Result<Draft<'_>, SendRefused>]) {
    let carries = |home: &str| {
        carriers.placed_all().any(|placed| {
            let carries = placed.carrier.name() == home || placed.terms.carries_for.iter().any(|name| name == home);
            carries && placed.carrier.takes_texts()
        })
    };
    for place in drafts {
        if let Ok(Draft { message, .. }) = place
            && carriers.named(&message.carrier).is_some_and(|own| !own.takes_texts())
            && !carries(&message.carrier)
        {
            *place = Err(SendRefused::CallsOnly(message.carrier.clone()));
        }
    }
}

/// Refuses media where the number's carrier has no way to take it. One that is not configured just now may.
fn refuse_media(carriers: &Carriers, drafts: &mut [Result<Draft<'_>, SendRefused>]) {
    for place in drafts {
        if let Ok(Draft { message, .. }) = place
            && !message.media_urls.is_empty()
            && carriers.named(&message.carrier).is_some_and(|carrier| !carrier.takes_media(&message.to))
        {
            *place = Err(SendRefused::MediaUnsupported(message.to.clone()));
        }
    }
}

/// Refuses what the US carriers know nothing of, and tells of the rest when it is likely to go, where they limit it.
async fn under_campaigns(
    tx: &mut Tx,
    config: &Config,
    drafts: &mut [Result<Draft<'_>, SendRefused>],
) -> Result<(), StoreError> {
    let of_us = drafts.iter().flatten().filter(|draft| draft.is_of_us());
    let accounts = each_once(of_us.map(|draft| &draft.order.account));
    if accounts.is_empty() {
        return Ok(());
    }
    let found = tx.standings(&accounts).await?;
    let standings: HashMap<_, _> = accounts.into_iter().zip(found).collect();
    let mut limited: BTreeMap<&NumberId, (&Standing, Vec<usize>)> = BTreeMap::new();
    for (n, place) in drafts.iter_mut().enumerate() {
        let Some(draft) = place.as_ref().ok().filter(|draft| draft.is_of_us()) else { continue };
        let (number, standing) = (draft.number, standings.get(&draft.order.account).and_then(Option::as_ref));
        match outbound_sms(config, &number.carrier, number.country.as_str(), standing) {
            OutboundSms::RegistrationRequired => *place = Err(SendRefused::NotRegistered),
            OutboundSms::Activating => *place = Err(SendRefused::NotRegisteredYet),
            OutboundSms::Enabled => {
                if let Some(standing) = standing.filter(|standing| standing.status == CampaignStatus::Approved) {
                    limited.entry(&number.id).or_insert((standing, Vec::new())).1.push(n);
                }
            }
        }
    }
    tell_estimates(tx, config, limited, drafts).await
}

async fn tell_estimates(
    tx: &mut Tx,
    config: &Config,
    limited: BTreeMap<&NumberId, (&Standing, Vec<usize>)>,
    drafts: &mut [Result<Draft<'_>, SendRefused>],
) -> Result<(), StoreError> {
    if limited.is_empty() {
        return Ok(());
    }
    let all = Timestamp::from_micros(i64::MAX);
    let resources: Vec<_> = limited.values().map(|(standing, _)| campaign_resource(standing.id.as_str())).collect();
    let asked: Vec<_> =
        limited.keys().zip(&resources).map(|(line, name)| (line.as_str(), all, name.as_str())).collect();
    let backlogs = tx.backlogs(&asked).await?;
    for ((standing, places), mut backlog) in limited.into_values().zip(backlogs) {
        for n in places {
            if let Ok(draft) = &mut drafts[n] {
                draft.message.estimated_send_at = Some(likely(&config.shaping, standing, backlog, draft.message.at));
                backlog.before += 1;
            }
        }
    }
    Ok(())
}

fn each_once<T: Copy + Eq + std::hash::Hash>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = std::collections::HashSet::new();
    all.filter(|one| seen.insert(*one)).collect()
}

/// Refuses what the wallets don't cover, in the order of the orders: before anything is written, so that one refusal
/// undoes nothing of the others. [`charge`] makes sure of it.
async fn refuse_uncovered(
    tx: &mut Tx,
    payers: &Payers,
    drafts: &mut [Result<Draft<'_>, SendRefused>],
) -> Result<(), StoreError> {
    let mut wallets: HashMap<&AccountId, Micros> = HashMap::new();
    for place in drafts {
        let Ok(Draft { order, price, .. }) = place else { continue };
        let (order, price) = (*order, *price);
        if price.is_zero() {
            continue;
        }
        let payer = payers.of(&order.account);
        if !wallets.contains_key(payer) {
            wallets.insert(payer, tx.of(payer).balance(Book::Wallet).await?);
        }
        match wallets.get_mut(payer).filter(|left| left.0 >= price.0) {
            Some(left) => left.0 -= price.0,
            None => *place = Err(SendRefused::InsufficientBalance { price }),
        }
    }
    Ok(())
}

/// A message that is accepted and has its place.
pub(super) struct Outgoing<'a> {
    pub message: &'a Message,
    /// Who speaks.
    pub agent: Option<&'a AgentId>,
    pub price: Micros,
}

/// What is particular to messages that are kept together.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keeping {
    /// A customer's. Where files are fetched: how long one may wait for its own.
    Ordered { fetching: Option<Duration> },
    /// Answers of ours, which go out even to somebody who is opted out.
    Exempt,
}

impl Keeping {
    fn of(config: &Config) -> Self {
        Self::Ordered { fetching: config.media.fetch.then(|| media::longest_wait(&config.media)) }
    }
}

/// Writes messages, their jobs and their counts.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn keep(
    tx: &mut Tx,
    outgoing: &[Outgoing<'_>],
    placed: &[Placed],
    keeping: Keeping,
) -> Result<(), StoreError> {
    let messages: Vec<_> = outgoing.iter().map(|one| (one.message, one.price)).collect();
    tx.insert_messages(&messages).await?;
    let holds = match keeping {
        Keeping::Ordered { fetching: Some(longest) } => have_files_fetched(tx, outgoing, longest).await?,
        _ => HashMap::new(),
    };
    let jobs = messages.iter().zip(placed).map(|((message, _), placed)| {
        // What comes behind a message that waits for its files waits with it.
        let held = holds.get(&message.conversation_id).filter(|(since, _)| message.at >= *since);
        let due_at = message.at.max(placed.send_held_until).max(held.map_or(message.at, |(_, until)| *until));
        SendJob { message, due_at, exempt: matches!(keeping, Keeping::Exempt) }
    });
    tx.insert_send_jobs(&jobs.collect::<Vec<_>>()).await?;
    for Outgoing { message, agent, .. } in outgoing {
        let segments = i64::from(message.segments);
        let delta = UsageDelta { messages_out: 1, segments, ..UsageDelta::default() };
        let (agent, lane) = (agent.map_or("", AgentId::as_str), message.conversation_id.as_str());
        tx.of(&message.account_id).count_usage(message.at, Some(&message.number_id), agent, lane, delta);
    }
    Ok(())
}

/// Has the files of messages fetched, and holds their conversations meanwhile: since when, and until when at the most.
async fn have_files_fetched(
    tx: &mut Tx,
    outgoing: &[Outgoing<'_>],
    longest: Duration,
) -> Result<HashMap<ConversationId, (Timestamp, Timestamp)>, StoreError> {
    let mut holds: HashMap<ConversationId, (Timestamp, Timestamp)> = HashMap::new();
    for message in outgoing.iter().map(|one| one.message).filter(|message| !message.media_urls.is_empty()) {
        let files = message.media_urls.iter().map(|url| (MediaId::generate(message.at), url.clone()));
        media::have_fetched(tx, message, &files.collect::<Vec<_>>()).await?;
        let (since, until) = (message.at, message.at.plus(longest));
        let hold = holds.entry(message.conversation_id.clone()).or_insert((since, until));
        *hold = (hold.0.min(since), hold.1.max(until));
    }
    for (conversation, (_, until)) in &holds {
        tx.hold_sends_of(conversation, *until).await?;
    }
    Ok(holds)
}

/// Takes the prices out of the wallets of who pays.
async fn charge(tx: &mut Tx, payers: &Payers, drafts: &[&Draft<'_>]) -> Result<(), StoreError> {
    let mut bills: BTreeMap<&AccountId, Vec<(&AccountId, Posting)>> = BTreeMap::new();
    for Draft { order, price, message, .. } in drafts.iter().filter(|draft| !draft.price.is_zero()) {
        let (kind, reference) = (EntryKind::MessageOut, message.id.to_string());
        let posting = Posting { kind, amount: *price, reference, at: message.at };
        bills.entry(payers.of(&order.account)).or_default().push((&order.account, posting));
    }
    for (payer, bill) in bills {
        if !tx.post_all_covered(payer, EntryKind::MessageOut, &bill).await? {
            return Err(tx.met_another("a wallet was emptied meanwhile"));
        }
    }
    Ok(())
}

fn reachable(to: &Destination) -> Result<String, SendRefused> {
    match to {
        Destination::Phone(phone) => Ok(phone.to_string()),
        Destination::ShortCode(code) => Ok(code.clone()),
        Destination::Email(_) => Err(SendRefused::EmailUnreachable),
        Destination::Group(id) => Err(SendRefused::NoSuchGroup(id.clone())),
    }
}
