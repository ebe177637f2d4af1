//! Deletes what is older than its account wants to keep: messages, calls, and what the log of deliveries tells of that time.
//!
//! In: the accounts that have set something. Out: nothing. Many short transactions, so that others are not held up; a
//! message that still waits to be sent stays.

use std::time::Duration;

use offhook_domain::{AccountId, Id, NumberId, Timestamp};
use offhook_store::{StoreError, Tx};

use crate::app::{App, media};

const DAY: Duration = Duration::from_secs(24 * 3600);
const ACCOUNTS: i64 = 100;
/// How much is deleted in one transaction, and of one list in one round.
const PORTION: i64 = 500;
const PORTIONS: usize = 100;

/// Goes through all accounts once.
///
/// # Errors
/// [`StoreError`].
pub async fn round(app: &App) -> Result<(), StoreError> {
    let mut after = String::new();
    loop {
        let from = after.clone();
        let find = async move |tx: &mut Tx| tx.retaining_accounts(&from, ACCOUNTS).await;
        let accounts = app.store.read::<_, StoreError>(find).await?;
        let Some((last, _)) = accounts.last() else { return Ok(()) };
        last.as_str().clone_into(&mut after);
        for (account, days) in &accounts {
            let kept = DAY * u32::try_from(*days).unwrap_or(u32::MAX);
            clean(app, account, app.now().minus(kept)).await?;
        }
    }
}

async fn clean(app: &App, account: &AccountId, before: Timestamp) -> Result<(), StoreError> {
    let ours = account.clone();
    let numbers = app.store.read::<_, StoreError>(async move |tx: &mut Tx| tx.of(&ours).numbers_ever().await).await?;
    for number in numbers {
        for _ in 0..PORTIONS {
            if delete_messages(app, account, &number, before).await? < PORTION as usize {
                break;
            }
        }
    }
    for _ in 0..PORTIONS {
        if delete_calls(app, account, before).await? < PORTION as usize {
            break;
        }
    }
    for _ in 0..PORTIONS {
        if drop_deliveries(app, account, before).await? < PORTION as usize {
            break;
        }
    }
    Ok(())
}

async fn delete_messages(
    app: &App,
    account: &AccountId,
    number: &NumberId,
    before: Timestamp,
) -> Result<usize, StoreError> {
    let (account, number) = (account.clone(), number.clone());
    let removals = media::removals(app);
    let delete = async move |tx: &mut Tx| tx.of(&account).delete_old_messages(&number, before, PORTION, removals).await;
    app.store.write(delete).await
}

async fn delete_calls(app: &App, account: &AccountId, before: Timestamp) -> Result<usize, StoreError> {
    let (account, now) = (account.clone(), app.now());
    app.store.write(async move |tx: &mut Tx| tx.of(&account).delete_old_calls(before, PORTION, now).await).await
}

async fn drop_deliveries(app: &App, account: &AccountId, before: Timestamp) -> Result<usize, StoreError> {
    let account = account.clone();
    app.store.write(async move |tx: &mut Tx| tx.of(&account).drop_old_deliveries(before, PORTION).await).await
}
