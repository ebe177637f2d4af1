//! The seam to what the sandbox network remembers.

use std::time::Instant;

use async_trait::async_trait;
use offhook_domain::message::{Failure, ReceiptStatus};
use offhook_domain::{E164, MessageId, PurchaseId, Timestamp};
use serde::{Deserialize, Serialize};

/// The sandbox's memory failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorldError {
    /// Nothing was done.
    #[error("the sandbox's memory failed: {0}")]
    NotDone(String),
    /// It may have been done.
    #[error("the sandbox's memory failed, and it may have been done: {0}")]
    Unknown(String),
}

/// A number sold, and the buyer's reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sale {
    pub phone_number: E164,
    pub reference: PurchaseId,
}

/// A text as a virtual handset holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandsetMessage {
    pub id: String,
    pub from: String,
    pub to: String,
    pub body: String,
    pub media_urls: Vec<String>,
}

/// Something on its way to the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AirPayload {
    Message { id: String, from: String, to: E164, body: String, media_urls: Vec<String> },
    Receipt { carrier_message_id: String, message_id: MessageId, status: ReceiptStatus, failure: Option<Failure> },
}

/// What the sandbox network remembers. Every call is durable when it returns.
#[async_trait]
pub trait SandboxWorld: Send + Sync {
    /// Sells a number unless it is sold; true when it is now the buyer's (also when it was before, under the
    /// same reference).
    async fn sell(&self, sale: &Sale) -> Result<bool, WorldError>;

    /// The number sold under a reference.
    async fn sold_under(&self, reference: &PurchaseId) -> Result<Option<E164>, WorldError>;

    /// Those of `numbers` that are sold.
    async fn sold_among(&self, numbers: &[E164]) -> Result<Vec<E164>, WorldError>;

    /// Takes a number back, sold or not; with a reference only where it was sold under that.
    async fn take_back(&self, number: &E164, reference: Option<&PurchaseId>) -> Result<(), WorldError>;

    /// Takes a text off a sender's hands, all in one: into the receiving handset's inbox where one is given,
    /// and the payloads into the air, each due at its time. Ids that were taken before change nothing.
    /// Nothing is taken once `until` has passed.
    async fn carry(
        &self,
        text: Option<&HandsetMessage>,
        air: &[(Timestamp, AirPayload)],
        until: Option<Instant>,
    ) -> Result<(), WorldError>;
}
