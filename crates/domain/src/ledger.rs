//! Money: integer micro-dollars, double entry. No floats anywhere.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Neg, Sub};

use crate::time::Timestamp;

/// An amount in millionths of a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    pub const ZERO: Self = Self(0);

    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// This price for `count` pieces, saturating.
    #[must_use]
    pub const fn times(self, count: u32) -> Self {
        Self(self.0.saturating_mul(count as i64))
    }
}

impl Add for Micros {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Micros {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for Micros {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl Sum for Micros {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, micros) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        let (dollars, rest) = (micros / 1_000_000, micros % 1_000_000);
        if rest % 10_000 == 0 {
            write!(f, "{sign}${dollars}.{:02}", rest / 10_000)
        } else {
            write!(f, "{sign}${dollars}.{rest:06}")
        }
    }
}

/// What a ledger line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    Credit,
    NumberHold,
    NumberHoldReturned,
    NumberBought,
    NumberRenewed,
    MessageOut,
    MessageIn,
    MessageRefund,
    /// An answered call.
    Call,
    /// Recording of an account's calls, for one period.
    Recording,
    /// A fee of the US carriers.
    Registration,
}

impl EntryKind {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Credit => "credit",
            Self::NumberHold => "number_hold",
            Self::NumberHoldReturned => "number_hold_returned",
            Self::NumberBought => "number_bought",
            Self::NumberRenewed => "number_renewed",
            Self::MessageOut => "message_out",
            Self::MessageIn => "message_in",
            Self::MessageRefund => "message_refund",
            Self::Call => "call",
            Self::Recording => "recording",
            Self::Registration => "registration",
        }
    }

    /// The two books a line moves money between: out of the first, into the second.
    #[must_use]
    pub const fn books(self) -> (Book, Book) {
        match self {
            Self::Credit => (Book::Funding, Book::Wallet),
            Self::NumberHold => (Book::Wallet, Book::Held),
            Self::NumberHoldReturned => (Book::Held, Book::Wallet),
            Self::NumberBought => (Book::Held, Book::Revenue),
            Self::NumberRenewed
            | Self::MessageOut
            | Self::MessageIn
            | Self::Call
            | Self::Recording
            | Self::Registration => (Book::Wallet, Book::Revenue),
            Self::MessageRefund => (Book::Revenue, Book::Wallet),
        }
    }
}

/// One side of a ledger line. Over an account's four books the sum is always zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Book {
    /// Money paid in or granted; runs negative by what was put in.
    Funding,
    /// What the customer can spend.
    Wallet,
    /// Held for a purchase under way.
    Held,
    /// Earned by the operator.
    Revenue,
}

impl Book {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Funding => "funding",
            Self::Wallet => "wallet",
            Self::Held => "held",
            Self::Revenue => "revenue",
        }
    }
}

/// A movement of money, not yet written. Zero amounts are not written at all.
#[derive(Debug, Clone)]
pub struct Posting {
    pub kind: EntryKind,
    pub amount: Micros,
    /// The id of what it is for: a message, a purchase, a number.
    pub reference: String,
    pub at: Timestamp,
}

/// What things cost an account. All zero in sandbox mode by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prices {
    /// One number for 30 days.
    pub number_period: Micros,
    /// One SMS segment, either way.
    pub sms_segment: Micros,
    /// A minute of a call that the customer's webhook answers.
    pub voice_minute: Micros,
    /// A minute of one that the built-in model answers.
    pub hosted_voice_minute: Micros,
    /// What a call costs at the least, once it is answered.
    pub call_least: Micros,
    /// Recording of an account's calls, for one period.
    pub recording_period: Micros,
    /// Granted to a fresh account.
    pub sign_up_credit: Micros,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_dollars() {
        assert_eq!(Micros(3_000_000).to_string(), "$3.00");
        assert_eq!(Micros(20_000).to_string(), "$0.02");
        assert_eq!(Micros(-1_000_001).to_string(), "-$1.000001");
    }
}
