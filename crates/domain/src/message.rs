//! A message and the ways its status may go.

use crate::ids::{AccountId, ConversationId, MessageId, NumberId};
use crate::time::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Inbound,
    Outbound,
}

impl Direction {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    Sms,
    Mms,
}

impl Channel {
    /// A text with media goes as MMS.
    #[must_use]
    pub fn for_media(media_urls: &[String]) -> Self {
        if media_urls.is_empty() { Self::Sms } else { Self::Mms }
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Mms => "mms",
        }
    }
}

/// `queued → sent → delivered | undelivered | failed | unconfirmed` (contract, "Messages and conversations").
/// Inbound messages are `received` from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageStatus {
    Received,
    Queued,
    Sent,
    Delivered,
    Undelivered,
    Failed,
    /// The carrier may or may not have taken it; it is never sent again.
    Unconfirmed,
}

impl MessageStatus {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Undelivered => "undelivered",
            Self::Failed => "failed",
            Self::Unconfirmed => "unconfirmed",
        }
    }

    /// The status after `receipt`, or `None` where the receipt changes nothing. The first final receipt
    /// wins; a receipt also settles a send whose own answer never came.
    #[must_use]
    pub const fn after_receipt(self, receipt: ReceiptStatus) -> Option<Self> {
        match (self, receipt) {
            (Self::Queued | Self::Sent | Self::Unconfirmed, ReceiptStatus::Delivered) => Some(Self::Delivered),
            (Self::Queued | Self::Sent | Self::Unconfirmed, ReceiptStatus::Undelivered) => Some(Self::Undelivered),
            (Self::Queued | Self::Sent | Self::Unconfirmed, ReceiptStatus::Failed) => Some(Self::Failed),
            (Self::Queued | Self::Unconfirmed, ReceiptStatus::Sent) => Some(Self::Sent),
            _ => None,
        }
    }
}

/// What a delivery receipt (DLR) says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiptStatus {
    Sent,
    Delivered,
    Undelivered,
    Failed,
}

impl ReceiptStatus {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Undelivered => "undelivered",
            Self::Failed => "failed",
        }
    }
}

/// Why a message did not arrive: our or the carrier's code, and words for a person.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Failure {
    pub code: String,
    pub reason: String,
}

impl Failure {
    #[must_use]
    pub fn new(code: &str, reason: &str) -> Self {
        Self { code: code.to_owned(), reason: reason.to_owned() }
    }
}

/// A message as it is kept. `at` is unique among the messages of its number, so that it can page.
#[derive(Debug, Clone)]
pub struct Message {
    pub id: MessageId,
    pub account_id: AccountId,
    pub number_id: NumberId,
    pub conversation_id: ConversationId,
    pub direction: Direction,
    pub channel: Channel,
    pub status: MessageStatus,
    /// Sender and receiver as text: a number, a short code or an address.
    pub from: String,
    pub to: String,
    pub body: String,
    pub media_urls: Vec<String>,
    pub segments: u32,
    pub failure: Option<Failure>,
    pub carrier: String,
    pub carrier_message_id: Option<String>,
    /// Accepted (outbound) or received (inbound).
    pub at: Timestamp,
    pub delivered_at: Option<Timestamp>,
    /// When it is likely to go, where its campaign has it wait for its turn. Not kept.
    pub estimated_send_at: Option<Timestamp>,
}

/// What became of handing a message to a carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcome {
    /// The carrier has it, under this id of its own.
    Accepted { carrier_message_id: String },
    /// The carrier refused it for good.
    Refused(Failure),
    /// The carrier certainly does not have it; worth another try.
    NotTaken(Failure),
    /// It may or may not have it: an answer was lost.
    Unknown(Failure),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_final_receipt_wins() {
        assert_eq!(MessageStatus::Sent.after_receipt(ReceiptStatus::Delivered), Some(MessageStatus::Delivered));
        assert_eq!(MessageStatus::Delivered.after_receipt(ReceiptStatus::Failed), None);
        assert_eq!(MessageStatus::Failed.after_receipt(ReceiptStatus::Delivered), None);
        assert_eq!(MessageStatus::Sent.after_receipt(ReceiptStatus::Sent), None);
    }

    #[test]
    fn a_receipt_settles_an_unconfirmed_send() {
        assert_eq!(MessageStatus::Unconfirmed.after_receipt(ReceiptStatus::Delivered), Some(MessageStatus::Delivered));
    }

    #[test]
    fn an_inbound_message_takes_no_receipt() {
        assert_eq!(MessageStatus::Received.after_receipt(ReceiptStatus::Failed), None);
    }
}
