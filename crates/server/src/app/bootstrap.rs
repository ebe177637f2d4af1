//! The first start of an installation: an account and its key; in sandbox mode also an agent with a number, so
//! that there is something to text at once.
//!
//! Later starts find what the first one made. What a crash cut off half-way the next start completes: each step
//! leaves a setting behind, in its own transaction.

use offhook_domain::agent::{Agent, AgentProfile};
use offhook_domain::ledger::{EntryKind, Posting};
use offhook_domain::{AccountId, AgentId, Country, Id, Prices, Timestamp};
use offhook_store::{StoreError, Tx, Window};
use secrecy::ExposeSecret;

use super::api_keys::{generate_secret, stored_key};
use super::buy_number::{BuyNumber, buy_number};
use super::{App, hash_api_key};
use crate::http::once::Once;

/// Which account the first start made; set once, also by two nodes that start together.
const FIRST_ACCOUNT: &str = "first_account";
const FIRST_AGENT: &str = "first_agent";
/// Set when the first number is bought: one that is released later is not bought again.
const FIRST_NUMBER: &str = "first_number";
const AREA_CODE: &str = "415";

/// What a start found or made.
#[derive(Debug)]
pub struct Started {
    pub account: AccountId,
    /// The key's secret, where this start made it or was given it. Of a key made before only the hash is kept.
    pub api_key: Option<String>,
    /// The first agent and its number, where they are there.
    pub agent: Option<AgentId>,
    pub phone_number: Option<String>,
}

/// Makes what a first start needs; later starts find it.
///
/// # Errors
/// [`StoreError`].
pub async fn run(app: &App) -> Result<Started, StoreError> {
    let (account, api_key) = open_account(app).await?;
    if !app.config.mode.sandbox {
        return Ok(Started { account, api_key, agent: None, phone_number: None });
    }
    let agent = first_agent(app, &account).await?;
    buy_first_number(app, &account, &agent).await?;
    let (owner, wanted) = (account.clone(), agent.clone());
    let numbers =
        app.store.read::<_, StoreError>(async move |tx: &mut Tx| tx.of(&owner).numbers_of_agent(&wanted).await).await?;
    let phone_number = numbers.iter().find(|number| number.is_active()).map(|number| number.phone_number.to_string());
    Ok(Started { account, api_key, agent: Some(agent), phone_number })
}

async fn open_account(app: &App) -> Result<(AccountId, Option<String>), StoreError> {
    let (now, prices) = (app.now(), app.prices());
    let given = app.config.keys.bootstrap_key.as_ref().map(|key| key.expose_secret().to_owned());
    let sandbox = app.config.mode.sandbox;
    app.store
        .write(async move |tx: &mut Tx| {
            let ours = AccountId::generate(now);
            tx.set_if_absent(FIRST_ACCOUNT, ours.as_str()).await?;
            let account: AccountId = known_id(tx.setting(FIRST_ACCOUNT).await?)?;
            let is_new = account == ours;
            if is_new {
                tx.create_account(&account, if sandbox { "Sandbox" } else { "First account" }, now).await?;
                grant_credit(tx, &account, prices, now).await?;
            }
            let secret = given.clone().or_else(|| is_new.then(|| generate_secret(sandbox)));
            if let Some(secret) = &secret {
                tx.of(&account).add_key(&stored_key(secret, "first key", now), &hash_api_key(secret)).await?;
            }
            Ok((account, secret))
        })
        .await
}

async fn grant_credit(tx: &mut Tx, account: &AccountId, prices: Prices, at: Timestamp) -> Result<(), StoreError> {
    let (kind, reference) = (EntryKind::Credit, "sign-up".to_owned());
    tx.of(account).post(&Posting { kind, amount: prices.sign_up_credit, reference, at }).await
}

async fn first_agent(app: &App, account: &AccountId) -> Result<AgentId, StoreError> {
    let (now, account) = (app.now(), account.clone());
    app.store
        .write(async move |tx: &mut Tx| {
            let ours = AgentId::generate(now);
            tx.set_if_absent(FIRST_AGENT, ours.as_str()).await?;
            let id: AgentId = known_id(tx.setting(FIRST_AGENT).await?)?;
            if id == ours {
                let agent = Agent {
                    id: id.clone(),
                    account_id: account.clone(),
                    name: "First agent".to_owned(),
                    profile: AgentProfile::default(),
                    created_at: now,
                };
                tx.of(&account).insert_agent(&agent).await?;
            }
            Ok(id)
        })
        .await
}

fn known_id<I: Id>(setting: Option<String>) -> Result<I, StoreError> {
    let text = setting.unwrap_or_default();
    I::parse(&text).map_err(|error| StoreError::Corrupt(format!("setting {text:?}: {error}")))
}

async fn buy_first_number(app: &App, account: &AccountId, agent: &AgentId) -> Result<(), StoreError> {
    let owner = account.clone();
    let wanted = app
        .store
        .read::<_, StoreError>(async move |tx: &mut Tx| {
            let settled = tx.setting(FIRST_NUMBER).await?.is_some();
            let held = tx.of(&owner).active_numbers(Window { limit: 1, offset: 0 }).await?.total;
            Ok(!settled && held == 0)
        })
        .await?;
    if wanted {
        let order = BuyNumber {
            account: account.clone(),
            country: Country::US,
            area_code: Some(AREA_CODE.to_owned()),
            phone_number: None,
            agent_id: Some(agent.clone()),
            kind: "sms".to_owned(),
            external_id: None,
            expires_at: None,
        };
        if let Err(error) = buy_number(app, order, &Once::default()).await {
            // The rest works without; the next start tries again.
            tracing::warn!(%error, "the first number could not be bought");
            return Ok(());
        }
    }
    app.store.write(async |tx: &mut Tx| tx.set_if_absent(FIRST_NUMBER, "bought").await).await
}
