//! Campaigns: what the US carriers know of an account before they take its texts (10DLC), and how fast they take them.
//!
//! In: what was registered, and who decides. Out: which class a campaign is of, and which transitions it may make. Never
//! here: the form's fields, which are the door's.

use crate::shaping::Limit;

/// What an account registers as (contract, "Account").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RegistrationType {
    SoleProprietor,
    StandardBrand,
    HighVolume,
}

impl RegistrationType {
    pub const ALL: [Self; 3] = [Self::SoleProprietor, Self::StandardBrand, Self::HighVolume];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SoleProprietor => "sole_proprietor",
            Self::StandardBrand => "standard_brand",
            Self::HighVolume => "high_volume",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }

    /// The class it gets, where whoever decides says nothing of trust.
    #[must_use]
    pub const fn class(self) -> CampaignClass {
        match self {
            Self::SoleProprietor => CampaignClass::SoleProprietor,
            Self::StandardBrand => CampaignClass::LowVolume,
            Self::HighVolume => CampaignClass::StandardTrust,
        }
    }
}

/// How fast the carriers take a campaign's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CampaignClass {
    SoleProprietor,
    LowVolume,
    LowTrust,
    StandardTrust,
    HighTrust,
    HighestTrust,
}

impl CampaignClass {
    pub const ALL: [Self; 6] = [
        Self::SoleProprietor,
        Self::LowVolume,
        Self::LowTrust,
        Self::StandardTrust,
        Self::HighTrust,
        Self::HighestTrust,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SoleProprietor => "sole_proprietor",
            Self::LowVolume => "low_volume",
            Self::LowTrust => "low_trust",
            Self::StandardTrust => "standard_trust",
            Self::HighTrust => "high_trust",
            Self::HighestTrust => "highest_trust",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }

    /// Whether a registration can be approved as of this class.
    #[must_use]
    pub const fn suits(self, registered: RegistrationType) -> bool {
        match registered {
            RegistrationType::SoleProprietor => matches!(self, Self::SoleProprietor),
            RegistrationType::StandardBrand => matches!(self, Self::LowVolume),
            RegistrationType::HighVolume => !matches!(self, Self::SoleProprietor | Self::LowVolume),
        }
    }

    /// Of messages.
    #[must_use]
    pub const fn thousandths_per_second(self) -> i64 {
        self.figures().0
    }

    #[must_use]
    pub const fn limit(self) -> Limit {
        let (thousandths, segments) = self.figures();
        Limit::new(thousandths, Some(segments))
    }

    /// The contract's table: thousandths of a message a second, and segments a day.
    const fn figures(self) -> (i64, i64) {
        match self {
            Self::SoleProprietor => (2_250, 3_000),
            Self::LowVolume | Self::LowTrust => (3_750, 6_000),
            Self::StandardTrust => (12_000, 30_000),
            Self::HighTrust => (120_000, 120_000),
            Self::HighestTrust => (225_000, 600_000),
        }
    }
}

/// How far a registration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CampaignStatus {
    Pending,
    Approved,
    Rejected,
}

impl CampaignStatus {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Approved, Self::Rejected].into_iter().find(|one| one.as_str() == text)
    }

    /// Whether the form may be handed in anew: only a rejected one is.
    #[must_use]
    pub const fn may_be_resubmitted(self) -> bool {
        matches!(self, Self::Rejected)
    }
}

/// What became of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Approved(CampaignClass),
    /// Why, in words for the customer.
    Rejected(String),
}

/// What a number may send in the US, as the API shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboundSms {
    Enabled,
    /// The registration is being looked at.
    Activating,
    RegistrationRequired,
}

impl OutboundSms {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Activating => "activating",
            Self::RegistrationRequired => "registration_required",
        }
    }

    /// Of a number that needs a registration, by its account's.
    #[must_use]
    pub const fn by(campaign: Option<CampaignStatus>) -> Self {
        match campaign {
            Some(CampaignStatus::Approved) => Self::Enabled,
            Some(CampaignStatus::Pending) => Self::Activating,
            Some(CampaignStatus::Rejected) | None => Self::RegistrationRequired,
        }
    }
}
