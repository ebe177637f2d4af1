//! The carriers of this installation, by name, each kept from harming more than what is its own.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use offhook_carriers::smpp::LinkStatus;
use offhook_carriers::{
    AvailableNumber, BuyError, Carrier, CarrierError, Finding, Hooks, InboundSink, Located, NumberOrder, NumberSearch,
    Registration, Submission, Verdict,
};
use offhook_domain::message::{Failure, SendOutcome};
use offhook_domain::routing::Terms;
use offhook_domain::{Country, E164, PurchaseId};
use offhook_store::{StoreError, Tx};
use tokio_util::sync::CancellationToken;

use super::App;
use crate::telemetry::names;

/// At least none; in sandbox mode the sandbox. The first for a country sells numbers in it; a number stays with its own.
#[derive(Clone, Default)]
pub struct Carriers {
    all: Vec<Placed>,
}

/// A carrier, and what it is for.
#[derive(Clone)]
pub struct Placed {
    pub carrier: Arc<dyn Carrier>,
    /// Where numbers are bought from it; none: everywhere.
    pub countries: Vec<Country>,
    /// Which messages may go by it.
    pub terms: Terms,
}

impl Placed {
    /// A carrier for everything, but for numbers of its own only.
    #[must_use]
    pub fn anywhere(carrier: Arc<dyn Carrier>) -> Self {
        Self { carrier, countries: Vec::new(), terms: Terms::default() }
    }
}

impl Carriers {
    #[must_use]
    pub fn new(all: Vec<Arc<dyn Carrier>>) -> Self {
        Self::placed(all.into_iter().map(Placed::anywhere).collect())
    }

    /// The first to ask first.
    #[must_use]
    pub fn placed(all: Vec<Placed>) -> Self {
        let contained = |one: Placed| Placed { carrier: Arc::new(Contained(one.carrier)), ..one };
        Self { all: all.into_iter().map(contained).collect() }
    }

    /// The carrier with this name, which is kept with every number.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Arc<dyn Carrier>> {
        self.all().find(|carrier| carrier.name() == name)
    }

    /// All of them, with what they are for.
    pub fn placed_all(&self) -> impl Iterator<Item = &Placed> {
        self.all.iter()
    }

    /// All of them, the first to ask first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn Carrier>> {
        self.all.iter().map(|placed| &placed.carrier)
    }
}

/// The carrier that new numbers of a country are bought from: the first for it that is not drained.
///
/// # Errors
/// [`StoreError`].
pub async fn for_purchases(app: &App, country: Country) -> Result<Option<Arc<dyn Carrier>>, StoreError> {
    let carriers = app.carriers.clone();
    app.store.read(async move |tx: &mut Tx| seller(tx, &carriers, country).await).await
}

/// As [`for_purchases`], in a transaction.
///
/// # Errors
/// [`StoreError`].
pub async fn seller(
    tx: &mut Tx,
    carriers: &Carriers,
    country: Country,
) -> Result<Option<Arc<dyn Carrier>>, StoreError> {
    Ok(sellers(tx, carriers, country).await?.into_iter().next())
}

/// All that sell numbers of a country, the first to ask first.
///
/// # Errors
/// [`StoreError`].
pub async fn sellers(tx: &mut Tx, carriers: &Carriers, country: Country) -> Result<Vec<Arc<dyn Carrier>>, StoreError> {
    let fits = |placed: &&Placed| placed.countries.is_empty() || placed.countries.contains(&country);
    let mut sellers = Vec::new();
    for placed in carriers.all.iter().filter(fits) {
        if !tx.is_drained(placed.carrier.name()).await? {
            sellers.push(placed.carrier.clone());
        }
    }
    Ok(sellers)
}

/// A carrier whose panics are answers: that it failed, or, where something may have happened, that nobody knows. What
/// was asked of it may be one message of thousands, and a panic would end the worker of them all.
struct Contained(Arc<dyn Carrier>);

impl Contained {
    async fn ask<T>(&self, answer: impl Future<Output = T>) -> Result<T, String> {
        AssertUnwindSafe(answer).catch_unwind().await.map_err(|panic| {
            metrics::counter!(names::TASK_PANICS, "task" => self.0.name()).increment(1);
            tracing::error!(carrier = self.0.name(), panic = words(&*panic), "the carrier's code panicked");
            "the carrier's code panicked".to_owned()
        })
    }
}

#[async_trait]
impl Carrier for Contained {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    async fn search(&self, query: &NumberSearch) -> Result<Vec<AvailableNumber>, CarrierError> {
        self.ask(self.0.search(query)).await.unwrap_or_else(|error| Err(CarrierError(error)))
    }

    async fn buy(&self, order: &NumberOrder) -> Result<(), BuyError> {
        self.ask(self.0.buy(order)).await.unwrap_or_else(|error| Err(BuyError::Unknown(error)))
    }

    async fn find_order(&self, reference: &PurchaseId) -> Result<Option<E164>, CarrierError> {
        self.ask(self.0.find_order(reference)).await.unwrap_or_else(|error| Err(CarrierError(error)))
    }

    async fn release(&self, number: &E164, reference: Option<&PurchaseId>) -> Result<(), CarrierError> {
        self.ask(self.0.release(number, reference)).await.unwrap_or_else(|error| Err(CarrierError(error)))
    }

    async fn decide(&self, registration: &Registration) -> Result<Verdict, CarrierError> {
        self.ask(self.0.decide(registration)).await.unwrap_or_else(|error| Err(CarrierError(error)))
    }

    fn takes_texts(&self) -> bool {
        self.0.takes_texts()
    }

    fn takes_media(&self, to: &str) -> bool {
        self.0.takes_media(to)
    }

    async fn send(&self, submission: &Submission) -> SendOutcome {
        let sent = self.ask(self.0.send(submission)).await;
        sent.unwrap_or_else(|error| SendOutcome::Unknown(Failure::new("30001", &error)))
    }

    fn media_login(&self, url: &url::Url) -> Option<http::HeaderValue> {
        self.0.media_login(url)
    }

    fn links(&self) -> Vec<LinkStatus> {
        self.0.links()
    }

    fn hooks(&self) -> Option<&dyn Hooks> {
        self.0.hooks()
    }

    async fn check(&self, repair: bool) -> Result<Vec<Finding>, CarrierError> {
        self.ask(self.0.check(repair)).await.unwrap_or_else(|error| Err(CarrierError(error)))
    }

    async fn run(&self, sink: Arc<dyn InboundSink>, stop: CancellationToken) {
        if self.ask(self.0.run(sink, stop.clone())).await.is_err() {
            // The other carriers go on.
            stop.cancelled().await;
        }
    }

    async fn locate(&self, number: &E164) -> Result<Located, CarrierError> {
        self.ask(self.0.locate(number)).await.unwrap_or_else(|error| Err(CarrierError(error)))
    }

    async fn refresh_locations(&self, numbers: &[E164]) -> Result<Option<Duration>, CarrierError> {
        self.ask(self.0.refresh_locations(numbers)).await.unwrap_or_else(|error| Err(CarrierError(error)))
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
