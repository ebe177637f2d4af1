//! The sandbox carrier's memory, kept in our store.

use std::sync::Arc;

use async_trait::async_trait;
use offhook_carriers::{AirPayload, HandsetMessage, Sale, SandboxWorld, WorldError};
use offhook_domain::message::Direction;
use offhook_domain::{Clock, E164, PurchaseId, Timestamp};
use offhook_store::sandbox_world::{Airborne, HandsetText};
use offhook_store::{Store, StoreError};
use tokio::sync::Notify;

/// The sandbox network's memory.
pub struct StoredWorld {
    store: Store,
    clock: Arc<dyn Clock>,
    /// Rung when something is in the air.
    air: Arc<Notify>,
}

impl StoredWorld {
    /// `air` is [`Wakes::air`](super::Wakes).
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>, air: Arc<Notify>) -> Self {
        Self { store, clock, air }
    }
}

#[async_trait]
impl SandboxWorld for StoredWorld {
    async fn sell(&self, sale: &Sale) -> Result<bool, WorldError> {
        let (sale, now) = (sale.clone(), self.clock.now());
        let sell = async move |tx: &mut offhook_store::Tx| {
            tx.sell_sandbox_number(&sale.phone_number, &sale.reference, now).await
        };
        self.store.write(sell).await.map_err(failed)
    }

    async fn sold_under(&self, reference: &PurchaseId) -> Result<Option<E164>, WorldError> {
        let reference = reference.clone();
        self.store.read(async move |tx| tx.sandbox_number_sold_under(&reference).await).await.map_err(failed)
    }

    async fn sold_among(&self, numbers: &[E164]) -> Result<Vec<E164>, WorldError> {
        let numbers = numbers.to_vec();
        self.store.read(async move |tx| tx.sandbox_numbers_sold_among(&numbers).await).await.map_err(failed)
    }

    async fn take_back(&self, number: &E164, reference: Option<&PurchaseId>) -> Result<(), WorldError> {
        let (number, reference) = (number.clone(), reference.cloned());
        let take =
            async move |tx: &mut offhook_store::Tx| tx.take_back_sandbox_number(&number, reference.as_ref()).await;
        self.store.write(take).await.map_err(failed)
    }

    async fn carry(&self, text: Option<&HandsetMessage>, air: &[(Timestamp, AirPayload)]) -> Result<(), WorldError> {
        let text = text.map(|text| in_inbox(text, self.clock.now()));
        let air: Vec<Airborne> = air.iter().map(airborne).collect::<Result<_, _>>()?;
        let carry = async move |tx: &mut offhook_store::Tx| {
            if let Some(text) = &text
                && !tx.keep_handset_text(text).await?
            {
                return Ok(());
            }
            for thing in &air {
                tx.put_in_air(thing).await?;
            }
            Ok(())
        };
        self.store.write(carry).await.map_err(failed)?;
        self.air.notify_one();
        Ok(())
    }
}

/// A real carrier would not be away together with our database. So it must not look as if one had lost answers: what
/// was certainly not kept was not taken.
fn failed(error: StoreError) -> WorldError {
    match error {
        StoreError::Unknown(_) => WorldError::Unknown(error.to_string()),
        _ => WorldError::NotDone(error.to_string()),
    }
}

fn in_inbox(text: &HandsetMessage, at: Timestamp) -> HandsetText {
    HandsetText {
        id: text.id.clone(),
        handset: text.to.clone(),
        direction: Direction::Inbound,
        from: text.from.clone(),
        to: text.to.clone(),
        body: text.body.clone(),
        media_urls: text.media_urls.clone(),
        at,
    }
}

/// Its id is made of what it is, so that the same thing is not in the air twice.
fn airborne((due_at, payload): &(Timestamp, AirPayload)) -> Result<Airborne, WorldError> {
    let id = match payload {
        AirPayload::Message { id, .. } => format!("message {id}"),
        AirPayload::Receipt { carrier_message_id, status, .. } => format!("receipt {carrier_message_id} {status:?}"),
    };
    let payload = serde_json::to_string(payload).map_err(|e| WorldError::NotDone(e.to_string()))?;
    Ok(Airborne { id, due_at: *due_at, payload })
}
