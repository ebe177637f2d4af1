//! Buying a number: a saga of small steps, each its own transaction, so that a crash between any two of them
//! can be put right.
//!
//! ```text
//! reserved ──the carrier sold it──────────────────▶ stored
//!    │ └──────the carrier's answer is lost──▶ unconfirmed ──it was sold──▶ stored
//!    └──nothing was bought──▶ undone ◀──it was not sold──┘
//! ```

use crate::ids::{AccountId, AgentId, NumberId, PurchaseId};
use crate::ledger::{EntryKind, Micros, Posting};
use crate::number::{Number, NumberStatus};
use crate::phone::{Country, E164};
use crate::time::Timestamp;

/// How far a purchase has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PurchaseState {
    /// Limit and balance are held; the carrier may or may not have been asked.
    Reserved,
    /// The carrier's answer is unknown; the reconciler is finding out.
    Unconfirmed,
    /// Bought and stored.
    Stored,
    /// Not bought; limit and balance were given back.
    Undone,
}

impl PurchaseState {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Unconfirmed => "unconfirmed",
            Self::Stored => "stored",
            Self::Undone => "undone",
        }
    }

    /// Whether it still has to come to an end.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Reserved | Self::Unconfirmed)
    }
}

/// A purchase under way, or done. Its id is our reference at the carrier.
#[derive(Debug, Clone)]
pub struct Purchase {
    pub id: PurchaseId,
    pub account_id: AccountId,
    pub state: PurchaseState,
    pub carrier: String,
    /// The number it is trying to get now.
    pub phone_number: E164,
    pub country: Country,
    pub kind: String,
    pub agent_id: Option<AgentId>,
    pub external_id: Option<String>,
    pub expires_at: Option<Timestamp>,
    /// What was held for it.
    pub price: Micros,
    /// The `Idempotency-Key` of the request, answered also when a crash cut the request off.
    pub once_key: Option<String>,
    /// Nobody but its buyer touches it before then.
    pub settle_after: Timestamp,
    pub created_at: Timestamp,
}

impl Purchase {
    /// The number that comes of it, paid until `renews_at`.
    #[must_use]
    pub fn number(&self, id: NumberId, at: Timestamp, renews_at: Timestamp) -> Number {
        Number {
            id,
            account_id: self.account_id.clone(),
            phone_number: self.phone_number.clone(),
            country: self.country,
            status: NumberStatus::Active,
            kind: self.kind.clone(),
            agent_id: self.agent_id.clone(),
            carrier: self.carrier.clone(),
            external_id: self.external_id.clone(),
            expires_at: self.expires_at,
            purchased_at: at,
            renews_at,
            unpaid_since: None,
            released_at: None,
        }
    }

    /// The price as a ledger line: held, returned, or earned.
    #[must_use]
    pub fn posting(&self, kind: EntryKind, at: Timestamp) -> Posting {
        Posting { kind, amount: self.price, reference: self.id.to_string(), at }
    }
}
