//! A phone number held by an account, from purchase to release.

use crate::ids::{AccountId, AgentId, NumberId};
use crate::phone::{Country, E164};
use crate::time::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberStatus {
    Active,
    Released,
}

impl NumberStatus {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Released => "released",
        }
    }
}

/// A number as it is kept. What the API shows beside this is derived from its carrier and mode.
#[derive(Debug, Clone)]
pub struct Number {
    pub id: NumberId,
    pub account_id: AccountId,
    pub phone_number: E164,
    pub country: Country,
    pub status: NumberStatus,
    /// `sms`, `imessage`, …: what was asked for when it was bought.
    pub kind: String,
    pub agent_id: Option<AgentId>,
    pub carrier: String,
    pub external_id: Option<String>,
    /// Released by itself at this time.
    pub expires_at: Option<Timestamp>,
    pub purchased_at: Timestamp,
    /// The next charge is due then.
    pub renews_at: Timestamp,
    /// Since when a renewal could not be paid.
    pub unpaid_since: Option<Timestamp>,
    pub released_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the number is released")]
pub struct AlreadyReleased;

impl Number {
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.status == NumberStatus::Active
    }

    /// Gives the number up. It keeps its history and loses its agent.
    ///
    /// # Errors
    /// [`AlreadyReleased`] when it was given up before.
    pub fn release(&mut self, at: Timestamp) -> Result<(), AlreadyReleased> {
        if !self.is_active() {
            return Err(AlreadyReleased);
        }
        self.status = NumberStatus::Released;
        self.released_at = Some(at);
        self.agent_id = None;
        Ok(())
    }
}

/// Why a number was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseReason {
    /// Somebody asked for it.
    Requested,
    /// Its `expiresAt` had come.
    Expired,
    /// It was not paid for, and the grace was over.
    Unpaid,
}

impl ReleaseReason {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Expired => "expired",
            Self::Unpaid => "unpaid",
        }
    }
}

/// What a number shows of its owner on phones that can show it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContactCard {
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub display_name: Option<String>,
    pub avatar_url: Option<String>,
}
