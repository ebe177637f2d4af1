//! What became of messages: the carrier's answers, or receipts. Doors: the sending worker and the carriers.
//!
//! Many at a time: the messages are read together, moved in memory ([`Moving`]), and written together, so that a
//! hundred outcomes cost PostgreSQL a handful of round trips.

mod moving;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use offhook_carriers::Receipt;
use offhook_domain::guards::day_of;
use offhook_domain::ledger::{EntryKind, Posting};
use offhook_domain::message::{Failure, MessageStatus, ReceiptStatus, SendOutcome};
use offhook_domain::{ConversationId, MessageId, Timestamp};
use offhook_store::outcomes::{Belated, EarlyReceipt, Flight, KeptReceipt};
use offhook_store::{Engine, Store, StoreError, Tx};

use self::moving::{Group, Moving, Told};
use super::announce::{self, Listeners, Moved};
use super::together::{Gathering, Gone, Writing, together};
use super::{App, Ring};
use crate::jobs::lines::LeaseName;
use crate::telemetry::names;

/// Lines whose answers are recorded in one transaction, at most.
const RECORDED: usize = 64;

/// One message and what its carrier said.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub message_id: MessageId,
    pub conversation_id: ConversationId,
    /// The two ends, by which conversations are put in order.
    pub from: String,
    pub to: String,
    /// The carrier that was asked last.
    pub carrier: String,
    /// Whether that is another than the one that its number is at home with.
    pub is_rerouted: bool,
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

    fn may_be_taken(&self) -> bool {
        matches!(self.outcome, Some(SendOutcome::Accepted { .. } | SendOutcome::Unknown(_)))
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

/// Carriers' answers for jobs of a line that are claimed under its epoch.
#[derive(Clone)]
pub struct Recording {
    pub app: App,
    pub outcomes: Vec<Outcome>,
    pub epoch: i64,
    pub lease: Option<LeaseName>,
}

/// Records carriers' answers in one transaction, and claims those behind them.
///
/// # Errors
/// [`StoreError`]; then none is recorded.
pub async fn record(recording: Recording) -> Result<Recorded, StoreError> {
    let (app, items) = (recording.app.clone(), vec![recording]);
    let (recorded, after) = app.store.write(async move |tx: &mut Tx| record_all(tx, &items).await).await?;
    after.commit(&app);
    apply_crossed(&app, after.crossing).await;
    Ok(recorded.into_iter().next().unwrap_or_default())
}

/// Where the answers of many lines gather, to be recorded together.
pub type Recordings = Gathering<Recording, Result<(Recorded, Vec<(String, String)>), StoreError>>;

/// An empty gathering.
#[must_use]
pub fn recordings() -> Arc<Recordings> {
    together(RECORDED, Record)
}

/// As [`record`], in one transaction with what other lines have to record.
///
/// # Errors
/// [`StoreError`]; then none is recorded.
pub async fn record_together(recordings: &Arc<Recordings>, recording: Recording) -> Result<Recorded, StoreError> {
    let app = recording.app.clone();
    let gone = |Gone| Err(StoreError::Unavailable("the store takes nothing more".to_owned()));
    let (recorded, crossing) = recordings.join(recording).await.unwrap_or_else(gone)?;
    apply_crossed(&app, crossing).await;
    Ok(recorded)
}

struct Record;

impl Writing for Record {
    type Item = Recording;
    type Kept = (Vec<Recorded>, After);
    /// Also what may have crossed with it: whoever is first looks for all.
    type Answer = Result<(Recorded, Vec<(String, String)>), StoreError>;

    fn store<'a>(&'a self, first: &'a Recording) -> &'a Store {
        &first.app.store
    }

    async fn write(tx: &mut Tx, items: &[Recording]) -> Result<Self::Kept, StoreError> {
        record_all(tx, items).await
    }

    fn committed(&self, items: &[Recording], (recorded, mut after): Self::Kept) -> Vec<Self::Answer> {
        if let Some(first) = items.first() {
            after.commit(&first.app);
        }
        recorded.into_iter().map(|recorded| Ok((recorded, std::mem::take(&mut after.crossing)))).collect()
    }

    fn failed(&self, error: StoreError) -> Self::Answer {
        Err(error)
    }
}

async fn record_all(tx: &mut Tx, items: &[Recording]) -> Result<(Vec<Recorded>, After), StoreError> {
    let Some(Recording { app, .. }) = items.first() else { return Ok(Default::default()) };
    let mut recorded: Vec<Recorded> = items.iter().map(|_| Recorded::default()).collect();
    let each = items.iter().enumerate();
    let mut outcomes: Vec<(usize, &Outcome)> =
        each.flat_map(|(n, of)| of.outcomes.iter().map(move |o| (n, o))).collect();
    // In the order of `Touch::order`, so that two transactions lock conversations in the same (PostgreSQL).
    outcomes.sort_by(|(_, a), (_, b)| (&a.from, &a.to, &a.message_id).cmp(&(&b.from, &b.to, &b.message_id)));
    let mut settled = Vec::with_capacity(outcomes.len());
    for (n, outcome) in outcomes {
        let epoch = items[n].epoch;
        if outcome.outcome.is_none() {
            tx.unclaim_send_job(&outcome.message_id, epoch).await?;
        } else if let Some(wait) = retry_wait(app, outcome) {
            let (since, due) = (outcome.tried_since, app.now().plus(wait));
            tx.put_back_send_job(&outcome.message_id, &outcome.conversation_id, epoch, since, due).await?;
        } else {
            settled.push((n, outcome));
            continue;
        }
        recorded[n].held.push(outcome.conversation_id.clone());
    }
    let told: Vec<_> = settled.iter().map(|(n, outcome)| (*outcome, items[*n].epoch)).collect();
    let after = settle(app, tx, &told).await?;
    let mut next: Vec<_> = settled.iter().filter_map(|(n, outcome)| Some((*n, outcome.next.as_ref()?))).collect();
    if !next.is_empty() {
        let ours = are_ours(tx, items.iter().map(|item| (item.lease.as_ref(), item.epoch)).collect()).await?;
        next.retain(|(n, _)| ours[*n]);
    }
    let claims: Vec<_> = next.iter().map(|(n, id)| (*id, items[*n].epoch)).collect();
    let claims = tx.claim_each(&claims).await?;
    for ((n, id), _) in next.into_iter().zip(claims).filter(|(_, claimed)| *claimed) {
        recorded[n].claimed.push(id.clone());
    }
    Ok((recorded, after))
}

/// As [`is_ours`], for many lines.
///
/// # Errors
/// [`StoreError`].
pub async fn are_ours(tx: &mut Tx, lines: Vec<(Option<&LeaseName>, i64)>) -> Result<Vec<bool>, StoreError> {
    let mut held: Vec<_> =
        lines.iter().enumerate().filter_map(|(n, (lease, epoch))| Some((n, (*lease)?, *epoch))).collect();
    held.sort_by_key(|(_, lease, _)| &lease.resource);
    let asked: Vec<_> = held.iter().map(|(_, lease, epoch)| (&*lease.resource, &*lease.owner, *epoch)).collect();
    let confirmed = tx.confirm_leases(&asked).await?;
    let mut ours = vec![true; lines.len()];
    for ((n, ..), confirmed) in held.iter().zip(confirmed) {
        ours[*n] = confirmed;
    }
    Ok(ours)
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
    let (mut elsewhere, mut settling, mut early) = (Vec::new(), Vec::new(), Vec::new());
    for receipt in unknown {
        let flight = receipt.message_id.as_ref().and_then(|id| named.get(id));
        // Its own answer may come in between the two look-ups.
        match flight.filter(|flight| flight.status != MessageStatus::Queued) {
            Some(flight) => {
                // Cut off while another carrier than its own was asked.
                if flight.carrier != receipt.carrier {
                    elsewhere.push((&flight.id, receipt.carrier));
                }
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
    tx.set_carriers(&elsewhere).await?;
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
async fn apply_kept(app: &App, belated: Vec<Belated>) -> Result<(), StoreError> {
    let doors = app.clone();
    let after = app
        .store
        .write::<_, StoreError>(async move |tx| {
            let messages: Vec<_> = belated.iter().map(|one| one.message.clone()).collect();
            let flights = tx.flights(&messages).await?;
            let mut known: Vec<_> =
                flights.iter().zip(&belated).filter_map(|(flight, one)| Some((flight.as_ref()?, one))).collect();
            // As the others that take receipts, and other nodes that found the same ones: see `record`.
            known.sort_by_key(|(flight, one)| (&flight.conversation_id, &flight.id, &one.carrier_message_id));
            let elsewhere = known.iter().filter(|(flight, one)| flight.carrier != one.carrier);
            let elsewhere: Vec<_> = elsewhere.map(|(flight, one)| (&flight.id, one.carrier.as_str())).collect();
            tx.set_carriers(&elsewhere).await?;
            let given: Vec<_> =
                known.iter().map(|(flight, one)| (&flight.id, one.carrier_message_id.as_str())).collect();
            tx.set_carrier_message_ids(&given).await?;
            let asked: Vec<_> =
                known.iter().map(|(_, one)| (one.carrier.as_str(), one.carrier_message_id.as_str())).collect();
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

/// Ends jobs with what their carriers said, each of its epoch.
async fn settle(app: &App, tx: &mut Tx, told: &[(&Outcome, i64)]) -> Result<After, StoreError> {
    let claims: Vec<_> = told.iter().map(|(outcome, epoch)| (&outcome.message_id, *epoch)).collect();
    // Where a job is another's by now the message is unconfirmed; what we know is still better than that.
    tx.finish_send_jobs(&claims).await?;
    let outcomes: Vec<&Outcome> = told.iter().map(|(outcome, _)| *outcome).collect();
    let ids: Vec<_> = outcomes.iter().map(|outcome| outcome.message_id.clone()).collect();
    // Receipts name the carrier that has it, or may have it: they must find the message under that.
    let elsewhere = outcomes.iter().filter(|outcome| outcome.is_rerouted && outcome.may_be_taken());
    let elsewhere: Vec<_> = elsewhere.map(|outcome| (&outcome.message_id, outcome.carrier.as_str())).collect();
    tx.set_carriers(&elsewhere).await?;
    let accepted: Vec<_> =
        outcomes.iter().filter_map(|outcome| Some((&outcome.message_id, outcome.carrier_id()?))).collect();
    tx.set_carrier_message_ids(&accepted).await?;
    let flights = tx.flights(&ids).await?;
    let mut moving = Vec::with_capacity(flights.len());
    let mut told = Vec::with_capacity(flights.len());
    for (flight, outcome) in flights.into_iter().zip(&outcomes) {
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
                tx.give_back_spending(&flight.account_id, day_of(flight.at), flight.price).await?;
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
