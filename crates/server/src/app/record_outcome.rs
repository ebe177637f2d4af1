//! What became of messages: the carrier's answers, or receipts. Doors: the sending worker and the carriers.
//!
//! Many at a time: the messages are read together, moved in memory ([`Moving`]), and written together, so that a
//! hundred outcomes cost PostgreSQL a handful of round trips.

mod moving;

use std::collections::HashMap;
use std::time::Duration;

use offhook_carriers::Receipt;
use offhook_domain::guards::day_of;
use offhook_domain::ledger::{EntryKind, Posting};
use offhook_domain::message::{Failure, MessageStatus, ReceiptStatus, SendOutcome};
use offhook_domain::{ConversationId, MessageId, Timestamp};
use offhook_store::outcomes::{EarlyReceipt, Flight, KeptReceipt};
use offhook_store::{Engine, StoreError, Tx};

use self::moving::{Group, Moving, Told};
use super::announce::{self, Listeners, Moved};
use super::{App, Ring};
use crate::jobs::lines::LeaseName;
use crate::telemetry::names;

/// One message and what its carrier said.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub message_id: MessageId,
    pub conversation_id: ConversationId,
    /// The two ends, by which conversations are put in order.
    pub from: String,
    pub to: String,
    pub carrier: String,
    /// Tries before this one that came to nothing.
    pub attempts: i64,
    /// Since when it could have gone: it is given up so long after that.
    pub tried_since: Timestamp,
    /// `None` where it was not handed over after all: it waits again.
    pub outcome: Option<SendOutcome>,
    /// The message behind it in its conversation, whose turn it is when this one is settled.
    pub next: Option<MessageId>,
}

impl Outcome {
    /// The carrier's own id, where it took the message.
    fn carrier_id(&self) -> Option<&str> {
        match &self.outcome {
            Some(SendOutcome::Accepted { carrier_message_id }) => Some(carrier_message_id),
            _ => None,
        }
    }
}

/// What recording outcomes led to.
#[derive(Debug, Default)]
pub struct Recorded {
    /// Conversations whose message will be tried again.
    pub held: Vec<ConversationId>,
    /// Messages that are claimed, for their turn has come.
    pub claimed: Vec<MessageId>,
}

/// What to do once the changes are committed.
#[derive(Debug, Default)]
pub struct After {
    rings: Vec<Ring>,
    moved: Vec<MessageStatus>,
    /// Carriers' ids whose receipt and answer may cross with another transaction: see [`apply_crossed`].
    pub crossing: Vec<(String, String)>,
}

impl After {
    /// Wakes and counts.
    pub fn commit(&self, app: &App) {
        for ring in &self.rings {
            app.wakes.ring(ring.clone());
        }
        for status in &self.moved {
            metrics::counter!(names::MESSAGES_SETTLED, "status" => status.as_str()).increment(1);
        }
    }
}

/// Records carriers' answers in one transaction, for jobs claimed under `epoch`, and claims those behind them.
///
/// # Errors
/// [`StoreError`]; then none is recorded.
pub async fn record(
    app: &App,
    outcomes: &[Outcome],
    epoch: i64,
    lease: Option<&LeaseName>,
) -> Result<Recorded, StoreError> {
    let lease = lease.cloned();
    let mut outcomes = outcomes.to_vec();
    // In the order of `Touch::order`, so that two transactions lock conversations in the same (PostgreSQL).
    outcomes.sort_by(|a, b| (&a.from, &a.to, &a.message_id).cmp(&(&b.from, &b.to, &b.message_id)));
    let doors = app.clone();
    let (recorded, after) = app
        .store
        .write::<_, StoreError>(async move |tx| {
            let mut held = Vec::new();
            let mut settled = Vec::with_capacity(outcomes.len());
            for outcome in &outcomes {
                if outcome.outcome.is_none() {
                    tx.unclaim_send_job(&outcome.message_id, epoch).await?;
                    held.push(outcome.conversation_id.clone());
                    continue;
                }
                match retry_wait(&doors, outcome) {
                    Some(wait) => {
                        let (since, due) = (outcome.tried_since, doors.now().plus(wait));
                        let (message, conversation) = (&outcome.message_id, &outcome.conversation_id);
                        tx.put_back_send_job(message, conversation, epoch, since, due).await?;
                        held.push(outcome.conversation_id.clone());
                    }
                    None => settled.push(outcome),
                }
            }
            let after = settle(&doors, tx, &settled, epoch).await?;
            let mut next: Vec<_> = settled.iter().filter_map(|outcome| outcome.next.as_ref()).collect();
            if !next.is_empty() && !is_ours(tx, lease.as_ref(), epoch).await? {
                next.clear();
            }
            let claims = tx.claim_send_jobs(&next, epoch).await?;
            let claimed = next.into_iter().zip(claims).filter(|(_, claimed)| *claimed).map(|(id, _)| id.clone());
            Ok((Recorded { held, claimed: claimed.collect() }, after))
        })
        .await?;
    after.commit(app);
    apply_crossed(app, after.crossing).await;
    Ok(recorded)
}

/// Whether the line is still its worker's, as of the commit: on PostgreSQL the lease's row stays locked until then, so
/// that nobody takes the line over meanwhile. Always so where there is no lease.
///
/// # Errors
/// [`StoreError`].
pub async fn is_ours(tx: &mut Tx, lease: Option<&LeaseName>, epoch: i64) -> Result<bool, StoreError> {
    match lease {
        Some(lease) => tx.confirm_lease(&lease.resource, &lease.owner, epoch).await,
        None => Ok(true),
    }
}

/// Ends messages whose outcome nobody knows, where they are still claimed under the epoch they were found with.
///
/// # Errors
/// [`StoreError`]; then none is ended.
pub async fn settle_unknown(app: &App, claims: Vec<(MessageId, i64)>) -> Result<(), StoreError> {
    let doors = app.clone();
    let after = app
        .store
        .write::<_, StoreError>(async move |tx| {
            let ours = tx.drop_send_jobs(&claims).await?;
            let claims = claims.iter().zip(ours).filter(|(_, ours)| *ours);
            let messages: Vec<_> = claims.map(|((id, _), _)| id.clone()).collect();
            let flights = tx.flights(&messages).await?;
            let mut moving: Vec<_> = flights.into_iter().flatten().map(Moving::new).collect();
            let interrupted = Failure::new("30001", "the sending was cut off; the carrier may have it");
            end_unconfirmed(tx, moving.iter_mut().map(|moving| (moving, &interrupted)).collect()).await?;
            write(&doors, tx, moving).await
        })
        .await?;
    after.commit(app);
    Ok(())
}

/// Applies receipts in the caller's transaction, or keeps those that came before their send's own answer.
///
/// # Errors
/// [`StoreError`].
pub async fn apply_receipts(app: &App, tx: &mut Tx, receipts: &[Receipt]) -> Result<After, StoreError> {
    let ids: Vec<_> = receipts.iter().map(|r| (r.carrier, r.carrier_message_id.as_str())).collect();
    let known = tx.flights_at_carrier(&ids).await?;
    let unknown: Vec<_> = receipts.iter().zip(&known).filter(|(_, flight)| flight.is_none()).map(|(r, _)| r).collect();
    let mut moving = Group::default();
    for (receipt, flight) in receipts.iter().zip(known) {
        if let Some(flight) = flight {
            moving.of(flight).receive(&kept(receipt));
        }
    }
    // A carrier that hands our id back settles a send whose own answer was lost.
    let ours: Vec<_> = unknown.iter().filter_map(|receipt| receipt.message_id.clone()).collect();
    let named: HashMap<_, _> =
        ours.iter().zip(tx.flights(&ours).await?).filter_map(|(id, flight)| Some((id, flight?))).collect();
    let (mut settling, mut early) = (Vec::new(), Vec::new());
    for receipt in unknown {
        let flight = receipt.message_id.as_ref().and_then(|id| named.get(id));
        // Its own answer may come in between the two look-ups.
        match flight.filter(|flight| flight.status != MessageStatus::Queued) {
            Some(flight) => {
                settling.push((&flight.id, receipt.carrier_message_id.as_str()));
                moving.of(flight.clone()).receive(&kept(receipt));
            }
            None => early.push(EarlyReceipt {
                carrier: receipt.carrier,
                message: receipt.message_id.as_ref(),
                receipt: kept(receipt),
            }),
        }
    }
    tx.set_carrier_message_ids(&settling).await?;
    tx.keep_receipts(&early).await?;
    let crossing = early.iter().map(|one| (one.carrier.to_owned(), one.receipt.carrier_message_id.clone())).collect();
    Ok(After { crossing, ..write(app, tx, moving.all).await? })
}

/// Applies receipts that crossed with their send's own answer: on PostgreSQL neither transaction sees the other before
/// both have committed. Each looks for the other right after its own commit, so the later of the two finds it. What
/// is missed all the same, such as in a crash, is for the sweep.
pub async fn apply_crossed(app: &App, mut ids: Vec<(String, String)>) {
    if ids.is_empty() || app.store.engine() == Engine::Sqlite {
        return;
    }
    // In one order, so that the two sides can't wait for each other.
    ids.sort();
    let look = async move |tx: &mut Tx| tx.crossed_receipts(&ids).await;
    let applied = match app.store.read::<_, StoreError>(look).await {
        Ok(crossed) if crossed.is_empty() => return,
        Ok(crossed) => apply_kept(app, crossed).await,
        Err(error) => Err(error),
    };
    if let Err(error) = applied {
        tracing::warn!(%error, "crossed receipts could not be applied; the sweep will find them");
    }
}

/// Applies receipts that are kept although their send's own answer is in: what crossed and was missed. Whether there were
/// any; there may be more.
///
/// # Errors
/// [`StoreError`].
pub async fn apply_belated(app: &App) -> Result<bool, StoreError> {
    let belated = app.store.read::<_, StoreError>(async |tx| tx.belated_receipts().await).await?;
    if belated.is_empty() {
        return Ok(false);
    }
    apply_kept(app, belated).await?;
    Ok(true)
}

/// Applies the receipts kept under these carriers' ids to their messages.
async fn apply_kept(app: &App, belated: Vec<(MessageId, String)>) -> Result<(), StoreError> {
    let doors = app.clone();
    let after = app
        .store
        .write::<_, StoreError>(async move |tx| {
            let (messages, ids): (Vec<_>, Vec<_>) = belated.iter().cloned().unzip();
            let flights = tx.flights(&messages).await?;
            let mut known: Vec<_> =
                flights.iter().zip(&ids).filter_map(|(flight, id)| Some((flight.as_ref()?, id.as_str()))).collect();
            // As the others that take receipts, and other nodes that found the same ones: see `record`.
            known.sort_by_key(|(flight, id)| (&flight.conversation_id, &flight.id, *id));
            let given: Vec<_> = known.iter().map(|(flight, id)| (&flight.id, *id)).collect();
            tx.set_carrier_message_ids(&given).await?;
            let asked: Vec<_> = known.iter().map(|(flight, id)| (flight.carrier.as_str(), *id)).collect();
            let early = tx.take_early_receipts(&asked).await?;
            let each =
                known.into_iter().zip(&early).flat_map(|((flight, _), kept)| kept.iter().map(move |one| (flight, one)));
            let mut receipts: Vec<_> = each.collect();
            // Some may name the message by our id, each under another id of the carrier's: the first final one counts.
            receipts.sort_by_key(|(_, receipt)| receipt.at);
            let mut group = Group::default();
            for (flight, receipt) in receipts {
                group.of(flight.clone()).receive(receipt);
            }
            write(&doors, tx, group.all).await
        })
        .await?;
    after.commit(app);
    Ok(())
}

/// How long to wait before the next try, where there is to be one.
fn retry_wait(app: &App, outcome: &Outcome) -> Option<Duration> {
    let Some(SendOutcome::NotTaken(_)) = outcome.outcome else { return None };
    let sending = &app.config.sending;
    if app.now().since(outcome.tried_since) >= sending.give_up_after {
        return None;
    }
    let step = usize::try_from(outcome.attempts).unwrap_or(usize::MAX).min(sending.retries.len().saturating_sub(1));
    sending.retries.get(step).copied()
}

/// Ends jobs with what their carriers said.
async fn settle(app: &App, tx: &mut Tx, outcomes: &[&Outcome], epoch: i64) -> Result<After, StoreError> {
    let ids: Vec<_> = outcomes.iter().map(|outcome| outcome.message_id.clone()).collect();
    // Where a job is another's by now the message is unconfirmed; what we know is still better than that.
    tx.finish_send_jobs(&ids, epoch).await?;
    let accepted: Vec<_> =
        outcomes.iter().filter_map(|outcome| Some((&outcome.message_id, outcome.carrier_id()?))).collect();
    tx.set_carrier_message_ids(&accepted).await?;
    let flights = tx.flights(&ids).await?;
    let mut moving = Vec::with_capacity(flights.len());
    let mut told = Vec::with_capacity(flights.len());
    for (flight, outcome) in flights.into_iter().zip(outcomes) {
        if let (Some(flight), Some(answer)) = (flight, &outcome.outcome) {
            moving.push(Moving::new(flight));
            told.push(answer);
        }
    }
    apply_answers(app, tx, &mut moving, &told).await?;
    let accepted = outcomes.iter().filter_map(|one| Some((one.carrier.clone(), one.carrier_id()?.to_owned())));
    Ok(After { crossing: accepted.collect(), ..write(app, tx, moving).await? })
}

async fn apply_answers(
    app: &App,
    tx: &mut Tx,
    moving: &mut [Moving],
    answers: &[&SendOutcome],
) -> Result<(), StoreError> {
    let mut accepted = Vec::new();
    let mut unknown = Vec::new();
    for (one, answer) in moving.iter_mut().zip(answers) {
        match answer {
            SendOutcome::Accepted { carrier_message_id } => {
                one.hear(Told::Receipt(ReceiptStatus::Sent, None, app.now()));
                accepted.push((one, carrier_message_id.as_str()));
            }
            SendOutcome::Refused(failure) | SendOutcome::NotTaken(failure) => one.hear(Told::Refused(failure.clone())),
            SendOutcome::Unknown(failure) => unknown.push((one, failure)),
        }
    }
    end_unconfirmed(tx, unknown).await?;
    let carriers: Vec<String> = accepted.iter().map(|(one, _)| one.flight.carrier.clone()).collect();
    let ids: Vec<_> = carriers.iter().zip(&accepted).map(|(carrier, (_, id))| (carrier.as_str(), *id)).collect();
    let early = tx.take_early_receipts(&ids).await?;
    for ((one, _), kept) in accepted.into_iter().zip(early) {
        kept.iter().for_each(|receipt| one.receive(receipt));
    }
    Ok(())
}

/// A receipt that names our own id may tell more than the lost answer.
async fn end_unconfirmed(tx: &mut Tx, lost: Vec<(&mut Moving, &Failure)>) -> Result<(), StoreError> {
    let lost: Vec<_> = lost.into_iter().filter(|(one, _)| one.status == MessageStatus::Queued).collect();
    let flights: Vec<Flight> = lost.iter().map(|(one, _)| one.flight.clone()).collect();
    let early = tx.take_receipts_for(&flights.iter().collect::<Vec<_>>()).await?;
    for ((one, failure), kept) in lost.into_iter().zip(early) {
        one.hear(Told::Lost(failure.clone()));
        kept.iter().for_each(|receipt| one.receive(receipt));
    }
    Ok(())
}

/// Writes where the messages came to, returns the price of what a carrier refused, and tells the customers' servers that
/// asked to hear of it.
async fn write(app: &App, tx: &mut Tx, mut moving: Vec<Moving>) -> Result<After, StoreError> {
    // In one order for every transaction, so that two of them can't wait for each other (PostgreSQL).
    moving.sort_by(|a, b| (&a.flight.conversation_id, &a.flight.id).cmp(&(&b.flight.conversation_id, &b.flight.id)));
    let mut after = After::default();
    let mut listeners = Listeners::default();
    loop {
        moving.retain(|one| !one.steps.is_empty());
        if moving.is_empty() {
            return Ok(after);
        }
        let moves: Vec<_> = moving.iter().map(Moving::whole).collect();
        let moved = tx.set_message_statuses(&moves).await?;
        let mut overtaken = Vec::new();
        let mut settled = Vec::new();
        for (one, moved) in moving.into_iter().zip(moved) {
            if moved { settled.push(one) } else { overtaken.push(one) }
        }
        settle_steps(app, tx, settled, &mut listeners, &mut after).await?;
        moving = look_again(tx, overtaken).await?;
    }
}

/// What follows from the steps of messages, now that they are their own.
async fn settle_steps(
    app: &App,
    tx: &mut Tx,
    settled: Vec<Moving>,
    listeners: &mut Listeners,
    after: &mut After,
) -> Result<(), StoreError> {
    let (mut refunds, mut moved) = (Vec::new(), Vec::new());
    for Moving { flight, steps, .. } in &settled {
        for step in steps {
            after.moved.push(step.to);
            if step.refunds {
                // The carrier never had it.
                tx.give_back_spending(&flight.account_id, day_of(flight.at), flight.price);
                let (kind, reference) = (EntryKind::MessageRefund, flight.id.to_string());
                refunds.push((&flight.account_id, Posting { kind, amount: flight.price, reference, at: app.now() }));
            }
            let flight = Flight { status: step.to, ..flight.clone() };
            moved.push(Moved { flight, failure: step.failure.clone() });
        }
    }
    tx.post_all(&refunds).await?;
    let told = announce::messages_moved(app, tx, listeners, &moved).await?;
    after.rings.extend(told.into_iter().map(|webhook| Ring::Deliver(webhook.to_string())));
    Ok(())
}

/// Messages that another transaction moved between our look and our write (PostgreSQL): what was told of them is told
/// of where they are now.
async fn look_again(tx: &mut Tx, overtaken: Vec<Moving>) -> Result<Vec<Moving>, StoreError> {
    let ids: Vec<_> = overtaken.iter().map(|one| one.flight.id.clone()).collect();
    let flights = tx.flights(&ids).await?.into_iter().zip(overtaken);
    Ok(flights.filter_map(|(flight, one)| Some(one.again(flight?))).collect())
}

fn kept(receipt: &Receipt) -> KeptReceipt {
    KeptReceipt {
        carrier_message_id: receipt.carrier_message_id.clone(),
        status: receipt.status,
        failure: receipt.failure.clone(),
        at: receipt.at,
    }
}

#[cfg(test)]
mod tests;
