//! Ends what sign-ups left half way at the carrier: by a crash, by an answer that was lost. What was sold goes back, and the
//! code can be entered again; no account is made that nobody has the key of.

use futures_util::future::ready;
use futures_util::{StreamExt, stream};
use offhook_domain::Timestamp;
use offhook_store::sign_ups::SignUpPurchase;
use offhook_store::{StoreError, Tx};

use super::App;
use super::open_account::give_up;
use super::reconcile_purchases::{AGAIN, AT_ONCE, CLAIM, Found, find_order, is_certain};

const AT_A_TIME: i64 = 50;

/// Goes through the sign-ups whose buyer's time is up; tells how many it ended.
///
/// # Errors
/// [`StoreError`].
pub async fn settle_sign_ups(app: &App) -> Result<usize, StoreError> {
    let now = app.now();
    let open = app.store.read::<_, StoreError>(async move |tx| tx.sign_ups_to_settle(now, AT_A_TIME).await).await?;
    let each = open.into_iter().map(async |purchase| {
        let id = purchase.id.clone();
        settle(app, purchase).await.unwrap_or_else(|error| {
            tracing::warn!(purchase.id = %id, %error, "a sign-up left half way could not be ended; it is tried again");
            false
        })
    });
    Ok(stream::iter(each).buffer_unordered(AT_ONCE).filter(|ended| ready(*ended)).count().await)
}

async fn settle(app: &App, mut purchase: SignUpPurchase) -> Result<bool, StoreError> {
    let until = app.now().plus(CLAIM);
    if !claim(app, &purchase, until).await? {
        return Ok(false);
    }
    purchase.settle_after = until;
    match find_order(app, &purchase.carrier, &purchase.id).await {
        Found::Number(number) => {
            end(app, SignUpPurchase { phone_number: number, ..purchase }).await?;
            Ok(true)
        }
        Found::Nothing if is_certain(app, purchase.asked_at) => {
            let reopened = purchase.clone();
            app.store.write::<_, StoreError>(async move |tx: &mut Tx| tx.reopen_sign_up(&reopened).await).await?;
            // An order that came to the carrier behind our question.
            if let Found::Number(number) = find_order(app, &purchase.carrier, &purchase.id).await {
                end(app, SignUpPurchase { phone_number: number, ..purchase }).await?;
            }
            Ok(true)
        }
        Found::Nothing => {
            claim(app, &purchase, app.now().plus(AGAIN)).await?;
            Ok(false)
        }
        Found::NoAnswer => Ok(false),
    }
}

async fn claim(app: &App, purchase: &SignUpPurchase, until: Timestamp) -> Result<bool, StoreError> {
    let purchase = purchase.clone();
    app.store.write::<_, StoreError>(async move |tx: &mut Tx| tx.claim_sign_up(&purchase, until).await).await
}

async fn end(app: &App, unused: SignUpPurchase) -> Result<(), StoreError> {
    let (id, now) = (unused.id.clone(), app.now());
    app.store.write::<_, StoreError>(async move |tx: &mut Tx| give_up(tx, &unused, now).await).await?;
    tracing::info!(purchase.id = %id, "a number that was sold for a sign-up left half way is given back");
    app.wakes.numbers.notify_one();
    Ok(())
}
