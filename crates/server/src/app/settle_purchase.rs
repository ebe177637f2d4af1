//! How a purchase ends: stored, or undone. For the buyer and for the reconciler, who may come to it at the same
//! time from different nodes; the first ends it.

use offhook_domain::guards::day_of;
use offhook_domain::ledger::EntryKind;
use offhook_domain::number::Number;
use offhook_domain::purchase::{Purchase, PurchaseState};
use offhook_domain::{Id, NumberId, Timestamp};
use offhook_store::{StoreError, Tx};

use super::App;
use crate::http::numbers::NumberView;

/// The end of a purchase.
#[derive(Debug)]
pub enum Ended {
    Stored(Box<Number>),
    /// Somebody undid it before; the number goes back to the carrier.
    Undone,
    /// The carrier sold a number that is active here already. It came to nothing, and the number stays where it is.
    HeldHere,
}

/// Ends a purchase that the carrier says it sold: number, money and kept answer in one transaction.
///
/// # Errors
/// [`StoreError`]; then the purchase is still open.
pub async fn keep_purchase(app: &App, purchase: &Purchase) -> Result<Ended, StoreError> {
    let purchase_id = purchase.id.clone();
    let (purchase, now, doors) = (purchase.clone(), app.now(), app.clone());
    let period = app.config.numbers.period();
    let ended = app
        .store
        .write(async move |tx: &mut Tx| {
            let number = purchase.number(NumberId::generate(now), now, now.plus(period));
            if tx.holder_of(&purchase.phone_number).await?.is_some() && undo(tx, &purchase, now).await? {
                return Ok(Ended::HeldHere);
            }
            if !tx.of(&purchase.account_id).store_purchase(&purchase.id, &number.id).await? {
                return ended_before(tx, &purchase, number, now).await;
            }
            store(&doors, tx, &purchase, number, now).await
        })
        .await?;
    match ended {
        Ended::Stored(_) => {}
        Ended::Undone => app.wakes.numbers.notify_one(),
        Ended::HeldHere => {
            tracing::error!(purchase.id = %purchase_id, "the carrier sold a number that is active here already; the purchase is undone");
        }
    }
    Ok(ended)
}

async fn store(
    app: &App,
    tx: &mut Tx,
    purchase: &Purchase,
    mut number: Number,
    now: Timestamp,
) -> Result<Ended, StoreError> {
    let mut scope = tx.of(&purchase.account_id);
    if let Some(agent) = &number.agent_id
        && scope.agent_to_change(agent).await?.is_none()
    {
        // Deleted while the carrier was asked, which takes it from its numbers.
        number.agent_id = None;
    }
    scope.insert_number(&number).await?;
    scope.post(&purchase.posting(EntryKind::NumberBought, now)).await?;
    if let Some(key) = &purchase.once_key {
        let standing = scope.standing().await?;
        let view = NumberView::of(&app.config, &number, standing.as_ref());
        let body = serde_json::to_string(&view).map_err(|e| StoreError::Corrupt(e.to_string()))?;
        scope.finish_once(key, purchase.created_at, 200, Some(&app.sealer.seal(&body))).await?;
    }
    Ok(Ended::Stored(Box::new(number)))
}

/// The other one was faster. Where it undid the purchase the carrier must have its number back.
async fn ended_before(tx: &mut Tx, purchase: &Purchase, unused: Number, now: Timestamp) -> Result<Ended, StoreError> {
    let mut scope = tx.of(&purchase.account_id);
    if let Some((PurchaseState::Stored, Some(id))) = scope.purchase_outcome(&purchase.id).await?
        && let Some(number) = scope.number(&id).await?
    {
        return Ok(Ended::Stored(Box::new(number)));
    }
    if tx.holder_of(&purchase.phone_number).await?.is_some() {
        return Ok(Ended::HeldHere);
    }
    tx.give_back(&unused.id, &purchase.carrier, &purchase.phone_number, Some(&purchase.id), now).await?;
    Ok(Ended::Undone)
}

/// Ends a purchase that came to nothing: its place of the limit, its money and its key are free again. One that
/// has ended stays as it is.
///
/// # Errors
/// [`StoreError`]; then the purchase is still open.
pub async fn undo_purchase(app: &App, purchase: &Purchase) -> Result<(), StoreError> {
    let (purchase, now) = (purchase.clone(), app.now());
    app.store.write(async move |tx: &mut Tx| undo(tx, &purchase, now).await.map(drop)).await
}

/// False when it has ended before.
async fn undo(tx: &mut Tx, purchase: &Purchase, now: Timestamp) -> Result<bool, StoreError> {
    let mut scope = tx.of(&purchase.account_id);
    if !scope.undo_purchase(&purchase.id).await? {
        return Ok(false);
    }
    // The account before its books, as a purchase takes them: the other way round they would wait for each other.
    scope.drop_number().await?;
    scope.post(&purchase.posting(EntryKind::NumberHoldReturned, now)).await?;
    if let Some(key) = &purchase.once_key {
        scope.forget_once(key, purchase.created_at).await?;
    }
    tx.give_back_spending(&purchase.account_id, day_of(purchase.created_at), purchase.price).await?;
    Ok(true)
}
