//! The built-in carrier: fictitious numbers, virtual handsets, and failures on demand.
//!
//! Its world (what it sold, what is in the air, what handsets hold) is durable like a real network's, behind
//! [`SandboxWorld`], so that a crash of ours is not a crash of the network. What falls due in the air is
//! brought to the platform by whoever runs the world's pump.

mod inventory;
mod magic;
mod registrations;
mod send;
mod world;

use std::sync::Arc;

use async_trait::async_trait;
use offhook_domain::message::SendOutcome;
use offhook_domain::{Clock, E164, PurchaseId};

use crate::{
    AvailableNumber, BuyError, Carrier, CarrierError, NumberOrder, NumberSearch, Registration, Submission, Verdict,
};
pub use world::{AirPayload, HandsetMessage, Sale, SandboxWorld, WorldError};

/// The sandbox carrier's name.
pub const NAME: &str = "sandbox";

/// The carrier that needs no account anywhere.
pub struct SandboxCarrier {
    world: Arc<dyn SandboxWorld>,
    clock: Arc<dyn Clock>,
}

impl SandboxCarrier {
    #[must_use]
    pub fn new(world: Arc<dyn SandboxWorld>, clock: Arc<dyn Clock>) -> Self {
        Self { world, clock }
    }
}

#[async_trait]
impl Carrier for SandboxCarrier {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn search(&self, query: &NumberSearch) -> Result<Vec<AvailableNumber>, CarrierError> {
        inventory::search(&*self.world, query).await.map_err(|e| CarrierError(e.to_string()))
    }

    async fn buy(&self, order: &NumberOrder) -> Result<(), BuyError> {
        let sale = inventory::sale_of(&order.phone_number);
        match sale {
            inventory::Sale::Plain | inventory::Sale::LostSold => {}
            inventory::Sale::NotOurs => return Err(BuyError::Taken),
            inventory::Sale::Fails => return Err(BuyError::NotBought("the sandbox fails this purchase".to_owned())),
            inventory::Sale::LostUnsold => return Err(BuyError::Unknown("the sandbox lost its answer".to_owned())),
        }
        let sold = Sale { phone_number: order.phone_number.clone(), reference: order.reference.clone() };
        match self.world.sell(&sold).await {
            Ok(false) => Err(BuyError::Taken),
            Ok(true) if sale == inventory::Sale::LostSold => {
                Err(BuyError::Unknown("the sandbox lost its answer".to_owned()))
            }
            Ok(true) => Ok(()),
            Err(WorldError::NotDone(why)) => Err(BuyError::NotBought(why)),
            Err(WorldError::Unknown(why)) => Err(BuyError::Unknown(why)),
        }
    }

    async fn find_order(&self, reference: &PurchaseId) -> Result<Option<E164>, CarrierError> {
        self.world.sold_under(reference).await.map_err(|e| CarrierError(e.to_string()))
    }

    async fn release(&self, number: &E164, reference: Option<&PurchaseId>) -> Result<(), CarrierError> {
        self.world.take_back(number, reference).await.map_err(|e| CarrierError(e.to_string()))
    }

    async fn send(&self, submission: &Submission) -> SendOutcome {
        send::send(&*self.world, self.clock.now(), submission).await
    }

    async fn decide(&self, registration: &Registration) -> Result<Verdict, CarrierError> {
        Ok(Verdict::Decided(registrations::decide(registration)))
    }
}
