//! A carrier that sells nothing, for a test that looks at how messages are handed over.

use std::sync::Arc;

use async_trait::async_trait;
use offhook_carriers::{AvailableNumber, BuyError, Carrier, CarrierError, NumberOrder, NumberSearch, Submission};
use offhook_domain::message::SendOutcome;
use offhook_domain::{E164, PurchaseId};

/// What becomes of messages.
pub trait Sends: Send + Sync + 'static {
    fn send(&self, submission: &Submission) -> SendOutcome;
}

pub struct SendsOnly<S>(pub Arc<S>);

#[async_trait]
impl<S: Sends> Carrier for SendsOnly<S> {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    async fn search(&self, _: &NumberSearch) -> Result<Vec<AvailableNumber>, CarrierError> {
        Ok(Vec::new())
    }

    async fn buy(&self, _: &NumberOrder) -> Result<(), BuyError> {
        Err(BuyError::Taken)
    }

    async fn find_order(&self, _: &PurchaseId) -> Result<Option<E164>, CarrierError> {
        Ok(None)
    }

    async fn release(&self, _: &E164, _: Option<&PurchaseId>) -> Result<(), CarrierError> {
        Ok(())
    }

    async fn send(&self, submission: &Submission) -> SendOutcome {
        self.0.send(submission)
    }
}
