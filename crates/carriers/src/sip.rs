//! A carrier of calls over SIP, as far as messages and numbers are concerned: it has none of either. Its numbers are the
//! operator's own ([`crate::WithInventory`]), and its calls are no matter of this crate.

use async_trait::async_trait;
use offhook_domain::message::{Failure, SendOutcome};
use offhook_domain::{E164, PurchaseId};

use crate::{AvailableNumber, BuyError, Carrier, CarrierError, NumberOrder, NumberSearch, Submission};

/// As such a failure is called in `errorCode`.
const NO_TEXTS: &str = "30006";

/// The carrier.
pub struct SipCarrier {
    name: &'static str,
}

impl SipCarrier {
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name }
    }
}

#[async_trait]
impl Carrier for SipCarrier {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn search(&self, _query: &NumberSearch) -> Result<Vec<AvailableNumber>, CarrierError> {
        Ok(Vec::new())
    }

    async fn buy(&self, _order: &NumberOrder) -> Result<(), BuyError> {
        Err(BuyError::Taken)
    }

    async fn find_order(&self, _reference: &PurchaseId) -> Result<Option<E164>, CarrierError> {
        Ok(None)
    }

    async fn release(&self, _number: &E164, _reference: Option<&PurchaseId>) -> Result<(), CarrierError> {
        Ok(())
    }

    async fn send(&self, _submission: &Submission) -> SendOutcome {
        SendOutcome::Refused(Failure::new(NO_TEXTS, "the carrier carries calls only"))
    }

    fn takes_texts(&self) -> bool {
        false
    }
}
