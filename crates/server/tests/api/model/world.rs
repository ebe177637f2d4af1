//! The model's state: what two accounts have, as far as a customer can tell. Pure, small and slow.
//!
//! Times are whole seconds since `START`. Between two steps the clock stands, but for a microsecond at each look at it,
//! so what is due after a while is due from the step on that has let that while pass.

use std::collections::BTreeMap;

use axum::http::Method;
use offhook_domain::Timestamp;
use serde_json::Value;

use super::orders::{Kind, Order};
use super::steps::{Pick, Place, Who};

/// Half a minute past an hour, so that a step lies in one hour; a month's end is near.
pub const START: Timestamp = Timestamp::from_micros(1_774_908_030_000_000); // 2026-03-30T22:00:30Z

pub const DAY: i64 = 24 * 3600;
pub const NUMBER_PRICE: i64 = 3_000_000;
pub const SEGMENT_PRICE: i64 = 20_000;
pub const NUMBER_LIMIT: usize = 4;
pub const PERIOD: i64 = 30 * DAY;
pub const GRACE: i64 = 30 * DAY;

/// Why the product and the model disagree, in words.
#[derive(Debug)]
pub struct Mismatch(pub String);

pub type Agrees = Result<(), Mismatch>;

macro_rules! disagree {
    ($($text:tt)+) => { return Err($crate::model::world::Mismatch(format!($($text)+))) };
}
pub(super) use disagree;

#[derive(Debug, Clone, Default)]
pub struct World {
    pub now: i64,
    accounts: [Account; 2],
    /// What handsets got and sent.
    pub inboxes: BTreeMap<String, Vec<String>>,
    /// Numbers that the carrier has yet to take back.
    pub to_give_back: Vec<String>,
    /// Receipts on their way: when, and for which message.
    pub late: Vec<(i64, Who, usize)>,
    /// Texts on their way to numbers of the platform: from, to, words, segments, whether with media.
    pub in_air: Vec<(String, String, String, i64, bool)>,
    /// Every request so far.
    pub past: Vec<Order>,
    serial: u32,
}

#[derive(Debug, Clone, Default)]
pub struct Account {
    pub wallet: i64,
    pub agents: Vec<Agent>,
    pub numbers: Vec<Number>,
    /// Whose answer was lost.
    pub purchases: Vec<Purchase>,
    pub contacts: Vec<Contact>,
    pub conversations: Vec<Conversation>,
    /// Places in `conversations`, the one spoken in last first.
    pub order: Vec<usize>,
    pub messages: Vec<Message>,
    pub webhooks: Vec<Webhook>,
    pub deliveries: Vec<Delivery>,
    pub counts: Vec<Count>,
    /// Conversations that messages came into at the same time: in which order, nobody can say.
    pub spoken_together: Vec<usize>,
    pub once: BTreeMap<u8, Kept>,
}

#[derive(Debug, Clone)]
pub struct Agent {
    pub id: String,
    pub name: String,
    pub messaging: bool,
    pub alive: bool,
}

#[derive(Debug, Clone)]
pub struct Number {
    /// Not known yet where a purchase was settled behind our back.
    pub id: Option<String>,
    pub phone: String,
    pub agent: Option<String>,
    pub active: bool,
    pub external: Option<String>,
    pub ends_at: Option<i64>,
    /// In microseconds of the product's clock, which order payments.
    pub renews_at: i64,
    /// Since when, and which of those of that time was first.
    pub unpaid: Option<(i64, u32)>,
}

#[derive(Debug, Clone)]
pub struct Purchase {
    pub phone: String,
    pub sold: bool,
    pub agent: Option<String>,
    pub ends_at: Option<i64>,
    /// Its key, and since when it has that.
    pub once: Option<(u8, i64)>,
}

#[derive(Debug, Clone)]
pub struct Contact {
    pub id: String,
    pub phone: String,
    pub name: String,
    pub alive: bool,
}

#[derive(Debug, Clone)]
pub struct Conversation {
    /// Not known yet where a text came in.
    pub id: Option<String>,
    /// Its place in `numbers`.
    pub number: usize,
    pub participant: String,
    pub agent: Option<String>,
    pub channel: &'static str,
    pub preview: String,
    pub count: i64,
    pub metadata: Value,
    pub group_name: Value,
    /// A message waits for its next try until then, and all others with it.
    pub held_until: i64,
}

#[derive(Debug, Clone)]
pub struct Message {
    /// Not known yet where a text came in.
    pub id: Option<String>,
    pub conversation: usize,
    pub outbound: bool,
    pub channel: &'static str,
    pub status: &'static str,
    pub error: Option<String>,
    pub body: String,
    pub price: i64,
    /// While it waits.
    pub job: Option<Job>,
    /// Whether the carrier told its own id of it.
    pub at_carrier: bool,
    /// Receipts that named it before its send was answered.
    pub early: Vec<Receipt>,
}

#[derive(Debug, Clone, Copy)]
pub struct Job {
    pub accepted: i64,
    pub due: i64,
    pub attempts: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub status: &'static str,
    pub error: Option<&'static str>,
}

#[derive(Debug, Clone)]
pub struct Webhook {
    pub id: String,
    pub agent: Option<String>,
    pub place: Place,
    pub statuses: bool,
    pub secret: String,
    pub alive: bool,
    pub disabled: bool,
    /// It was at a place that fails: when its deliveries are tried again is another test's business.
    pub loose: bool,
}

#[derive(Debug, Clone)]
pub struct Delivery {
    /// Not known before it is seen in the log.
    pub id: Option<String>,
    pub event: Event,
    /// Its webhook's place in `webhooks`.
    pub line: usize,
    pub state: State,
}

/// What an event tells of: a message, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Message(usize),
    Status(usize),
    Test,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Pending,
    Success,
    Failed,
    /// Any of these, for its webhook is or was at a place that fails.
    Loose,
}

/// Something that usage counts.
#[derive(Debug, Clone, Default)]
pub struct Count {
    pub at: i64,
    /// Its place in `numbers`.
    pub number: Option<usize>,
    pub agent: Option<String>,
    pub messages: i64,
    pub segments: i64,
    pub webhooks: i64,
    pub succeeded: i64,
    pub failed: i64,
}

/// What is known of an `Idempotency-Key`.
#[derive(Debug, Clone)]
pub struct Kept {
    pub at: i64,
    pub request: (Method, String, Option<Value>),
    pub answer: Told,
}

/// The answer under a key.
#[derive(Debug, Clone)]
pub enum Told {
    /// Status and body.
    Before(u16, String),
    /// None yet: a purchase is being found out about.
    NotYet,
    /// A purchase was found out about, and came to this number.
    Bought(String),
}

impl World {
    pub fn of(&self, who: Who) -> &Account {
        &self.accounts[who as usize]
    }

    pub fn of_mut(&mut self, who: Who) -> &mut Account {
        &mut self.accounts[who as usize]
    }

    pub fn next_serial(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }

    /// The id of a thing named by its place.
    pub fn named(&self, who: Who, kind: Kind, pick: Pick) -> String {
        let (owner, nth) = match pick {
            Pick::Own(nth) => (who, nth),
            Pick::Others(nth) => (who.other(), nth),
            Pick::Nobody => return kind.nobody().to_owned(),
        };
        let all = self.of(owner).ids(kind);
        match all.len() {
            0 => kind.nobody().to_owned(),
            count => all[count - 1 - usize::from(nth) % count].to_owned(),
        }
    }

    /// Who holds a phone number, and its place there.
    pub fn holder(&self, phone: &str) -> Option<(Who, usize)> {
        Who::BOTH.into_iter().find_map(|who| {
            let place = self.of(who).numbers.iter().position(|number| number.active && number.phone == phone)?;
            Some((who, place))
        })
    }
}

impl Who {
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

impl Account {
    fn ids(&self, kind: Kind) -> Vec<&str> {
        match kind {
            Kind::Agent => self.agents.iter().map(|agent| agent.id.as_str()).collect(),
            Kind::Number => self.numbers.iter().filter_map(|number| number.id.as_deref()).collect(),
            Kind::Digits => self.numbers.iter().map(|number| number.phone.as_str()).collect(),
            Kind::Contact => self.contacts.iter().map(|contact| contact.id.as_str()).collect(),
            Kind::Conversation => self.conversations.iter().filter_map(|one| one.id.as_deref()).collect(),
            Kind::Delivery => self.deliveries.iter().filter_map(|delivery| delivery.id.as_deref()).collect(),
        }
    }

    pub fn agent(&self, id: &str) -> Option<&Agent> {
        self.agents.iter().find(|agent| agent.id == id && agent.alive)
    }

    /// The place of a number, released ones too.
    pub fn number(&self, id: &str) -> Option<usize> {
        self.numbers.iter().position(|number| number.id.as_deref() == Some(id))
    }

    /// The one with these digits that is active, or else was last.
    pub fn number_by_phone(&self, phone: &str) -> Option<usize> {
        let mut of_phone = self.numbers.iter().enumerate().filter(|(_, number)| number.phone == phone);
        let active = of_phone.clone().find(|(_, number)| number.active);
        active.or_else(|| of_phone.next_back()).map(|(place, _)| place)
    }

    pub fn contact(&self, id: &str) -> Option<usize> {
        self.contacts.iter().position(|contact| contact.id == id && contact.alive)
    }

    pub fn conversation(&self, id: &str) -> Option<usize> {
        self.conversations.iter().position(|one| one.id.as_deref() == Some(id))
    }

    /// The endpoint of an agent, or of the account.
    pub fn webhook(&self, agent: Option<&str>) -> Option<usize> {
        self.webhooks.iter().position(|webhook| webhook.alive && webhook.agent.as_deref() == agent)
    }

    /// The endpoint that hears of an agent's events.
    pub fn webhook_for(&self, agent: Option<&str>) -> Option<usize> {
        agent.and_then(|agent| self.webhook(Some(agent))).or_else(|| self.webhook(None))
    }

    /// Places of the hold limit that are taken.
    pub fn places_taken(&self) -> usize {
        self.numbers.iter().filter(|number| number.active).count() + self.purchases.len()
    }

    /// The active numbers of an agent, the oldest first.
    pub fn numbers_of(&self, agent: &str) -> Vec<usize> {
        let theirs = |number: &Number| number.active && number.agent.as_deref() == Some(agent);
        let mut places: Vec<_> = (0..self.numbers.len()).filter(|place| theirs(&self.numbers[*place])).collect();
        places.sort_by_key(|place| self.numbers[*place].id.clone());
        places
    }
}
