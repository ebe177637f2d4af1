//! The numbers a purchase may try for, one after another.

use std::collections::VecDeque;
use std::sync::Arc;

use offhook_carriers::{Carrier, NumberSearch};
use offhook_domain::E164;
use offhook_store::{StoreError, Tx};
use rand::seq::SliceRandom;
use tokio::time::{Instant, timeout_at};

use super::App;
use super::buy_number::{BuyNumber, BuyNumberError};
use super::carriers::sellers;

/// How many numbers one search brings.
const AT_A_TIME: usize = 40;

/// What a carrier offers for an order. This very number, and no other, may be any carrier's.
pub(super) struct Offers<'a> {
    app: &'a App,
    carrier: Arc<dyn Carrier>,
    /// This very number, and who is asked for it next.
    exactly: Option<(E164, VecDeque<Arc<dyn Carrier>>)>,
    searches: VecDeque<NumberSearch>,
    /// The next one last.
    found: Vec<E164>,
    deadline: Instant,
}

impl<'a> Offers<'a> {
    /// `None` where there is no carrier to buy from.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn of(app: &'a App, order: &BuyNumber, deadline: Instant) -> Result<Option<Self>, StoreError> {
        let (carriers, country) = (app.carriers.clone(), order.country);
        let fitting = app.store.read(async move |tx: &mut Tx| sellers(tx, &carriers, country).await).await?;
        let mut fitting = VecDeque::from(fitting);
        let Some(carrier) = fitting.pop_front() else { return Ok(None) };
        let exactly = order.phone_number.clone().map(|number| (number, fitting));
        let anywhere = NumberSearch {
            country: order.country,
            area_code: None,
            city: None,
            region: None,
            postal_code: None,
            limit: AT_A_TIME,
        };
        let (searches, found) = match (&order.phone_number, &order.area_code) {
            (Some(number), _) => (VecDeque::new(), vec![number.clone()]),
            (None, Some(code)) => {
                let near = NumberSearch { area_code: Some(code.clone()), ..anywhere.clone() };
                (VecDeque::from([near, anywhere]), Vec::new())
            }
            (None, None) => (VecDeque::from([anywhere]), Vec::new()),
        };
        Ok(Some(Self { app, carrier, exactly, searches, found, deadline }))
    }

    /// Who has the number that came last.
    pub(super) fn carrier(&self) -> &dyn Carrier {
        &*self.carrier
    }

    /// The next number worth trying; `None` when there is none left.
    ///
    /// # Errors
    /// The carrier can't be searched, or the store can't be read.
    pub(super) async fn next(&mut self) -> Result<Option<E164>, BuyNumberError> {
        loop {
            while let Some(number) = self.found.pop() {
                if !is_ours(self.app, &number).await? {
                    return Ok(Some(number));
                }
            }
            if let Some(search) = self.searches.pop_front() {
                self.found = self.search(&search).await?;
                continue;
            }
            let Some((number, carriers)) = &mut self.exactly else { return Ok(None) };
            let Some(carrier) = carriers.pop_front() else { return Ok(None) };
            self.found = vec![number.clone()];
            self.carrier = carrier;
        }
    }

    async fn search(&self, search: &NumberSearch) -> Result<Vec<E164>, BuyNumberError> {
        let searched = timeout_at(self.deadline, self.carrier.search(search)).await;
        let searched = searched.map_err(|_| BuyNumberError::CarrierFailed("no answer in time".to_owned()))?;
        let offers = searched.map_err(|error| BuyNumberError::CarrierFailed(error.to_string()))?;
        let mut found: Vec<E164> = offers.into_iter().rev().map(|offer| offer.phone_number).collect();
        // The carrier's first offer is tried first. Buyers who met on it go different ways from there.
        let rest = found.len().saturating_sub(1);
        found[..rest].shuffle(&mut rand::rng());
        Ok(found)
    }
}

/// Whether a number is held here, or was and the carrier has yet to take it back. The second must be asked
/// second: a number that is given up moves from the first to the second in one transaction.
async fn is_ours(app: &App, number: &E164) -> Result<bool, StoreError> {
    let number = number.clone();
    app.store
        .read(async move |tx: &mut Tx| {
            Ok(tx.holder_of(&number).await?.is_some() || tx.is_to_be_given_back(&number).await?)
        })
        .await
}
