//! What became of a message: the carrier's answer, or a receipt. Doors: the sending worker and the carriers.

use std::time::Duration;

use offhook_carriers::Receipt;
use offhook_domain::ledger::{EntryKind, Posting};
use offhook_domain::message::{Failure, MessageStatus, ReceiptStatus, SendOutcome};
use offhook_domain::{ConversationId, MessageId, Timestamp};
use offhook_store::message_flow::{Flight, KeptReceipt};
use offhook_store::{StoreError, Tx};

use super::{App, Ring};
use crate::telemetry::names;

/// One message and what its carrier said.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub message_id: MessageId,
    pub conversation_id: ConversationId,
    pub carrier: String,
    /// Tries before this one that came to nothing.
    pub attempts: i64,
    pub accepted_at: Timestamp,
    pub outcome: SendOutcome,
}

/// Records carriers' answers in one transaction, for jobs claimed under `epoch`. Tells the conversations whose
/// message will be tried again.
///
/// # Errors
/// [`StoreError`]; then none is recorded.
pub async fn record(app: &App, outcomes: Vec<Outcome>, epoch: i64) -> Result<Vec<ConversationId>, StoreError> {
    let doors = app.clone();
    let (held, after) = app
        .store
        .write::<_, StoreError>(async move |tx| {
            let mut changes = Changes::new(&doors);
            let mut held = Vec::new();
            for outcome in in_lock_order(&outcomes) {
                match retry_wait(&doors, outcome) {
                    Some(wait) => {
                        let due = doors.now().plus(wait);
                        tx.put_back_send_job(&outcome.message_id, &outcome.conversation_id, epoch, due).await?;
                        held.push(outcome.conversation_id.clone());
                    }
                    None => changes.settle(tx, outcome, epoch).await?,
                }
            }
            Ok((held, changes.after))
        })
        .await?;
    after.commit(app);
    Ok(held)
}

/// Ends messages whose outcome nobody knows, whoever claimed them.
///
/// # Errors
/// [`StoreError`]; then none is ended.
pub async fn settle_unknown(app: &App, messages: Vec<MessageId>) -> Result<(), StoreError> {
    let doors = app.clone();
    let after = app
        .store
        .write::<_, StoreError>(async move |tx| {
            let mut changes = Changes::new(&doors);
            for id in &messages {
                tx.drop_send_job(id).await?;
                if let Some(flight) = tx.flight(id).await?.filter(|f| f.status == MessageStatus::Queued) {
                    changes.unconfirmed(tx, flight, &interrupted()).await?;
                }
            }
            Ok(changes.after)
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
    let mut changes = Changes::new(app);
    for receipt in receipts {
        changes.receipt(tx, receipt).await?;
    }
    Ok(changes.after)
}

/// Applies receipts that crossed with their send's own answer. A sweep: the two transactions may have missed
/// each other.
///
/// # Errors
/// [`StoreError`].
pub async fn apply_belated(app: &App) -> Result<(), StoreError> {
    if app.store.read::<_, StoreError>(async |tx| tx.belated_receipts().await).await?.is_empty() {
        return Ok(());
    }
    let doors = app.clone();
    let after = app
        .store
        .write::<_, StoreError>(async move |tx| {
            let mut changes = Changes::new(&doors);
            for id in tx.belated_receipts().await? {
                if let Some((flight, carrier_id)) = tx.flight_with_carrier_id(&id).await? {
                    let kept = tx.take_early_receipts(&flight.carrier, &carrier_id).await?;
                    changes.kept(tx, flight, kept).await?;
                }
            }
            Ok(changes.after)
        })
        .await?;
    after.commit(app);
    Ok(())
}

/// What to do once the changes are committed.
#[derive(Debug, Default)]
pub struct After {
    rings: Vec<Ring>,
    moved: Vec<MessageStatus>,
}

impl After {
    /// Wakes and counts.
    pub fn commit(self, app: &App) {
        for ring in self.rings {
            app.wakes.ring(ring);
        }
        for status in self.moved {
            metrics::counter!(names::MESSAGES_SETTLED, "status" => status.as_str()).increment(1);
        }
    }
}

/// By conversation, so that two transactions lock rows in the same order (PostgreSQL).
fn in_lock_order(outcomes: &[Outcome]) -> Vec<&Outcome> {
    let mut ordered: Vec<_> = outcomes.iter().collect();
    ordered.sort_by(|a, b| (&a.conversation_id, &a.message_id).cmp(&(&b.conversation_id, &b.message_id)));
    ordered
}

/// How long to wait before the next try, where there is to be one.
fn retry_wait(app: &App, outcome: &Outcome) -> Option<Duration> {
    let SendOutcome::NotTaken(_) = outcome.outcome else { return None };
    let sending = &app.config.sending;
    if app.now().since(outcome.accepted_at) >= sending.give_up_after {
        return None;
    }
    let step = usize::try_from(outcome.attempts).unwrap_or(usize::MAX).min(sending.retries.len().saturating_sub(1));
    sending.retries.get(step).copied()
}

fn interrupted() -> Failure {
    Failure { code: "30001".to_owned(), reason: "the sending was cut off; the carrier may have it".to_owned() }
}

/// The changes of one transaction, and whom to wake after it.
struct Changes<'a> {
    app: &'a App,
    after: After,
}

impl<'a> Changes<'a> {
    fn new(app: &'a App) -> Self {
        Self { app, after: After::default() }
    }

    async fn settle(&mut self, tx: &mut Tx, outcome: &Outcome, epoch: i64) -> Result<(), StoreError> {
        // Where the job is another's by now the message is unconfirmed; what we know is still better than that.
        tx.finish_send_job(&outcome.message_id, epoch).await?;
        let Some(flight) = tx.flight(&outcome.message_id).await? else { return Ok(()) };
        match &outcome.outcome {
            SendOutcome::Accepted { carrier_message_id } => self.accepted(tx, flight, carrier_message_id).await,
            SendOutcome::Refused(failure) | SendOutcome::NotTaken(failure) => self.refused(tx, flight, failure).await,
            SendOutcome::Unknown(failure) => self.unconfirmed(tx, flight, failure).await,
        }
    }

    async fn accepted(&mut self, tx: &mut Tx, flight: Flight, carrier_id: &str) -> Result<(), StoreError> {
        tx.set_carrier_message_id(&flight.id, carrier_id).await?;
        let flight = match flight.status.after_receipt(ReceiptStatus::Sent) {
            Some(sent) => self.move_to(tx, flight, sent, None, None).await?,
            None => flight,
        };
        let kept = tx.take_early_receipts(&flight.carrier, carrier_id).await?;
        self.kept(tx, flight, kept).await
    }

    /// The carrier never had it, so the customer gets the price back.
    async fn refused(&mut self, tx: &mut Tx, flight: Flight, failure: &Failure) -> Result<(), StoreError> {
        if !matches!(flight.status, MessageStatus::Queued | MessageStatus::Unconfirmed) {
            return Ok(());
        }
        let refund = Posting {
            kind: EntryKind::MessageRefund,
            amount: flight.price,
            reference: flight.id.to_string(),
            at: self.app.now(),
        };
        tx.of(&flight.account_id).post(&refund).await?;
        self.move_to(tx, flight, MessageStatus::Failed, Some(failure), None).await.map(drop)
    }

    async fn unconfirmed(&mut self, tx: &mut Tx, flight: Flight, failure: &Failure) -> Result<(), StoreError> {
        if flight.status != MessageStatus::Queued {
            return Ok(());
        }
        let kept = tx.take_receipts_for(&flight.carrier, &flight.id).await?;
        let flight = self.move_to(tx, flight, MessageStatus::Unconfirmed, Some(failure), None).await?;
        self.kept(tx, flight, kept).await
    }

    async fn kept(&mut self, tx: &mut Tx, mut flight: Flight, kept: Vec<KeptReceipt>) -> Result<(), StoreError> {
        for receipt in kept {
            flight = self.apply(tx, flight, &receipt).await?;
        }
        Ok(())
    }

    async fn receipt(&mut self, tx: &mut Tx, receipt: &Receipt) -> Result<(), StoreError> {
        let kept = KeptReceipt {
            carrier_message_id: receipt.carrier_message_id.clone(),
            status: receipt.status,
            failure: receipt.failure.clone(),
            at: receipt.at,
        };
        if let Some(flight) = tx.flight_at_carrier(receipt.carrier, &receipt.carrier_message_id).await? {
            return self.apply(tx, flight, &kept).await.map(drop);
        }
        if let Some(id) = &receipt.message_id
            && let Some(flight) = tx.flight(id).await?.filter(|f| f.status == MessageStatus::Unconfirmed)
        {
            tx.set_carrier_message_id(id, &receipt.carrier_message_id).await?;
            return self.apply(tx, flight, &kept).await.map(drop);
        }
        tx.keep_receipt(receipt.carrier, receipt.message_id.as_ref(), &kept).await
    }

    async fn apply(&mut self, tx: &mut Tx, flight: Flight, receipt: &KeptReceipt) -> Result<Flight, StoreError> {
        let Some(status) = flight.status.after_receipt(receipt.status) else { return Ok(flight) };
        let delivered_at = (status == MessageStatus::Delivered).then_some(receipt.at);
        self.move_to(tx, flight, status, receipt.failure.as_ref(), delivered_at).await
    }

    /// Moves a message on and tells the customer's server where it asked to hear of it.
    async fn move_to(
        &mut self,
        tx: &mut Tx,
        mut flight: Flight,
        status: MessageStatus,
        failure: Option<&Failure>,
        delivered_at: Option<Timestamp>,
    ) -> Result<Flight, StoreError> {
        if tx.set_message_status(&flight, status, failure, delivered_at).await? {
            flight.status = status;
            self.after.moved.push(status);
            if let Some(webhook) = super::announce::message_status(self.app, tx, &flight, failure).await? {
                self.after.rings.push(Ring::Deliver(webhook.to_string()));
            }
        }
        Ok(flight)
    }
}
