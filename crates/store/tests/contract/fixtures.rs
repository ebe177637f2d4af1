//! Accounts, agents and numbers to tell stories with, and a scratch table.

use std::sync::atomic::{AtomicI64, Ordering};

use offhook_domain::agent::{Agent, AgentProfile};
use offhook_domain::ledger::{EntryKind, Posting};
use offhook_domain::number::{Number, NumberStatus};
use offhook_domain::{AccountId, AgentId, Country, E164, Id, Micros, NumberId, Timestamp};
use offhook_store::engine::{FromValue, IntoValue};
use offhook_store::{Sql, Store, StoreError, Tx};

/// The day's noon on which these stories begin.
pub const NOON: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);

/// A time of its own on every call, so that what is made later sorts later.
pub fn now() -> Timestamp {
    static TICK: AtomicI64 = AtomicI64::new(0);
    Timestamp::from_micros(NOON.as_micros() + TICK.fetch_add(1, Ordering::Relaxed))
}

/// What a use case may say beside the store's own errors.
#[derive(Debug)]
pub enum Refusal {
    Refused,
    #[allow(dead_code, reason = "shown when a test fails")]
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

pub async fn account(store: &Store) -> AccountId {
    let id = AccountId::generate(now());
    let made = id.clone();
    store.write(async move |tx: &mut Tx| tx.create_account(&made, "Ada's Bakery", NOON).await).await.unwrap();
    id
}

pub async fn agent(store: &Store, account: &AccountId, name: &str) -> Agent {
    let at = now();
    let profile = AgentProfile::default();
    let agent = Agent {
        id: AgentId::generate(at),
        account_id: account.clone(),
        name: name.to_owned(),
        profile,
        created_at: at,
    };
    let made = agent.clone();
    store.write(async move |tx: &mut Tx| tx.of(&made.account_id).insert_agent(&made).await).await.unwrap();
    agent
}

/// A number that is not stored yet.
pub fn number(account: &AccountId, phone: &str) -> Number {
    let at = now();
    Number {
        id: NumberId::generate(at),
        account_id: account.clone(),
        phone_number: E164::parse(phone).unwrap(),
        country: Country::parse("US").unwrap(),
        status: NumberStatus::Active,
        kind: "sms".to_owned(),
        agent_id: None,
        carrier: "sandbox".to_owned(),
        external_id: None,
        expires_at: None,
        purchased_at: at,
        renews_at: at.plus(std::time::Duration::from_secs(30 * 24 * 3600)),
        unpaid_since: None,
        released_at: None,
    }
}

pub async fn stored_number(store: &Store, account: &AccountId, phone: &str) -> Number {
    let number = number(account, phone);
    let made = number.clone();
    store.write(async move |tx: &mut Tx| tx.of(&made.account_id).insert_number(&made).await).await.unwrap();
    number
}

pub fn posting(kind: EntryKind, amount: i64) -> Posting {
    Posting { kind, amount: Micros(amount), reference: "a reference".to_owned(), at: now() }
}

/// Puts money into a wallet.
pub async fn credit(store: &Store, account: &AccountId, amount: i64) {
    let account = account.clone();
    let credit = async move |tx: &mut Tx| tx.of(&account).post(&posting(EntryKind::Credit, amount)).await;
    store.write(credit).await.unwrap();
}

// The table `settings` (name, value) is the scratch pad of the tests that are about the engine.

pub const PUT: Sql = Sql("INSERT INTO settings (name, value) VALUES ($1, $2)");
pub const APPEND: Sql = Sql("UPDATE settings SET value = value || $1 WHERE name = $2");
pub const NAMES: Sql = Sql("SELECT name FROM settings ORDER BY name");
pub const VALUE: Sql = Sql("SELECT value FROM settings WHERE name = $1");

pub async fn put(tx: &mut Tx, name: &str, value: &str) -> Result<(), StoreError> {
    tx.run(PUT, [name.into_value(), value.into_value()]).await
}

/// The names of what is kept, as another transaction sees them.
pub async fn kept(store: &Store) -> Vec<String> {
    let names = async |tx: &mut Tx| -> Result<Vec<String>, StoreError> {
        tx.rows(NAMES, []).await?.into_iter().map(|mut row| row.take()).collect()
    };
    store.read(names).await.unwrap()
}

pub async fn value(store: &Store, name: &str) -> Option<String> {
    let name = name.to_owned();
    store.read(async move |tx: &mut Tx| tx.setting(&name).await).await.unwrap()
}

/// The first column of the only row of a query.
pub async fn one<T: FromValue + Send + 'static>(store: &Store, sql: Sql) -> T {
    store.read(async move |tx: &mut Tx| tx.one(sql, []).await?.take()).await.unwrap()
}
