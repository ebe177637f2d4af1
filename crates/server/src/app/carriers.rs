//! The carriers of this installation, by name, each kept from harming more than what is its own.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use offhook_carriers::{
    AvailableNumber, BuyError, Carrier, CarrierError, Located, NumberOrder, NumberSearch, Registration, Submission,
    Verdict,
};
use offhook_domain::message::{Failure, SendOutcome};
use offhook_domain::{E164, PurchaseId};

use crate::telemetry::names;

/// At least none; in sandbox mode the sandbox. The first buys new numbers; a number stays with its own.
#[derive(Clone, Default)]
pub struct Carriers {
    all: Vec<Arc<dyn Carrier>>,
}

impl Carriers {
    #[must_use]
    pub fn new(all: Vec<Arc<dyn Carrier>>) -> Self {
        Self { all: all.into_iter().map(|carrier| Arc::new(Contained(carrier)) as Arc<dyn Carrier>).collect() }
    }

    /// The carrier new numbers are bought from.
    #[must_use]
    pub fn for_purchases(&self) -> Option<&Arc<dyn Carrier>> {
        self.all.first()
    }

    /// The carrier with this name, which is kept with every number.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Arc<dyn Carrier>> {
        self.all.iter().find(|carrier| carrier.name() == name)
    }
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

    async fn send(&self, submission: &Submission) -> SendOutcome {
        let sent = self.ask(self.0.send(submission)).await;
        sent.unwrap_or_else(|error| SendOutcome::Unknown(Failure::new("30001", &error)))
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
