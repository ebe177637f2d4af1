//! The outside phone world behind one small trait.
//!
//! In: orders and messages of the platform. Out: outcomes at once, and [`Inbound`] things later. A carrier
//! keeps nothing of ours and never reaches the store.

mod hooks;
mod inventory;
mod names;
mod rest;
mod sandbox;
pub mod sip;
pub mod smpp;
pub mod telnyx;
pub mod twilio;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use http::HeaderValue;
use offhook_domain::campaign::{Decision, RegistrationType};
use offhook_domain::message::{Failure, ReceiptStatus, SendOutcome};
use offhook_domain::{CampaignId, Country, E164, MessageId, PurchaseId, Timestamp};
use tokio_util::sync::CancellationToken;
use url::Url;

pub use hooks::{Answer, Hook, HookRefused, Hooks};
pub use inventory::{Inventory, Stocked, WithInventory};
pub use names::intern;
pub use rest::ClientUnbuildable;
pub use sandbox::{AirPayload, HandsetMessage, NAME as SANDBOX, Sale, SandboxCarrier, SandboxWorld, WorldError};

/// A way to the telephone network.
#[async_trait]
pub trait Carrier: Send + Sync {
    /// The name kept with numbers and messages.
    fn name(&self) -> &'static str;

    /// Numbers that could be bought now, at most `query.limit`.
    ///
    /// # Errors
    /// [`CarrierError`]: it failed for the moment, and nothing happened.
    async fn search(&self, query: &NumberSearch) -> Result<Vec<AvailableNumber>, CarrierError>;

    /// Buys one number, under our own reference.
    ///
    /// # Errors
    /// [`BuyError`], which tells whether it may have been bought all the same.
    async fn buy(&self, order: &NumberOrder) -> Result<(), BuyError>;

    /// What became of an order whose answer was lost: the number it bought, or nothing.
    ///
    /// # Errors
    /// [`CarrierError`]: it can't say for the moment.
    async fn find_order(&self, reference: &PurchaseId) -> Result<Option<E164>, CarrierError>;

    /// Gives a number back: what was bought under `reference`, where it is given, and no later sale of the number.
    /// Giving back what was given back is no error.
    ///
    /// # Errors
    /// [`CarrierError`]: it failed for the moment; ask again.
    async fn release(&self, number: &E164, reference: Option<&PurchaseId>) -> Result<(), CarrierError>;

    /// Hands over one message. Says precisely whether the carrier has it.
    async fn send(&self, submission: &Submission) -> SendOutcome;

    /// Keeps connections of its own until `stop`, where it has any, and brings to `sink` what comes over them.
    async fn run(&self, sink: Arc<dyn InboundSink>, stop: CancellationToken) {
        drop(sink);
        stop.cancelled().await;
    }

    /// How the connections of its own stand, where it has any.
    fn links(&self) -> Vec<smpp::LinkStatus> {
        Vec::new()
    }

    /// Who reads what it posts to us, where it does so.
    fn hooks(&self) -> Option<&dyn Hooks> {
        None
    }

    /// What has to be sent along, as `Authorization`, to get a file that it says came with a message. Only where `url` is on
    /// a server of its own: whoever else is asked must not learn it.
    fn media_login(&self, _url: &Url) -> Option<HeaderValue> {
        None
    }

    /// What an operator should know of it: whether it lets us in, and whether it is set up to bring us what comes. With
    /// `repair`, what can be put right is.
    ///
    /// # Errors
    /// [`CarrierError`]: it can't be reached, or does not let us in.
    async fn check(&self, repair: bool) -> Result<Vec<Finding>, CarrierError> {
        let _ = repair;
        Ok(Vec::new())
    }

    /// Whether a message with media can go out over it to somebody, as far as it knows beforehand. One that can't must say
    /// so here, for what is refused before it is accepted costs nothing.
    fn takes_media(&self, _to: &str) -> bool {
        true
    }

    /// Whether it carries messages at all. What is sent over one that does not must be refused before it is accepted.
    fn takes_texts(&self) -> bool {
        true
    }

    /// What it decides on a registration, which it is told of as often as it says that it has not decided yet. Without a
    /// say in it, an operator decides.
    ///
    /// # Errors
    /// [`CarrierError`]: it can't say for the moment; ask again.
    async fn decide(&self, registration: &Registration) -> Result<Verdict, CarrierError> {
        let _ = registration;
        Ok(Verdict::ForAnOperator)
    }

    /// Where the device of one of its numbers was last seen. Most carriers can't tell.
    ///
    /// # Errors
    /// [`CarrierError`]: it can't say for the moment.
    async fn locate(&self, _number: &E164) -> Result<Located, CarrierError> {
        Ok(Located::Unsupported)
    }

    /// Has it look anew where its numbers are: after how long there may be news. `None` where it can't tell.
    ///
    /// # Errors
    /// [`CarrierError`]: it failed for the moment.
    async fn refresh_locations(&self, _numbers: &[E164]) -> Result<Option<Duration>, CarrierError> {
        Ok(None)
    }
}

/// Something that a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    Good(String),
    /// Wrong, and what to do about it.
    Bad(String),
}

/// A registration that a carrier is to decide on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Ours: the same as often as it is asked about.
    pub reference: CampaignId,
    pub registered: RegistrationType,
    /// All that was filled in, by the names of the API's fields.
    pub form: serde_json::Map<String, serde_json::Value>,
}

/// What a carrier says of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Decided(Decision),
    NotYet,
    ForAnOperator,
}

/// Where something is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Located {
    /// This carrier can't tell of any number.
    Unsupported,
    /// It could, and does not know.
    Unknown,
    At {
        latitude: f64,
        longitude: f64,
        at: Timestamp,
    },
}

/// The carrier failed for the moment. Nothing was bought, sent or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CarrierError(pub String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuyError {
    /// Somebody else was faster, or it is not for sale: try another.
    #[error("the number is taken")]
    Taken,
    /// Refused for good.
    #[error("{0}")]
    Refused(String),
    /// It failed and nothing was bought.
    #[error("{0}")]
    NotBought(String),
    /// The answer was lost: it may have been bought.
    #[error("{0}")]
    Unknown(String),
}

/// What somebody looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberSearch {
    pub country: Country,
    pub area_code: Option<String>,
    pub city: Option<String>,
    /// State or province, two letters.
    pub region: Option<String>,
    pub postal_code: Option<String>,
    pub limit: usize,
}

/// A number on offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvailableNumber {
    pub phone_number: E164,
    pub city: Option<String>,
    pub region: Option<String>,
    pub rate_center: Option<String>,
    pub area_code: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberOrder {
    /// Ours: by it an order is found again after a crash.
    pub reference: PurchaseId,
    pub phone_number: E164,
}

/// A message on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    pub message_id: MessageId,
    pub from: E164,
    /// E.164 or a short code.
    pub to: String,
    pub body: String,
    pub media_urls: Vec<String>,
    /// How often it was tried before, to no effect.
    pub attempt: u32,
    /// When the right to hand it over ends, where it does. A carrier that has it wait, for its turn or for a connection,
    /// looks right before it leaves this process: what is too late is not taken, for another node sends by then.
    pub until: Option<Instant>,
}

/// Something that came from the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    Message(InboundMessage),
    Receipt(Receipt),
}

/// A text for one of our numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundMessage {
    pub carrier: &'static str,
    /// The carrier's id, which makes a repeat harmless.
    pub carrier_message_id: String,
    pub from: String,
    pub to: E164,
    pub body: String,
    pub media_urls: Vec<String>,
}

/// A delivery receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub carrier: &'static str,
    pub carrier_message_id: String,
    /// Our id, where the carrier hands it back: it settles a send whose own answer was lost.
    pub message_id: Option<MessageId>,
    pub status: ReceiptStatus,
    pub failure: Option<Failure>,
    pub at: Timestamp,
}

/// Where inbound things go. Returns once they are committed; only then may a carrier be told.
#[async_trait]
pub trait InboundSink: Send + Sync {
    /// # Errors
    /// [`NotKept`]: nothing was kept; bring them again.
    async fn receive(&self, inbound: Vec<Inbound>) -> Result<(), NotKept>;
}

/// What was brought is not kept; bring it again later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotKept(pub String);
