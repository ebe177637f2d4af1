//! Buying a number, for the API and the first start.
//!
//! In: who wants which number. Out: the number, bought at the carrier and stored here, or neither of the two.
//! The steps: hold a place of the limit and the price → buy at the carrier under our own reference → store.
//! What a crash or a lost answer leaves open between two of them, `jobs::reconcile_purchases` brings to its end.

use std::time::Duration;

use offhook_carriers::{BuyError, NumberOrder};
use offhook_domain::ledger::{Book, EntryKind};
use offhook_domain::purchase::{Purchase, PurchaseState};
use offhook_domain::{AccountId, AgentId, Country, E164, Id, Micros, PurchaseId, Timestamp};
use offhook_store::{StoreError, Tx};
use tokio::time::{Instant, timeout_at};

use super::App;
use super::guards::{Guarding, SpendLimitReached};
use super::offers::Offers;
use super::settle_purchase::{Ended, keep_purchase, undo_purchase};
use crate::http::error::ApiError;
use crate::http::once::{Once, Reply};
use crate::telemetry::names;

/// A purchase takes no longer; whatever the carrier has not answered by then is unknown.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// The reconciler leaves a purchase to its buyer for this long. Well above `PATIENCE`: a buyer that was paused
/// sees that his time is up before he goes to the carrier again.
pub(super) const BUYERS_TIME: Duration = Duration::from_secs(60);

/// What is wanted.
#[derive(Debug, Clone)]
pub struct BuyNumber {
    pub account: AccountId,
    pub country: Country,
    /// Best effort: when none is left in it, any number of the country will do.
    pub area_code: Option<String>,
    /// This very number, or none.
    pub phone_number: Option<E164>,
    pub agent_id: Option<AgentId>,
    pub kind: String,
    pub external_id: Option<String>,
    pub expires_at: Option<Timestamp>,
}

/// What came of it.
#[derive(Debug)]
pub enum Bought {
    Now(offhook_domain::number::Number),
    /// Bought by an earlier request with the same `Idempotency-Key`: its answer.
    Before(Reply),
}

/// Why nothing was bought, or not for sure.
#[derive(Debug, thiserror::Error)]
pub enum BuyNumberError {
    #[error("agent not found")]
    NoSuchAgent,
    #[error("the sub-account is closed")]
    AccountClosed,
    #[error("the account holds its limit of {0} numbers")]
    Limit(i64),
    #[error("a number costs {0}, which the balance does not cover")]
    Balance(Micros),
    #[error(transparent)]
    SpendLimit(#[from] SpendLimitReached),
    #[error("no carrier is configured, so no number can be bought")]
    NoCarrier,
    #[error("no number is left in {0}")]
    NoneLeft(Country),
    #[error("{0} is not for sale")]
    NotForSale(E164),
    #[error("the carrier refused: {0}")]
    Refused(String),
    #[error("the carrier failed and nothing was bought: {0}")]
    CarrierFailed(String),
    #[error(
        "the carrier may have sold the number and we are finding out: it appears in the list of numbers within a \
        minute or two, or was not bought"
    )]
    Unconfirmed,
    /// The `Idempotency-Key` can't be used.
    #[error("the Idempotency-Key was refused")]
    Key(ApiError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ApiError> for BuyNumberError {
    fn from(error: ApiError) -> Self {
        Self::Key(error)
    }
}

/// Buys a number.
///
/// # Errors
/// [`BuyNumberError`]. After any but `Unconfirmed` nothing was bought and nothing is held.
pub async fn buy_number(app: &App, order: BuyNumber, once: &Once) -> Result<Bought, BuyNumberError> {
    let deadline = Instant::now() + PATIENCE;
    if let Some(reply) = check(app, &order, once).await? {
        once.settle();
        return Ok(Bought::Before(reply));
    }
    let mut offers = Offers::of(app, &order, deadline).await?.ok_or(BuyNumberError::NoCarrier)?;
    let Some(first) = offers.next().await? else { return Err(none_left(&order)) };
    let purchase = match reserve(app, &order, offers.carrier().name(), first, once).await? {
        Reserved::Now(purchase) => purchase,
        Reserved::Before(reply) => {
            once.settle();
            return Ok(Bought::Before(reply));
        }
    };
    let ended = ask_and_settle(app, &order, purchase, &mut offers, deadline).await;
    if leaves_key_claimed(&ended) {
        once.settle();
    }
    ended.map(Bought::Now)
}

/// Whether the store has, or will have, the outcome under the key.
fn leaves_key_claimed<T>(ended: &Result<T, BuyNumberError>) -> bool {
    matches!(ended, Ok(_) | Err(BuyNumberError::Unconfirmed | BuyNumberError::Store(_)))
}

/// What can be refused without asking the carrier; the answer under the key where there is one.
async fn check(app: &App, order: &BuyNumber, once: &Once) -> Result<Option<Reply>, BuyNumberError> {
    let (order, once, now, doors) = (order.clone(), once.clone(), app.now(), app.clone());
    let (limit, price) = (limit(app), app.prices().number_period);
    app.store
        .read(async move |tx: &mut Tx| {
            if let Some(reply) = once.look(tx, &order.account, now).await? {
                return Ok(Some(reply));
            }
            let mut scope = tx.of(&order.account);
            if let Some(agent) = &order.agent_id
                && scope.agent(agent).await?.is_none()
            {
                return Err(BuyNumberError::NoSuchAgent);
            }
            if scope.numbers_held().await? >= limit {
                return Err(BuyNumberError::Limit(limit));
            }
            if !price.is_zero() && scope.balance(Book::Wallet).await? < price {
                return Err(BuyNumberError::Balance(price));
            }
            Guarding::of(&doors.config).may_spend(tx, &order.account, price, now).await??;
            Ok(None)
        })
        .await
}

enum Reserved {
    Now(Purchase),
    Before(Reply),
}

/// The first transaction: a place of the limit, the price, which counts towards the day's spending, and the purchase that holds both.
async fn reserve(
    app: &App,
    order: &BuyNumber,
    carrier: &str,
    phone_number: E164,
    once: &Once,
) -> Result<Reserved, BuyNumberError> {
    let (now, limit) = (app.now(), limit(app));
    let purchase = Purchase {
        id: PurchaseId::generate(now),
        account_id: order.account.clone(),
        state: PurchaseState::Reserved,
        carrier: carrier.to_owned(),
        phone_number,
        country: order.country,
        kind: order.kind.clone(),
        agent_id: order.agent_id.clone(),
        external_id: order.external_id.clone(),
        expires_at: order.expires_at,
        price: app.prices().number_period,
        once_key: once.key().map(str::to_owned),
        settle_after: now.plus(BUYERS_TIME),
        created_at: now,
    };
    let (once, doors) = (once.clone(), app.clone());
    app.store
        .write(async move |tx: &mut Tx| {
            // As of `created_at`, by which the purchase will know its key again.
            if let Some(reply) = once.begin(tx, &purchase.account_id, purchase.created_at).await? {
                return Ok(Reserved::Before(reply));
            }
            let mut scope = tx.of(&purchase.account_id);
            if !scope.hold_number(limit).await? {
                let closed = scope.numbers_held().await? < limit;
                return Err(if closed { BuyNumberError::AccountClosed } else { BuyNumberError::Limit(limit) });
            }
            // As of `created_at`: by its day it is taken off again where nothing comes of the purchase.
            let (account, price, at) = (&purchase.account_id, purchase.price, purchase.created_at);
            Guarding::of(&doors.config).spend(tx, account, price, at).await??;
            let mut scope = tx.of(&purchase.account_id);
            if !scope.post_covered(&purchase.posting(EntryKind::NumberHold, now)).await? {
                return Err(BuyNumberError::Balance(purchase.price));
            }
            scope.insert_purchase(&purchase).await?;
            Ok(Reserved::Now(purchase.clone()))
        })
        .await
}

/// Asks the carrier for one number after another, or one carrier after another for this very number, and ends the purchase as its answer says.
async fn ask_and_settle(
    app: &App,
    order: &BuyNumber,
    mut purchase: Purchase,
    offers: &mut Offers<'_>,
    deadline: Instant,
) -> Result<offhook_domain::number::Number, BuyNumberError> {
    loop {
        let why = match ask(offers, &purchase.id, &purchase.phone_number, deadline).await {
            Ok(()) => return store(app, &purchase).await,
            Err(BuyError::Unknown(why)) => return unconfirmed(app, &purchase, &why).await,
            Err(BuyError::Refused(why)) => BuyNumberError::Refused(why),
            Err(BuyError::NotBought(why)) => BuyNumberError::CarrierFailed(why),
            Err(BuyError::Taken) => match offers.next().await {
                Ok(Some(next)) => {
                    if repoint(app, &mut purchase, offers.carrier().name(), next).await? {
                        continue;
                    }
                    return Err(BuyNumberError::CarrierFailed("it took too long".to_owned()));
                }
                Ok(None) => none_left(order),
                Err(error) => error,
            },
        };
        // Where this fails the reconciler does it.
        if let Err(error) = undo_purchase(app, &purchase).await {
            tracing::warn!(purchase.id = %purchase.id, %error, "a purchase could not be undone yet");
        }
        return Err(why);
    }
}

/// Asks the carrier for one number.
pub(super) async fn ask(
    offers: &Offers<'_>,
    reference: &PurchaseId,
    phone_number: &E164,
    deadline: Instant,
) -> Result<(), BuyError> {
    if Instant::now() >= deadline {
        return Err(BuyError::NotBought("it took too long".to_owned()));
    }
    let order = NumberOrder { reference: reference.clone(), phone_number: phone_number.clone() };
    let carrier = offers.carrier();
    let asked = Instant::now();
    let answer = timeout_at(deadline, carrier.buy(&order)).await;
    let answer = answer.unwrap_or_else(|_| Err(BuyError::Unknown("no answer in time".to_owned())));
    metrics::histogram!(names::CARRIER_CALL_SECONDS, "carrier" => carrier.name(), "operation" => "buy")
        .record(asked.elapsed());
    metrics::counter!(names::CARRIER_OUTCOMES, "carrier" => carrier.name(), "outcome" => outcome(&answer)).increment(1);
    answer
}

fn outcome(answer: &Result<(), BuyError>) -> &'static str {
    match answer {
        Ok(()) => "bought",
        Err(BuyError::Taken) => "taken",
        Err(BuyError::Refused(_)) => "buy_refused",
        Err(BuyError::NotBought(_)) => "buy_failed",
        Err(BuyError::Unknown(_)) => "buy_unknown",
    }
}

async fn repoint(app: &App, purchase: &mut Purchase, carrier: &'static str, next: E164) -> Result<bool, StoreError> {
    purchase.phone_number = next.clone();
    carrier.clone_into(&mut purchase.carrier);
    let (account, id) = (purchase.account_id.clone(), purchase.id.clone());
    app.store.write(async move |tx: &mut Tx| tx.of(&account).repoint_purchase(&id, carrier, &next).await).await
}

/// The last transaction. From here on the number is bought: no failure of ours may say otherwise.
async fn store(app: &App, purchase: &Purchase) -> Result<offhook_domain::number::Number, BuyNumberError> {
    match keep_purchase(app, purchase).await {
        Ok(Ended::Stored(number)) => Ok(*number),
        Ok(Ended::HeldHere) => {
            Err(BuyNumberError::CarrierFailed("it sold a number that is held here already".to_owned()))
        }
        Ok(Ended::Undone) => Err(BuyNumberError::CarrierFailed("it took too long".to_owned())),
        Err(error) => {
            tracing::error!(purchase.id = %purchase.id, %error, "a bought number could not be stored yet");
            Err(BuyNumberError::Unconfirmed)
        }
    }
}

async fn unconfirmed(
    app: &App,
    purchase: &Purchase,
    why: &str,
) -> Result<offhook_domain::number::Number, BuyNumberError> {
    tracing::warn!(purchase.id = %purchase.id, why, "the carrier's answer to a purchase is unknown");
    let (account, id, now) = (purchase.account_id.clone(), purchase.id.clone(), app.now());
    let left = app.store.write(async move |tx: &mut Tx| tx.of(&account).unconfirm_purchase(&id, now).await).await;
    if let Err(error) = left {
        // It stays reserved, and the reconciler comes to it when the buyer's time is up.
        let _: StoreError = error;
    }
    app.wakes.numbers.notify_one();
    Err(BuyNumberError::Unconfirmed)
}

fn none_left(order: &BuyNumber) -> BuyNumberError {
    match &order.phone_number {
        Some(number) => BuyNumberError::NotForSale(number.clone()),
        None => BuyNumberError::NoneLeft(order.country),
    }
}

pub(super) fn limit(app: &App) -> i64 {
    i64::from(app.config.limits.numbers_per_account)
}
