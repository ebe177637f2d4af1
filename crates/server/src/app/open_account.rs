//! The second half of a sign-up: the code is entered, and account, number, agent and key are made.
//!
//! ```text
//! open ──right code──▶ buying ──the carrier sold a number: everything in one transaction──▶ done
//!   ▲                    └──nothing was bought, or nobody knows (`settle_sign_ups`)──┐
//!   └─────────────────────────────────────────────────────────────────────────────────┘
//! ```
//! The carrier is asked first, under our own reference, so that the account exists whole or not at all. A crash in between
//! leaves a sign-up that is buying; the reconciler gives back what was sold for it, and the same code can be entered
//! again. Whoever lost the answer gets it again for the same code, as long as that lasts.

use std::net::IpAddr;

use offhook_carriers::BuyError;
use offhook_domain::agent::{Agent, AgentProfile};
use offhook_domain::ledger::{EntryKind, Posting};
use offhook_domain::purchase::{Purchase, PurchaseState};
use offhook_domain::{AccountId, AgentId, Country, E164, Id, NumberId, PurchaseId, VerificationId};
use offhook_store::sign_ups::{SignUp, SignUpPurchase, SignUpState};
use offhook_store::{StoreError, Tx};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::api_keys::{generate_secret, stored_key};
use super::buy_number::{BUYERS_TIME, BuyNumber, BuyNumberError, PATIENCE, ask, limit};
use super::codes::{self, Limit, TRIES, TooMany};
use super::offers::Offers;
use super::{App, hash_api_key};

const KEY_NAME: &str = "sign-up key";

/// What somebody enters.
#[derive(Debug, Clone)]
pub struct Entered {
    pub id: VerificationId,
    pub code: String,
    /// How he heard of us.
    pub source: Option<String>,
    pub from: Option<IpAddr>,
}

/// The account that was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpenedAccount {
    pub account_id: AccountId,
    pub agent_id: AgentId,
    pub number_id: NumberId,
    pub phone_number: E164,
    pub api_key: String,
}

/// Why there is no account. After any but `Unconfirmed` and `UnderWay` nothing was bought.
#[derive(Debug, thiserror::Error)]
pub enum OpenAccountError {
    #[error("verification not found")]
    NoSuchSignUp,
    #[error("the code has expired: sign up again")]
    Expired,
    #[error("no tries are left: sign up again")]
    NoTriesLeft,
    #[error("the code is wrong; it can be entered {0} more times")]
    WrongCode(i64),
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error("the account is being made: enter the code again in a minute")]
    UnderWay,
    #[error("{0} has an account already")]
    HasAccount(String),
    #[error("the credit of a new account does not cover a number, so that none can be made; tell the operator")]
    NotCovered,
    #[error("the carrier may have sold a number and we are finding out: enter the code again in a minute or two")]
    Unconfirmed,
    #[error(transparent)]
    Buying(BuyNumberError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes the account of a sign-up whose code is right.
///
/// # Errors
/// [`OpenAccountError`].
pub async fn open_account(app: &App, entered: Entered) -> Result<OpenedAccount, OpenAccountError> {
    let sign_up = match check_code(app, &entered).await? {
        Checked::Open(sign_up) => sign_up,
        Checked::Done(answer) => return Ok(answer),
    };
    let prices = app.prices();
    if prices.sign_up_credit < prices.number_period || limit(app) < 1 {
        return Err(OpenAccountError::NotCovered);
    }
    let deadline = Instant::now() + PATIENCE;
    let order = order(AccountId::generate(app.now()));
    let offers = Offers::of(app, &order, deadline).await?;
    let mut offers = offers.ok_or(OpenAccountError::Buying(BuyNumberError::NoCarrier))?;
    let first = offers.next().await.map_err(OpenAccountError::Buying)?;
    let first = first.ok_or(OpenAccountError::Buying(BuyNumberError::NoneLeft(order.country)))?;
    let purchase = begin(app, &sign_up, offers.carrier().name(), first).await?;
    let bought = buy(app, purchase, &mut offers, deadline).await?;
    finish(app, &sign_up, &bought, order, entered.source).await
}

enum Checked {
    Open(SignUp),
    /// It was made before; the same answer again.
    Done(OpenedAccount),
}

/// Takes a try before the code is looked at, so that however many are entered at once, no more than five wrong ones are
/// looked at. A right one gives its try back.
async fn check_code(app: &App, entered: &Entered) -> Result<Checked, OpenAccountError> {
    let (now, entered, sealer) = (app.now(), entered.clone(), app.sealer.clone());
    let of_address = app.config.sign_up.per_address_per_hour.saturating_mul(TRIES as u32);
    let limits = limits(app, entered.from);
    let checked = async move |tx: &mut Tx| {
        if let Err(too_many) = codes::count(tx, &limits, now).await? {
            return Ok(Err(too_many.into()));
        }
        let has_try = tx.try_sign_up(&entered.id, TRIES).await?;
        let Some(sign_up) = tx.sign_up(&entered.id).await? else {
            return Ok(Err(OpenAccountError::NoSuchSignUp));
        };
        if sign_up.expires_at <= now {
            return Ok(Err(OpenAccountError::Expired));
        }
        if !has_try {
            return Ok(Err(OpenAccountError::NoTriesLeft));
        }
        let of_address = Limit::of("codes entered for this address", &sign_up.email, of_address, &sealer);
        if let Err(too_many) = codes::count(tx, &[of_address], now).await? {
            return Ok(Err(too_many.into()));
        }
        if !sealer.is_code(entered.id.as_str(), &entered.code, &sign_up.code_hash) {
            return Ok(Err(OpenAccountError::WrongCode(TRIES - sign_up.tries)));
        }
        tx.forgive_sign_up(&entered.id).await?;
        Ok::<_, StoreError>(match (sign_up.state, &sign_up.answer) {
            (SignUpState::Done, Some(answer)) => {
                let opened = sealer.open(answer).ok().and_then(|text| serde_json::from_str(&text).ok());
                let unreadable = || StoreError::Corrupt("the answer to a sign-up".to_owned());
                Ok(Checked::Done(opened.ok_or_else(unreadable)?))
            }
            (SignUpState::Open, _) if tx.has_email(&sign_up.email).await? => {
                Err(OpenAccountError::HasAccount(sign_up.email))
            }
            (SignUpState::Open, _) => Ok(Checked::Open(sign_up)),
            (SignUpState::Buying | SignUpState::Done, _) => Err(OpenAccountError::UnderWay),
        })
    };
    app.store.write(checked).await?
}

fn limits(app: &App, from: Option<IpAddr>) -> Vec<Limit> {
    let settings = &app.config.sign_up;
    let tries = |codes: u32| codes.saturating_mul(TRIES as u32);
    let mut limits = vec![Limit::of_all("codes entered", tries(settings.per_hour))];
    if let Some(from) = from {
        let per_hour = tries(settings.per_ip_per_hour);
        limits.push(Limit::of("codes entered from your network", &from.to_string(), per_hour, &app.sealer));
    }
    limits
}

fn order(account: AccountId) -> BuyNumber {
    BuyNumber {
        account,
        country: Country::US,
        area_code: None,
        phone_number: None,
        agent_id: None,
        kind: "sms".to_owned(),
        external_id: None,
        expires_at: None,
    }
}

/// The first transaction: from now on the sign-up is this buyer's.
async fn begin(
    app: &App,
    sign_up: &SignUp,
    carrier: &str,
    phone_number: E164,
) -> Result<SignUpPurchase, OpenAccountError> {
    let now = app.now();
    let purchase = SignUpPurchase {
        sign_up: sign_up.id.clone(),
        id: PurchaseId::generate(now),
        carrier: carrier.to_owned(),
        phone_number,
        asked_at: now,
        settle_after: now.plus(BUYERS_TIME),
    };
    let begun = purchase.clone();
    if app.store.write::<_, StoreError>(async move |tx: &mut Tx| tx.begin_sign_up_purchase(&begun).await).await? {
        Ok(purchase)
    } else {
        Err(OpenAccountError::UnderWay)
    }
}

/// Asks the carrier for one number after another.
async fn buy(
    app: &App,
    mut purchase: SignUpPurchase,
    offers: &mut Offers<'_>,
    deadline: Instant,
) -> Result<SignUpPurchase, OpenAccountError> {
    loop {
        let why = match ask(offers, &purchase.id, &purchase.phone_number, deadline).await {
            Ok(()) => return Ok(purchase),
            Err(BuyError::Unknown(why)) => {
                tracing::warn!(purchase.id = %purchase.id, why, "the carrier's answer to a sign-up's purchase is unknown");
                leave(app, &purchase).await;
                return Err(OpenAccountError::Unconfirmed);
            }
            Err(BuyError::Refused(why)) => BuyNumberError::Refused(why),
            Err(BuyError::NotBought(why)) => BuyNumberError::CarrierFailed(why),
            Err(BuyError::Taken) => match offers.next().await {
                Ok(Some(next)) => {
                    purchase.phone_number = next;
                    let repointed = purchase.clone();
                    let repoint = async move |tx: &mut Tx| tx.repoint_sign_up(&repointed).await;
                    if app.store.write::<_, StoreError>(repoint).await? {
                        continue;
                    }
                    return Err(OpenAccountError::UnderWay);
                }
                Ok(None) => BuyNumberError::NoneLeft(Country::US),
                Err(error) => error,
            },
        };
        // Where this fails the reconciler does it.
        let reopened = purchase.clone();
        if let Err(error) =
            app.store.write::<_, StoreError>(async move |tx: &mut Tx| tx.reopen_sign_up(&reopened).await).await
        {
            tracing::warn!(purchase.id = %purchase.id, %error, "a sign-up could not be opened again yet");
        }
        return Err(OpenAccountError::Buying(why));
    }
}

/// Has the reconciler come at once.
async fn leave(app: &App, purchase: &SignUpPurchase) {
    let (left, now) = (purchase.clone(), app.now());
    let left = app.store.write::<_, StoreError>(async move |tx: &mut Tx| tx.leave_sign_up(&left, now).await).await;
    if let Err(error) = left {
        tracing::warn!(purchase.id = %purchase.id, %error, "a sign-up waits for its buyer's time to be up");
    }
    app.wakes.numbers.notify_one();
}

/// Why the last transaction came to nothing; the number goes back.
#[derive(Debug)]
enum NotMade {
    /// Somebody ended it: the time was up.
    TooLate,
    /// Its address got an account meanwhile.
    HasAccount,
    HeldHere,
    NotCovered,
    Store(StoreError),
}

impl From<StoreError> for NotMade {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The last transaction: account, credit, agent, number, its price, key and the answer, or nothing of it.
async fn finish(
    app: &App,
    sign_up: &SignUp,
    bought: &SignUpPurchase,
    order: BuyNumber,
    source: Option<String>,
) -> Result<OpenedAccount, OpenAccountError> {
    let new = NewAccount { sign_up: sign_up.clone(), bought: bought.clone(), order, source };
    let doors = app.clone();
    let why = match app.store.write(async move |tx: &mut Tx| new.keep(&doors, tx).await).await {
        Ok(opened) => {
            tracing::info!(account.id = %opened.account_id, "an account was opened by sign-up");
            return Ok(opened);
        }
        Err(NotMade::Store(error)) => {
            // Nobody knows whether it is kept. Where it is not, the reconciler gives the number back.
            tracing::error!(purchase.id = %bought.id, %error, "an account could not be kept, or nobody knows");
            leave(app, bought).await;
            return Err(OpenAccountError::Unconfirmed);
        }
        Err(why) => why,
    };
    let (unused, now) = (bought.clone(), app.now());
    let back = async move |tx: &mut Tx| give_up(tx, &unused, now).await;
    match app.store.write::<_, StoreError>(back).await {
        Ok(()) => app.wakes.numbers.notify_one(),
        Err(error) => {
            tracing::warn!(purchase.id = %bought.id, %error, "a number is given back when the buyer's time is up")
        }
    }
    Err(match why {
        NotMade::HasAccount => OpenAccountError::HasAccount(sign_up.email.clone()),
        NotMade::NotCovered => OpenAccountError::NotCovered,
        NotMade::HeldHere => OpenAccountError::Buying(BuyNumberError::CarrierFailed(
            "it sold a number that is held here already".to_owned(),
        )),
        NotMade::TooLate | NotMade::Store(_) => OpenAccountError::UnderWay,
    })
}

/// Has the carrier take back what it sold for a sign-up, whose code can be entered again. A number that is held here by
/// then stays where it is.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn give_up(
    tx: &mut Tx,
    unused: &SignUpPurchase,
    now: offhook_domain::Timestamp,
) -> Result<(), StoreError> {
    tx.reopen_sign_up(unused).await?;
    if tx.holder_of(&unused.phone_number).await?.is_none() {
        let number = NumberId::generate(now);
        tx.give_back(&number, &unused.carrier, &unused.phone_number, Some(&unused.id), now).await?;
    }
    Ok(())
}

/// What an account is made of.
struct NewAccount {
    sign_up: SignUp,
    bought: SignUpPurchase,
    order: BuyNumber,
    source: Option<String>,
}

impl NewAccount {
    async fn keep(&self, app: &App, tx: &mut Tx) -> Result<OpenedAccount, NotMade> {
        let now = app.now();
        let (account, agent) = (&self.order.account, self.agent(now));
        let mut purchase = self.purchase(app, now);
        purchase.agent_id = Some(agent.id.clone());
        let paid_until = now.plus(app.config.numbers.period());
        let number = purchase.number(NumberId::generate(now), now, paid_until);
        let secret = generate_secret(app.config.mode.sandbox);
        let opened = OpenedAccount {
            account_id: account.clone(),
            agent_id: agent.id.clone(),
            number_id: number.id.clone(),
            phone_number: number.phone_number.clone(),
            api_key: secret.clone(),
        };
        let answer = serde_json::to_string(&opened).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        if !tx.finish_sign_up(&self.bought, &app.sealer.seal(&answer)).await? {
            return Err(NotMade::TooLate);
        }
        if tx.holder_of(&number.phone_number).await?.is_some() {
            return Err(NotMade::HeldHere);
        }
        if !tx.take_email(&self.sign_up.email, account, self.source.as_ref(), now).await? {
            return Err(NotMade::HasAccount);
        }
        tx.create_account(account, &self.sign_up.email, now).await?;
        let mut scope = tx.of(account);
        let amount = app.prices().sign_up_credit;
        scope.post(&Posting { kind: EntryKind::Credit, amount, reference: "sign-up".to_owned(), at: now }).await?;
        scope.insert_agent(&agent).await?;
        if !scope.hold_number(limit(app)).await?
            || !scope.post_covered(&purchase.posting(EntryKind::NumberHold, now)).await?
        {
            return Err(NotMade::NotCovered);
        }
        scope.insert_purchase(&purchase).await?;
        scope.store_purchase(&purchase.id, &number.id).await?;
        scope.insert_number(&number).await?;
        scope.post(&purchase.posting(EntryKind::NumberBought, now)).await?;
        scope.add_key(&stored_key(&secret, KEY_NAME, now), &hash_api_key(&secret)).await?;
        Ok(opened)
    }

    fn agent(&self, now: offhook_domain::Timestamp) -> Agent {
        Agent {
            id: AgentId::generate(now),
            account_id: self.order.account.clone(),
            name: self.sign_up.agent_name.clone(),
            profile: AgentProfile::default(),
            created_at: now,
        }
    }

    fn purchase(&self, app: &App, now: offhook_domain::Timestamp) -> Purchase {
        Purchase {
            id: self.bought.id.clone(),
            account_id: self.order.account.clone(),
            state: PurchaseState::Reserved,
            carrier: self.bought.carrier.clone(),
            phone_number: self.bought.phone_number.clone(),
            country: self.order.country,
            kind: self.order.kind.clone(),
            agent_id: None,
            external_id: None,
            expires_at: None,
            price: app.prices().number_period,
            once_key: None,
            settle_after: now,
            created_at: self.bought.asked_at,
        }
    }
}
