//! The first start of an installation. In sandbox mode it ends with an account, a key, an agent and a bought
//! number for it; otherwise with an account, and a key where one is configured.
//!
//! Later starts find what there is. One that a crash cut off is completed by the next.

use std::time::Duration;

use offhook_domain::agent::{Agent, AgentProfile};
use offhook_domain::ledger::{EntryKind, Posting};
use offhook_domain::number::Number;
use offhook_domain::{AccountId, AgentId, Country, Id, Timestamp};
use offhook_store::{Engine, StoreError, Tx};
use secrecy::ExposeSecret;

use super::api_keys::{generate_secret, stored_key};
use super::buy_number::{Bought, BuyNumber, buy_number};
use super::reconcile_purchases::reconcile_purchases;
use super::{App, hash_api_key};
use crate::http::once::Once;

const FIRST_AGENT: &str = "first_agent";
/// Set when the account's key was handed out.
const KEY_GIVEN: &str = "first_key_given";
/// Set when the agent had its number: one that is released later is not bought again.
const NUMBER_BOUGHT: &str = "first_number";

/// The name of a key that was made here; one that was never handed out is known by it.
const MADE_KEY: &str = "first key";
const GIVEN_KEY: &str = "bootstrap key";

/// Nodes that start together begin one after another. A node that died at it holds the others up this long.
const LEASE: Duration = Duration::from_secs(30);
const LEASE_NAME: &str = "first start";

/// What a start found or made.
#[derive(Debug)]
pub struct Started {
    pub account: AccountId,
    /// The key's secret, where this start made it or was given it. Of a key made before only the hash is kept.
    pub api_key: Option<String>,
    /// Whether this start made the key: then nobody has it yet, and it is shown now or never.
    pub key_made: bool,
    /// The agent that the first start made, while it is there.
    pub agent: Option<AgentId>,
    /// That agent's first number.
    pub phone_number: Option<String>,
}

/// Makes what a first start needs; later starts find it.
///
/// # Errors
/// [`StoreError`].
pub async fn run(app: &App) -> Result<Started, StoreError> {
    let begun = loop {
        match begin(app).await? {
            Some(begun) => break begun,
            None => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    };
    let Begun { account, api_key, agent, number_bought, lease } = begun;
    let mut number = None;
    if let Some(agent) = &agent {
        if !number_bought {
            buy_first_number(app, &account, agent).await?;
        }
        number = first_number(app, &account, agent).await?;
    }
    let bought = number.is_some();
    let key_made = api_key.is_some() && app.config.keys.bootstrap_key.is_none();
    let node = app.node.clone();
    app.store
        .write::<_, StoreError>(async move |tx: &mut Tx| {
            tx.set_if_absent(KEY_GIVEN, "yes").await?;
            if bought {
                tx.set_if_absent(NUMBER_BOUGHT, "bought").await?;
            }
            match lease {
                Some(epoch) => tx.release_lease(LEASE_NAME, &node, epoch).await,
                None => Ok(()),
            }
        })
        .await?;
    Ok(Started {
        account,
        key_made,
        api_key,
        agent,
        phone_number: number.map(|number| number.phone_number.to_string()),
    })
}

struct Begun {
    account: AccountId,
    api_key: Option<String>,
    agent: Option<AgentId>,
    number_bought: bool,
    /// The epoch of the lease under which the rest is done.
    lease: Option<i64>,
}

/// The account, its key and its agent, in one transaction. `None` while another node is at it.
async fn begin(app: &App) -> Result<Option<Begun>, StoreError> {
    let (now, node, sandbox) = (app.now(), app.node.clone(), app.config.mode.sandbox);
    let credit = app.prices().sign_up_credit;
    let given = app.config.keys.bootstrap_key.as_ref().map(|key| key.expose_secret().to_owned());
    app.store
        .write(async move |tx: &mut Tx| {
            let mut key_given = tx.setting(KEY_GIVEN).await?.is_some();
            let mut number_bought = tx.setting(NUMBER_BOUGHT).await?.is_some();
            let mut lease = None;
            if tx.engine() == Engine::Postgres && !(key_given && (number_bought || !sandbox)) {
                lease = tx.acquire_lease(LEASE_NAME, &node, LEASE).await?;
                if lease.is_none() {
                    return Ok(None);
                }
                // Another node may have come to its end since we looked.
                key_given = tx.setting(KEY_GIVEN).await?.is_some();
                number_bought = tx.setting(NUMBER_BOUGHT).await?.is_some();
            }
            let account = match tx.first_account().await? {
                Some(account) => account,
                None => open_account(tx, sandbox, credit, now).await?,
            };
            let api_key = match &given {
                Some(secret) => use_key(tx, &account, secret, now).await?,
                None if sandbox && !key_given => Some(make_key(tx, &account, now).await?),
                None => None,
            };
            let agent = match tx.setting(FIRST_AGENT).await?.and_then(|id| AgentId::parse(&id).ok()) {
                Some(id) => tx.of(&account).agent(&id).await?.map(|agent| agent.id),
                None if sandbox => Some(make_agent(tx, &account, now).await?),
                None => None,
            };
            Ok(Some(Begun { account, api_key, agent, number_bought, lease }))
        })
        .await
}

async fn open_account(
    tx: &mut Tx,
    sandbox: bool,
    credit: offhook_domain::Micros,
    now: Timestamp,
) -> Result<AccountId, StoreError> {
    let account = AccountId::generate(now);
    tx.create_account(&account, if sandbox { "Sandbox" } else { "First account" }, now).await?;
    let credit = Posting { kind: EntryKind::Credit, amount: credit, reference: "sign-up".to_owned(), at: now };
    tx.of(&account).post(&credit).await?;
    Ok(account)
}

/// Has the configured key, which is not brought back once it was revoked.
async fn use_key(tx: &mut Tx, account: &AccountId, secret: &str, now: Timestamp) -> Result<Option<String>, StoreError> {
    let hash = hash_api_key(secret);
    tx.of(account).add_key(&stored_key(secret, GIVEN_KEY, now), &hash).await?;
    Ok(tx.key_owner(&hash).await?.map(|_| secret.to_owned()))
}

/// Makes a key in place of one that a crash kept from being handed out.
async fn make_key(tx: &mut Tx, account: &AccountId, now: Timestamp) -> Result<String, StoreError> {
    let mut scope = tx.of(account);
    for key in scope.keys().await? {
        if key.name == MADE_KEY {
            scope.revoke_key(&key.id, now).await?;
        }
    }
    let secret = generate_secret(true);
    scope.add_key(&stored_key(&secret, MADE_KEY, now), &hash_api_key(&secret)).await?;
    Ok(secret)
}

async fn make_agent(tx: &mut Tx, account: &AccountId, now: Timestamp) -> Result<AgentId, StoreError> {
    let agent = Agent {
        id: AgentId::generate(now),
        account_id: account.clone(),
        name: "First agent".to_owned(),
        profile: AgentProfile::default(),
        created_at: now,
    };
    tx.of(account).insert_agent(&agent).await?;
    tx.set_if_absent(FIRST_AGENT, agent.id.as_str()).await?;
    Ok(agent.id)
}

/// Buys the agent a number, unless an earlier start did. Where it fails the start goes on without.
async fn buy_first_number(app: &App, account: &AccountId, agent: &AgentId) -> Result<(), StoreError> {
    let (ours, now, started_at) = (account.clone(), app.now(), app.started_at);
    // Whoever began to buy before this process did is gone: nobody had a key yet.
    app.store.write(async move |tx: &mut Tx| tx.of(&ours).adopt_own_purchases(now, started_at).await).await?;
    reconcile_purchases(app).await?;
    if first_number(app, account, agent).await?.is_some() {
        return Ok(());
    }
    let order = BuyNumber {
        account: account.clone(),
        country: Country::US,
        area_code: Some("415".to_owned()),
        phone_number: None,
        agent_id: Some(agent.clone()),
        kind: "sms".to_owned(),
        external_id: None,
        expires_at: None,
    };
    match buy_number(app, order, &Once::default()).await {
        Ok(Bought::Now(_) | Bought::Before(_)) => {}
        Err(error) => tracing::warn!(%error, "the first agent has no number yet; the next start tries again"),
    }
    Ok(())
}

async fn first_number(app: &App, account: &AccountId, agent: &AgentId) -> Result<Option<Number>, StoreError> {
    let (account, agent) = (account.clone(), agent.clone());
    let numbers = app.store.read(async move |tx: &mut Tx| tx.of(&account).numbers_of_agent(&agent).await).await?;
    Ok(numbers.into_iter().next())
}
