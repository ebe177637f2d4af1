//! The stock of the operator's own numbers, kept in our store.

use std::sync::Arc;

use async_trait::async_trait;
use offhook_carriers::{AvailableNumber, Inventory, NumberSearch, Stocked, WorldError};
use offhook_domain::{Clock, E164, PurchaseId};
use offhook_store::inventory::{StockNumber, StockSearch};
use offhook_store::{Store, StoreError, Tx};

/// The stock.
pub struct StoredInventory {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl StoredInventory {
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }
}

#[async_trait]
impl Inventory for StoredInventory {
    async fn search(&self, carrier: &'static str, query: &NumberSearch) -> Result<Vec<AvailableNumber>, WorldError> {
        let NumberSearch { country, area_code, city, region, postal_code, limit } = query.clone();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let search = StockSearch { carrier: carrier.to_owned(), country, area_code, city, region, postal_code, limit };
        let found = self.store.read(async move |tx: &mut Tx| tx.stock(&search).await).await;
        Ok(found.map_err(failed)?.into_iter().map(offer).collect())
    }

    async fn sell(&self, carrier: &'static str, number: &E164, reference: &PurchaseId) -> Result<bool, WorldError> {
        let (number, reference, now) = (number.clone(), reference.clone(), self.clock.now());
        let sell = async move |tx: &mut Tx| tx.sell_stock(carrier, &number, &reference, now).await;
        self.store.write(sell).await.map_err(failed)
    }

    async fn sold_under(&self, carrier: &'static str, reference: &PurchaseId) -> Result<Option<E164>, WorldError> {
        let reference = reference.clone();
        let look = async move |tx: &mut Tx| tx.stock_sold_under(carrier, &reference).await;
        self.store.read(look).await.map_err(failed)
    }

    async fn take_back(
        &self,
        carrier: &'static str,
        number: &E164,
        reference: Option<&PurchaseId>,
    ) -> Result<(), WorldError> {
        let (number, reference) = (number.clone(), reference.cloned());
        let take = async move |tx: &mut Tx| tx.take_back_stock(carrier, &number, reference.as_ref()).await;
        self.store.write(take).await.map_err(failed)
    }

    async fn count(&self, carrier: &'static str) -> Result<Stocked, WorldError> {
        let count = async move |tx: &mut Tx| tx.count_stock(carrier).await;
        let (all, sold) = self.store.read(count).await.map_err(failed)?;
        Ok(Stocked { all, sold })
    }
}

fn offer(one: StockNumber) -> AvailableNumber {
    let area_code = one.phone_number.area_code().map(str::to_owned);
    let StockNumber { phone_number, city, region, rate_center, .. } = one;
    AvailableNumber { phone_number, city, region, rate_center, area_code }
}

fn failed(error: StoreError) -> WorldError {
    match error {
        StoreError::Unknown(why) => WorldError::Unknown(why),
        other => WorldError::NotDone(other.to_string()),
    }
}
