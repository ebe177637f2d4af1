//! Who takes part: our numbers, the handsets they write with, and the customer's two servers.

use std::collections::{BTreeMap, HashSet};

use offhook_testkit::webhook_receiver::{Mode, Received, WebhookReceiver};
use serde_json::{Value, json};

use crate::client::Client;
use crate::ledger_of_deeds::Pair;

/// Conversations of a plain number.
const HANDSETS: usize = 4;
/// The sandbox's magic receivers that fail or behave in a way of their own, and how often one is written to. One whose
/// carrier is busy holds its own conversation up: it is written to more slowly than it is worked off.
const MAGIC: &[(&str, u64)] = &[
    (REFUSED, 100),
    ("+15005550002", 100),
    ("+15005550005", 100),
    ("+15005550011", 400),
    ("+15005550012", 100),
    ("+15005550013", 100),
    ("+15005550014", 100),
    ("+15005550015", 3000),
];
/// The one whose texts a carrier refuses at once.
pub const REFUSED: &str = "+15005550001";
/// What a customer hears of.
const EVENTS: &[&str] = &["agent.message", "message.status"];

/// Everybody.
pub struct Cast {
    pub customer: Customer,
    pub numbers: Vec<Number>,
    pub conversations: Vec<Conversation>,
}

pub struct Number {
    pub id: String,
    pub digits: String,
    /// The path that its events go to.
    pub hook: String,
}

#[derive(Clone)]
pub struct Conversation {
    pub pair: Pair,
    /// Milliseconds between two texts of ours, about.
    pub pause: u64,
    /// Whether the handset texts back.
    pub both_ways: bool,
    /// On which of several nodes most of it comes in.
    pub home: usize,
}

/// The customer: one server that takes everything, and one that fails now and then.
pub struct Customer {
    steady: WebhookReceiver,
    moody: WebhookReceiver,
    /// Of each webhook, by its path.
    secrets: BTreeMap<String, String>,
}

/// The path of the account's own webhook.
const ACCOUNTS_HOOK: &str = "/hook";
/// The path of the one at the moody server; no other is there.
const MOODY_HOOK: &str = "/hook/moody";

/// How the moody server takes an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Takes,
    /// 500 the first time, then it takes it.
    FailsOnce,
    FailsAlways,
}

impl Mood {
    /// Of a delivery, by its id.
    pub fn of(delivery: &str) -> Self {
        let last: usize = delivery.bytes().rev().take(4).map(usize::from).sum();
        match last % 16 {
            0 => Self::FailsAlways,
            1 | 2 => Self::FailsOnce,
            _ => Self::Takes,
        }
    }
}

impl Cast {
    /// Plain numbers, whose conversations go both ways, and everything goes well.
    pub async fn of_plain_numbers(client: &Client, count: usize) -> Self {
        let mut cast = Self::with_customer(client).await;
        for n in 0..count {
            let number = cast.buy(client, n, None).await;
            cast.converse_plainly(&number, HANDSETS, 35, 0);
        }
        cast
    }

    /// Three plain numbers, one that writes to magic receivers, and one whose customer fails now and then.
    pub async fn of_every_kind(client: &Client) -> Self {
        let mut cast = Self::of_plain_numbers(client, 3).await;
        let magic = cast.buy(client, 3, None).await;
        for (handset, pause) in MAGIC {
            cast.converse(&magic, handset, *pause, false, 0);
        }
        let moody = cast.buy(client, 4, Some(MOODY_HOOK)).await;
        // What the server fails to take holds its conversation up: slowly, and in many.
        cast.converse_plainly(&moody, 6, 1000, 0);
        cast
    }

    /// Numbers at home on one of two nodes, each with a webhook of its own and a receiver whose carrier answers late.
    pub async fn of_two_nodes(client: &Client) -> Self {
        let mut cast = Self::with_customer(client).await;
        for n in 0..4 {
            let number = cast.buy(client, n, Some(&format!("/hook/{n}"))).await;
            cast.converse_plainly(&number, 2, 300, n % 2);
            cast.converse(&number, "+15005550011", 400, false, n % 2);
        }
        cast
    }

    async fn with_customer(client: &Client) -> Self {
        let (steady, moody) = (WebhookReceiver::start().await, WebhookReceiver::start().await);
        moody.answer_each(moods());
        let customer = Customer { steady, moody, secrets: BTreeMap::new() };
        let mut cast = Self { customer, numbers: Vec::new(), conversations: Vec::new() };
        cast.hook(client, "/v1/webhooks", ACCOUNTS_HOOK).await;
        cast
    }

    async fn hook(&mut self, client: &Client, route: &str, path: &str) {
        let server = if path == MOODY_HOOK { &self.customer.moody } else { &self.customer.steady };
        let webhook = json!({"url": format!("http://{}{path}", server.address()), "events": EVENTS});
        let webhook = client.post(route, &webhook).await.unwrap().ok();
        self.customer.secrets.insert(path.to_owned(), text(&webhook["secret"]));
    }

    /// A number; with an agent whose events go to a webhook of its own, where one is given.
    async fn buy(&mut self, client: &Client, n: usize, hook: Option<&str>) -> String {
        let area_code = ["415", "212", "312", "646", "503"][n];
        let mut order = json!({"areaCode": area_code});
        if let Some(hook) = hook {
            let agent = client.post("/v1/agents", &json!({"name": hook})).await.unwrap().ok();
            self.hook(client, &format!("/v1/agents/{}/webhook", text(&agent["id"])), hook).await;
            order["agentId"] = agent["id"].clone();
        }
        let bought = client.post("/v1/numbers", &order).await.unwrap().ok();
        let (id, digits) = (text(&bought["id"]), text(&bought["phoneNumber"]));
        self.numbers.push(Number { id, digits: digits.clone(), hook: hook.unwrap_or(ACCOUNTS_HOOK).to_owned() });
        digits
    }

    fn converse_plainly(&mut self, number: &str, handsets: usize, pause: u64, home: usize) {
        for n in 0..handsets {
            self.converse(number, &format!("+1415201{:04}", 1230 + n), pause, true, home);
        }
    }

    fn converse(&mut self, number: &str, handset: &str, pause: u64, both_ways: bool, home: usize) {
        let pair = Pair { number: number.to_owned(), handset: handset.to_owned() };
        self.conversations.push(Conversation { pair, pause, both_ways, home });
    }
}

impl Customer {
    /// Everything that came, in order at each server.
    pub fn received(&self) -> Vec<Received> {
        [self.steady.received(), self.moody.received()].concat()
    }

    /// The secret of the webhook at a path.
    pub fn secret(&self, hook: &str) -> &str {
        &self.secrets[hook]
    }
}

/// Whether the server behind a path fails now and then.
pub fn is_moody(hook: &str) -> bool {
    hook == MOODY_HOOK
}

fn moods() -> impl FnMut(&Received) -> Mode + Send + 'static {
    let mut seen = HashSet::new();
    move |received: &Received| {
        let id = received.header("x-webhook-id");
        let fails = match Mood::of(id) {
            Mood::Takes => false,
            Mood::FailsOnce => seen.insert(id.to_owned()),
            Mood::FailsAlways => true,
        };
        Mode::status(if fails { 500 } else { 200 })
    }
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text was expected: {value}")).to_owned()
}
