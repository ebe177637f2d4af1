//! The sandbox carrier's memory, kept in our store.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use offhook_carriers::{AirPayload, HandsetMessage, Sale, SandboxWorld, WorldError};
use offhook_domain::message::Direction;
use offhook_domain::{Clock, E164, PurchaseId, Timestamp};
use offhook_store::sandbox_world::{Airborne, HandsetText};
use offhook_store::{Store, StoreError, Tx};
use tokio::sync::Notify;

use super::together::{Gathering, Writing, together};

/// Texts that are taken off their senders' hands in one transaction, at most.
const CARRIED: usize = 256;

/// The sandbox network's memory.
pub struct StoredWorld {
    store: Store,
    clock: Arc<dyn Clock>,
    carrying: Arc<Gathering<Load, Result<(), WorldError>>>,
}

/// What one sender hands over.
struct Load {
    text: Option<HandsetText>,
    air: Vec<Airborne>,
    until: Option<Instant>,
}

impl Load {
    fn is_timely(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

impl StoredWorld {
    /// `air` is [`Wakes::air`](super::Wakes).
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>, air: Arc<Notify>) -> Self {
        let carrying = together(CARRIED, Carry { store: store.clone(), air });
        Self { store, clock, carrying }
    }
}

/// Takes loads over, but for those whose time was over while they waited, and rings for what is in the air then.
struct Carry {
    store: Store,
    /// Rung when something is in the air.
    air: Arc<Notify>,
}

impl Writing for Carry {
    type Item = Load;
    /// Whether each was in time.
    type Kept = Vec<bool>;
    type Answer = Result<(), WorldError>;

    fn store<'a>(&'a self, _: &'a Load) -> &'a Store {
        &self.store
    }

    async fn write(tx: &mut Tx, loads: &[Load]) -> Result<Vec<bool>, StoreError> {
        let timely: Vec<bool> = loads.iter().map(Load::is_timely).collect();
        let carried = || loads.iter().zip(&timely).filter(|(_, timely)| **timely).map(|(load, _)| load);
        let texts: Vec<HandsetText> = carried().filter_map(|load| load.text.clone()).collect();
        let things: Vec<Airborne> = carried().flat_map(|load| load.air.clone()).collect();
        tx.keep_handset_texts(&texts).await?;
        tx.put_in_air(&things).await?;
        Ok(timely)
    }

    fn committed(&self, _: &[Load], kept: Vec<bool>) -> Vec<Result<(), WorldError>> {
        self.air.notify_one();
        let too_late = || WorldError::NotDone("it was handed over too late".to_owned());
        kept.into_iter().map(|timely| timely.then_some(()).ok_or_else(too_late)).collect()
    }

    fn failed(&self, error: StoreError) -> Result<(), WorldError> {
        Err(failed(&error))
    }
}

#[async_trait]
impl SandboxWorld for StoredWorld {
    async fn sell(&self, sale: &Sale) -> Result<bool, WorldError> {
        let (sale, now) = (sale.clone(), self.clock.now());
        let sell = async move |tx: &mut Tx| tx.sell_sandbox_number(&sale.phone_number, &sale.reference, now).await;
        self.store.write(sell).await.map_err(|error| failed(&error))
    }

    async fn sold_under(&self, reference: &PurchaseId) -> Result<Option<E164>, WorldError> {
        let reference = reference.clone();
        self.store
            .read(async move |tx| tx.sandbox_number_sold_under(&reference).await)
            .await
            .map_err(|error| failed(&error))
    }

    async fn sold_among(&self, numbers: &[E164]) -> Result<Vec<E164>, WorldError> {
        let numbers = numbers.to_vec();
        self.store
            .read(async move |tx| tx.sandbox_numbers_sold_among(&numbers).await)
            .await
            .map_err(|error| failed(&error))
    }

    async fn take_back(&self, number: &E164, reference: Option<&PurchaseId>) -> Result<(), WorldError> {
        let (number, reference) = (number.clone(), reference.cloned());
        let take = async move |tx: &mut Tx| tx.take_back_sandbox_number(&number, reference.as_ref()).await;
        self.store.write(take).await.map_err(|error| failed(&error))
    }

    async fn carry(
        &self,
        text: Option<&HandsetMessage>,
        air: &[(Timestamp, AirPayload)],
        until: Option<Instant>,
    ) -> Result<(), WorldError> {
        let text = text.map(|text| in_inbox(text, self.clock.now()));
        let air: Vec<Airborne> = air.iter().map(airborne).collect::<Result<_, _>>()?;
        let gone = |_| WorldError::NotDone("it takes nothing more".to_owned());
        self.carrying.join(Load { text, air, until }).await.map_err(gone)?
    }
}

/// A real carrier would not be away together with our database. So it must not look as if one had lost answers: what
/// was certainly not kept was not taken.
fn failed(error: &StoreError) -> WorldError {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use offhook_domain::SystemClock;
    use offhook_store::{Tx, Window};

    use super::*;

    #[tokio::test]
    async fn what_waited_past_its_time_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_sqlite(&folder.path().join("offhook.db"), 1).unwrap();
        offhook_store::migrate(&store).await.unwrap();
        let world = StoredWorld::new(store.clone(), Arc::new(SystemClock::default()), Arc::default());
        let (late, in_time) = (Instant::now(), Instant::now() + Duration::from_secs(60));
        for (id, until) in [("late", Some(late)), ("in time", Some(in_time)), ("at any time", None)] {
            let text = HandsetMessage {
                id: id.to_owned(),
                from: "+14155550100".to_owned(),
                to: "+14155551234".to_owned(),
                body: id.to_owned(),
                media_urls: Vec::new(),
            };
            let taken = world.carry(Some(&text), &[], until).await;
            assert_eq!(matches!(taken, Err(WorldError::NotDone(_))), id == "late", "{taken:?}");
        }
        let window = Window { limit: 10, offset: 0 };
        let look = async move |tx: &mut Tx| tx.handset_texts("+14155551234", window).await;
        let held = store.read::<_, StoreError>(look).await.unwrap();
        assert_eq!(held.items.iter().map(|text| text.body.as_str()).collect::<Vec<_>>(), ["at any time", "in time"]);
    }
}
