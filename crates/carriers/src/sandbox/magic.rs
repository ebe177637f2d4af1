//! Receivers that fail on demand, after Twilio's magic numbers: `+1500555` and four digits.
//!
//! Documented for users in the sandbox guide; change both together.

use std::time::Duration;

/// What happens to a text for a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives, and a receipt says so.
    Delivered,
    /// The carrier refuses it at once, with this code and reason.
    Refused(&'static str, &'static str),
    /// The carrier takes it, and a receipt says later that it did not arrive.
    Undelivered(&'static str, &'static str),
    /// The carrier takes it, and a receipt says that it was filtered out.
    Filtered(&'static str, &'static str),
    /// It arrives; the receipt takes its time.
    ReceiptLate(Duration),
    /// It arrives; the receipt is here before the carrier's own answer.
    ReceiptFirst,
    /// It arrives; no receipt ever.
    ReceiptNever,
    /// It arrives, but the carrier's answer is lost, and no receipt comes.
    AnswerLost,
    /// As [`Fate::AnswerLost`], but a receipt comes later.
    AnswerLostReceiptLate(Duration),
    /// The carrier is busy for the first two tries and takes it on the third.
    BusyTwice,
    /// It does not arrive, and the carrier never answers.
    Silence,
}

/// How long a late receipt takes.
const LATE: Duration = Duration::from_secs(3);

/// The fate of a text for this receiver.
#[must_use]
pub fn fate(receiver: &str) -> Fate {
    match receiver.strip_prefix("+1500555") {
        Some("0001") => Fate::Refused("21211", "the receiving number is not valid"),
        Some("0002") => Fate::Undelivered("30003", "the handset is unreachable"),
        Some("0003") => Fate::Refused("21408", "no permission to send to this region"),
        Some("0004") => Fate::Refused("21610", "the receiver has opted out"),
        Some("0005") => Fate::Filtered("30007", "the message was filtered by the carrier"),
        Some("0007") => Fate::Refused("30008", "the carrier refused the message"),
        Some("0009") => Fate::Refused("21614", "the receiving number can't receive texts"),
        Some("0010") => Fate::ReceiptLate(LATE),
        Some("0011") => Fate::ReceiptFirst,
        Some("0012") => Fate::ReceiptNever,
        Some("0013") => Fate::AnswerLost,
        Some("0014") => Fate::AnswerLostReceiptLate(LATE),
        Some("0015") => Fate::BusyTwice,
        Some("0016") => Fate::Silence,
        _ => Fate::Delivered,
    }
}
