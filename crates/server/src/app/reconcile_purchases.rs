//! Ends purchases that were left half way: by a crash, by a client that went away, by an answer that was lost.
//!
//! In: open purchases whose buyer's time is up. Out: each stored or undone, as the carrier says. The worker of
//! numbers does this all the time, a first start before it buys.

use std::time::Duration;

use futures_util::future::ready;
use futures_util::{StreamExt, stream};
use offhook_domain::purchase::Purchase;
use offhook_domain::{E164, PurchaseId, Timestamp};
use offhook_store::{Engine, StoreError, Tx};
use tokio::time::timeout;

use super::App;
use super::settle_purchase::{Ended, keep_purchase, undo_purchase};

const AT_A_TIME: i64 = 50;
/// How many carriers' answers are waited for at once, so that one that hangs holds up few.
pub const AT_ONCE: usize = 8;

/// Who has claimed a purchase has this long for it; then it is tried again.
pub(super) const CLAIM: Duration = Duration::from_secs(30);
/// A carrier that has not answered by then is asked again later.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a purchase is looked for whose order the carrier does not know yet.
pub(super) const AGAIN: Duration = Duration::from_secs(5);
/// An order that a carrier does not know this long after it was sent will not turn up any more.
const CERTAIN: Duration = Duration::from_secs(90);

/// On SQLite there is one process, so whoever began a purchase before it started is gone: nobody need wait for
/// him.
///
/// # Errors
/// [`StoreError`].
pub async fn adopt_orphans(app: &App) -> Result<(), StoreError> {
    let (now, started_at) = (app.now(), app.started_at);
    match app.store.engine() {
        Engine::Sqlite => app.store.write(async move |tx: &mut Tx| tx.adopt_purchases(now, started_at).await).await,
        Engine::Postgres => Ok(()),
    }
}

/// Goes through the purchases to settle; tells how many it ended.
///
/// # Errors
/// [`StoreError`].
pub async fn reconcile_purchases(app: &App) -> Result<usize, StoreError> {
    let now = app.now();
    let open = app.store.read::<_, StoreError>(async move |tx| tx.purchases_to_settle(now, AT_A_TIME).await).await?;
    let each = open.into_iter().map(async |purchase| {
        claim_and_settle(app, &purchase).await.unwrap_or_else(|error| {
            tracing::warn!(purchase.id = %purchase.id, %error, "a purchase left open could not be ended; it is tried again");
            false
        })
    });
    Ok(stream::iter(each).buffer_unordered(AT_ONCE).filter(|ended| ready(*ended)).count().await)
}

async fn claim_and_settle(app: &App, purchase: &Purchase) -> Result<bool, StoreError> {
    let until = app.now().plus(CLAIM);
    if !claim(app, purchase, until).await? {
        return Ok(false);
    }
    settle(app, &Purchase { settle_after: until, ..purchase.clone() }).await
}

async fn claim(app: &App, purchase: &Purchase, until: Timestamp) -> Result<bool, StoreError> {
    let purchase = purchase.clone();
    app.store.write(async move |tx: &mut Tx| tx.claim_purchase(&purchase, until).await).await
}

/// Ends a purchase that we claimed, where the carrier says how. Whether it came to its end.
async fn settle(app: &App, purchase: &Purchase) -> Result<bool, StoreError> {
    match find_order(app, &purchase.carrier, &purchase.id).await {
        Found::Number(number) => {
            keep(app, purchase, number).await?;
            Ok(true)
        }
        Found::Nothing if is_certain(app, purchase.created_at) => {
            undo_purchase(app, purchase).await?;
            tracing::info!(purchase.id = %purchase.id, "a purchase left open was not sold and is undone");
            // An order that came to the carrier behind our question: it is undone, so the number goes back.
            if let Found::Number(number) = find_order(app, &purchase.carrier, &purchase.id).await {
                keep(app, purchase, number).await?;
            }
            Ok(true)
        }
        Found::Nothing => {
            ask_again(app, purchase).await?;
            Ok(false)
        }
        Found::NoAnswer => Ok(false),
    }
}

/// What a carrier says of an order.
pub(super) enum Found {
    Number(E164),
    Nothing,
    NoAnswer,
}

/// Asks a carrier what became of an order whose answer is not known.
pub(super) async fn find_order(app: &App, carrier: &str, reference: &PurchaseId) -> Found {
    let Some(carrier) = app.carriers.named(carrier) else {
        tracing::warn!(purchase.id = %reference, carrier, "a purchase waits for its carrier, which is not configured");
        return Found::NoAnswer;
    };
    match timeout(PATIENCE, carrier.find_order(reference)).await {
        Ok(Ok(Some(number))) => Found::Number(number),
        Ok(Ok(None)) => Found::Nothing,
        Ok(Err(error)) => {
            tracing::warn!(purchase.id = %reference, %error, "the carrier can't say what became of a purchase");
            Found::NoAnswer
        }
        Err(_) => {
            tracing::warn!(purchase.id = %reference, "the carrier does not say what became of a purchase");
            Found::NoAnswer
        }
    }
}

/// Stores what was sold; the number of a purchase that is undone goes back to the carrier.
async fn keep(app: &App, purchase: &Purchase, phone_number: E164) -> Result<(), StoreError> {
    let bought = Purchase { phone_number, ..purchase.clone() };
    let stored = matches!(keep_purchase(app, &bought).await?, Ended::Stored(_));
    tracing::info!(purchase.id = %purchase.id, stored, "a purchase left open was sold");
    Ok(())
}

/// Comes back to a claimed purchase before its claim is over.
async fn ask_again(app: &App, purchase: &Purchase) -> Result<(), StoreError> {
    let (purchase, later) = (purchase.clone(), app.now().plus(AGAIN));
    app.store.write(async move |tx: &mut Tx| tx.claim_purchase(&purchase, later).await.map(drop)).await
}

/// The sandbox's memory is our own store, which knows at once what it sold. Elsewhere an order may still be on
/// its way when its answer is given up.
pub(super) fn is_certain(app: &App, asked_at: Timestamp) -> bool {
    app.config.mode.sandbox || app.now().since(asked_at) >= CERTAIN
}
