//! Numbers that the operator brought along, for carriers that sell none by an API (SMPP, SIP). In: the same orders as for any
//! carrier. Out: numbers of the stock, sold and taken back. Never here: where the stock is kept.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;
use offhook_domain::message::SendOutcome;
use offhook_domain::{E164, PurchaseId};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::smpp::LinkStatus;
use crate::{
    AvailableNumber, BuyError, Carrier, CarrierError, Finding, Hooks, InboundSink, Located, NumberOrder, NumberSearch,
    Registration, Submission, Verdict, WorldError,
};

/// The stock of numbers by carrier. Durable: a crash must not lose what was sold.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// Numbers not sold, at most `query.limit`.
    ///
    /// # Errors
    /// [`WorldError`].
    async fn search(&self, carrier: &'static str, query: &NumberSearch) -> Result<Vec<AvailableNumber>, WorldError>;

    /// Sells a number under a reference; false where it is not in stock. Again under the same reference: true.
    ///
    /// # Errors
    /// [`WorldError`].
    async fn sell(&self, carrier: &'static str, number: &E164, reference: &PurchaseId) -> Result<bool, WorldError>;

    /// What was sold under a reference.
    ///
    /// # Errors
    /// [`WorldError`].
    async fn sold_under(&self, carrier: &'static str, reference: &PurchaseId) -> Result<Option<E164>, WorldError>;

    /// Takes a number back into stock: what was sold under `reference`, where it is given.
    ///
    /// # Errors
    /// [`WorldError`].
    async fn take_back(
        &self,
        carrier: &'static str,
        number: &E164,
        reference: Option<&PurchaseId>,
    ) -> Result<(), WorldError>;

    /// How much is in stock, and how much of it is sold.
    ///
    /// # Errors
    /// [`WorldError`].
    async fn count(&self, carrier: &'static str) -> Result<Stocked, WorldError>;
}

/// How much a stock has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stocked {
    pub all: i64,
    pub sold: i64,
}

/// A carrier of messages whose numbers are the operator's own.
pub struct WithInventory {
    link: Arc<dyn Carrier>,
    stock: Arc<dyn Inventory>,
}

impl WithInventory {
    /// `link` is asked for messages only.
    #[must_use]
    pub fn new(link: Arc<dyn Carrier>, stock: Arc<dyn Inventory>) -> Self {
        Self { link, stock }
    }
}

#[async_trait]
impl Carrier for WithInventory {
    fn name(&self) -> &'static str {
        self.link.name()
    }

    async fn search(&self, query: &NumberSearch) -> Result<Vec<AvailableNumber>, CarrierError> {
        self.stock.search(self.name(), query).await.map_err(failed)
    }

    async fn buy(&self, order: &NumberOrder) -> Result<(), BuyError> {
        match self.stock.sell(self.name(), &order.phone_number, &order.reference).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(BuyError::Taken),
            Err(WorldError::NotDone(why)) => Err(BuyError::NotBought(why)),
            Err(WorldError::Unknown(why)) => Err(BuyError::Unknown(why)),
        }
    }

    async fn find_order(&self, reference: &PurchaseId) -> Result<Option<E164>, CarrierError> {
        self.stock.sold_under(self.name(), reference).await.map_err(failed)
    }

    async fn release(&self, number: &E164, reference: Option<&PurchaseId>) -> Result<(), CarrierError> {
        self.stock.take_back(self.name(), number, reference).await.map_err(failed)
    }

    async fn send(&self, submission: &Submission) -> SendOutcome {
        self.link.send(submission).await
    }

    fn links(&self) -> Vec<LinkStatus> {
        self.link.links()
    }

    fn takes_texts(&self) -> bool {
        self.link.takes_texts()
    }

    fn takes_media(&self, to: &str) -> bool {
        self.link.takes_media(to)
    }

    async fn decide(&self, registration: &Registration) -> Result<Verdict, CarrierError> {
        self.link.decide(registration).await
    }

    async fn locate(&self, number: &E164) -> Result<Located, CarrierError> {
        self.link.locate(number).await
    }

    async fn refresh_locations(&self, numbers: &[E164]) -> Result<Option<Duration>, CarrierError> {
        self.link.refresh_locations(numbers).await
    }

    fn hooks(&self) -> Option<&dyn Hooks> {
        self.link.hooks()
    }

    fn media_login(&self, url: &Url) -> Option<HeaderValue> {
        self.link.media_login(url)
    }

    async fn run(&self, sink: Arc<dyn InboundSink>, stop: CancellationToken) {
        self.link.run(sink, stop).await;
    }

    async fn check(&self, repair: bool) -> Result<Vec<Finding>, CarrierError> {
        let mut found = self.link.check(repair).await?;
        let Stocked { all, sold } = self.stock.count(self.name()).await.map_err(failed)?;
        found.push(if all == 0 {
            Finding::Bad("no numbers: import them with `offhook numbers import`".to_owned())
        } else {
            Finding::Good(format!("{all} numbers, {sold} of them sold"))
        });
        Ok(found)
    }
}

fn failed(error: WorldError) -> CarrierError {
    let (WorldError::NotDone(why) | WorldError::Unknown(why)) = error;
    CarrierError(why)
}
