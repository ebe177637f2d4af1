//! Charges numbers for their next period, and releases those that were not paid for, or were to end.
//!
//! A number that can't be paid stays for the grace: it is charged as soon as the balance covers it.

use std::time::Duration;

use offhook_domain::ledger::{EntryKind, Posting};
use offhook_domain::number::{Number, ReleaseReason};
use offhook_domain::{Id, NumberId, Timestamp};
use offhook_store::audit_log::{Actor, AuditLine};
use offhook_store::{StoreError, Tx};

use super::numbers::AT_A_TIME;
use crate::app::App;
use crate::app::release_number::release_number;

const DAY: u64 = 24 * 3600;

/// Does what is due; tells how many numbers it renewed or released.
///
/// # Errors
/// [`StoreError`].
pub async fn round(app: &App) -> Result<usize, StoreError> {
    // Payments first: who can pay by now keeps the number.
    let renewed = renew_due(app).await?;
    Ok(renewed + end_due(app).await?)
}

async fn renew_due(app: &App) -> Result<usize, StoreError> {
    let (now, price) = (app.now(), app.prices().number_period);
    let due = async move |tx: &mut Tx| {
        let mut due = tx.numbers_to_renew(now, AT_A_TIME).await?;
        due.extend(tx.numbers_payable(price, AT_A_TIME).await?);
        Ok::<_, StoreError>(due)
    };
    let mut renewed = 0;
    for number in app.store.read(due).await? {
        // Nobody pays for a number that is about to end.
        if number.expires_at.is_none_or(|end| end > now) {
            let id = number.id.clone();
            renewed += counted(&id, renew(app, number, now).await);
        }
    }
    Ok(renewed)
}

async fn end_due(app: &App) -> Result<usize, StoreError> {
    let now = app.now();
    let unpaid_since = now.minus(Duration::from_secs(u64::from(app.config.numbers.grace_days) * DAY));
    let due = async move |tx: &mut Tx| {
        let mut due = tx.numbers_expired(now, AT_A_TIME).await?;
        due.extend(tx.numbers_unpaid_since(unpaid_since, AT_A_TIME).await?);
        Ok::<_, StoreError>(due)
    };
    let mut ended = 0;
    for number in app.store.read(due).await? {
        let id = number.id.clone();
        ended += counted(&id, end(app, number, unpaid_since, now).await);
    }
    Ok(ended)
}

/// One number that fails holds up no other.
fn counted(number: &NumberId, done: Result<bool, StoreError>) -> usize {
    let done = done.inspect_err(
        |error| tracing::warn!(number.id = %number, %error, "a number could not be looked after; it is tried again"),
    );
    usize::from(done.unwrap_or(false))
}

/// Charges one number for one period, or notes that it is unpaid; false when nothing came of it.
async fn renew(app: &App, number: Number, now: Timestamp) -> Result<bool, StoreError> {
    let price = app.prices().number_period;
    let period = app.config.numbers.period();
    app.store
        .write(async move |tx: &mut Tx| {
            let mut scope = tx.of(&number.account_id);
            let next = number.renews_at.plus(period);
            if !scope.prolong_number(&number, next).await? {
                return Ok(false);
            }
            let reference = number.id.as_str().to_owned();
            let charge = Posting { kind: EntryKind::NumberRenewed, amount: price, reference, at: now };
            if scope.post_covered(&charge).await? {
                return Ok(true);
            }
            scope.number_is_unpaid(&number, number.unpaid_since.unwrap_or(now)).await?;
            Ok(number.unpaid_since.is_none())
        })
        .await
}

async fn end(app: &App, number: Number, unpaid_since: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
    let (id, doors) = (number.id.clone(), app.clone());
    let released = app
        .store
        .write(async move |tx: &mut Tx| {
            let mut scope = tx.of(&number.account_id);
            if !scope.number_must_end(&number, unpaid_since, now).await? {
                return Ok(false);
            }
            // As it is by now: it may have another agent, or end for another reason, than when it was looked for.
            let Some(number) = scope.number(&number.id).await? else { return Ok(false) };
            let has_expired = number.expires_at.is_some_and(|end| end <= now);
            let reason = if has_expired { ReleaseReason::Expired } else { ReleaseReason::Unpaid };
            if !release_number(&doors, tx, &number, reason, now).await? {
                return Ok(false);
            }
            // Nobody asked for it, so that no request is in the log.
            let line = AuditLine::of(Actor::System, "deleteNumber", number.id.as_str(), now);
            tx.of(&number.account_id).audit(&line).await?;
            Ok::<_, StoreError>(true)
        })
        .await?;
    if released {
        tracing::info!(number.id = %id, "a number was released: its end had come, or it was not paid for");
        app.wakes.numbers.notify_one();
    }
    Ok(released)
}
