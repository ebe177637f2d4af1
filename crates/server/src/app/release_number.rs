//! Giving a number up: asked for by the API, or because its time or its money ran out.

use offhook_domain::guards::day_of;
use offhook_domain::ledger::{EntryKind, Posting};
use offhook_domain::message::{Failure, MessageStatus};
use offhook_domain::number::{Number, ReleaseReason};
use offhook_domain::{MessageId, NumberId, Timestamp};
use offhook_store::outcomes::{Flight, StatusMove};
use offhook_store::{StoreError, Tx};

use super::App;
use super::announce::{self, Listeners, Moved};

/// Releases a number within a transaction: its place of the limit is free, messages that wait to go out from it
/// fail, its owner's server is told, and the carrier gets it back behind the commit (ring `wakes.numbers` then). False when
/// it was released before. `number` is as it is in this transaction: it tells whose agent hears of it.
///
/// # Errors
/// [`StoreError`].
pub async fn release_number(
    app: &App,
    tx: &mut Tx,
    number: &Number,
    reason: ReleaseReason,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut scope = tx.of(&number.account_id);
    if !scope.release_number(&number.id, now).await? {
        return Ok(false);
    }
    scope.drop_number().await?;
    let reference = scope.purchase_of(&number.id).await?;
    tx.give_back(&number.id, &number.carrier, &number.phone_number, reference.as_ref(), now).await?;
    end_waiting_sends(app, tx, &number.id, now).await?;
    announce::number_released(tx, number, reason, now).await?;
    Ok(true)
}

/// Ends what waits to go out from a released number, and returns its price: somebody else may hold the number
/// next. What is claimed is left to its worker.
///
/// # Errors
/// [`StoreError`].
pub async fn end_waiting_sends(app: &App, tx: &mut Tx, number: &NumberId, now: Timestamp) -> Result<(), StoreError> {
    let ended = tx.end_waiting_sends(number).await?;
    let failure = Failure::new("30004", "the number was released before the message could be sent");
    fail_waiting(app, tx, &ended, &failure, now).await
}

/// Has messages fail whose jobs the caller has ended, and returns their prices.
///
/// # Errors
/// [`StoreError`].
pub async fn fail_waiting(
    app: &App,
    tx: &mut Tx,
    ended: &[MessageId],
    failure: &Failure,
    now: Timestamp,
) -> Result<(), StoreError> {
    if ended.is_empty() {
        return Ok(());
    }
    let flights: Vec<Flight> = tx.flights(ended).await?.into_iter().flatten().collect();
    let moves: Vec<_> = flights.iter().map(|flight| failed(flight, failure)).collect();
    let moved = tx.set_message_statuses(&moves).await?;
    let ended: Vec<Moved> = flights
        .into_iter()
        .zip(moved)
        .filter(|(_, moved)| *moved)
        .map(|(flight, _)| Flight { status: MessageStatus::Failed, ..flight })
        .map(|flight| Moved { flight, failure: Some(failure.clone()) })
        .collect();
    let refund = |flight: &Flight| {
        let (kind, reference) = (EntryKind::MessageRefund, flight.id.to_string());
        Posting { kind, amount: flight.price, reference, at: now }
    };
    let refunds: Vec<_> = ended.iter().map(|one| (&one.flight.account_id, refund(&one.flight))).collect();
    tx.post_all(&refunds).await?;
    for Moved { flight, .. } in &ended {
        tx.give_back_spending(&flight.account_id, day_of(flight.at), flight.price).await?;
    }
    announce::messages_moved(app, tx, &mut Listeners::default(), &ended).await?;
    Ok(())
}

fn failed<'a>(flight: &'a Flight, failure: &'a Failure) -> StatusMove<'a> {
    let (from, to) = (MessageStatus::Queued, MessageStatus::Failed);
    StatusMove { message: &flight.id, from, to, failure: Some(failure), delivered_at: None }
}
