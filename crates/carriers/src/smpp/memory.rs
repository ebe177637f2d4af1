//! The seam to what an SMPP carrier must remember across connections, restarts and nodes.

use async_trait::async_trait;
use offhook_domain::message::{Failure, ReceiptStatus};
use offhook_domain::{MessageId, Timestamp};

use crate::NotKept;

/// What an SMPP carrier remembers. Every change is durable when its call returns.
#[async_trait]
pub trait SmppMemory: Send + Sync {
    /// Keeps texts and parts of texts that arrived, and tells of each, in order, what it belongs to. One that is not
    /// [`Arrived::fresh`] and was kept before, lately, is the same again; a part of a text that is not whole is so in any
    /// case.
    async fn keep_arrived(&self, carrier: &'static str, arrived: Vec<Arrived>) -> Result<Vec<Standing>, NotKept>;

    /// Forgets texts: the peer can't bring them again.
    async fn forget_arrived(&self, carrier: &'static str, ids: Vec<String>) -> Result<(), NotKept>;

    /// Parts of texts, by their numbers, that the peer can't bring again: the same again is another text's, where theirs is
    /// whole.
    async fn settle_parts(&self, carrier: &'static str, parts: Vec<(String, u8)>) -> Result<(), NotKept>;

    /// Texts some part of which came before then, and which are not whole. What is whole and so old is forgotten.
    async fn unfinished(&self, carrier: &'static str, before: Timestamp) -> Result<Vec<WholeText>, NotKept>;

    /// Keeps the ids that the peer gave to the parts of a message, and tells what receipts that were faster add up to.
    async fn keep_sent_parts(&self, sent: SentParts) -> Result<Option<PartsTold>, NotKept>;

    /// Keeps receipts of what may be parts of messages; tells of each, in order, what is known of its message by now.
    async fn hear_of_parts(
        &self,
        carrier: &'static str,
        receipts: Vec<PartReceipt>,
    ) -> Result<Vec<PartStanding>, NotKept>;
}

/// A text, or a part of one, as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// The id that its text gets, where it is the first of it.
    pub id: String,
    /// By what the parts of one text know each other; of a text in one piece its digest.
    pub text_key: String,
    /// Equal where everything is equal.
    pub digest: String,
    /// It can't be one that was kept before, though it may say the same.
    pub fresh: bool,
    pub sender: String,
    pub receiver: String,
    pub total: u8,
    pub piece: Piece,
    pub at: Timestamp,
}

/// A part's own share of a text, or all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// From 1 on.
    pub number: u8,
    /// How its octets are to be read.
    pub coding: String,
    pub octets: Vec<u8>,
}

/// Whether a text is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Waiting { text_id: String },
    Whole(WholeText),
}

/// A text with all the pieces that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeText {
    pub id: String,
    pub sender: String,
    pub receiver: String,
    pub total: u8,
    /// In order.
    pub pieces: Vec<Piece>,
}

/// The peer's ids of the parts of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentParts {
    pub carrier: &'static str,
    pub message_id: MessageId,
    /// The id under which the platform knows the whole message.
    pub whole_id: String,
    /// How many parts there are; some may have gone without an answer.
    pub total: u8,
    /// Number and id of those that were taken for certain.
    pub parts: Vec<(u8, String)>,
    pub at: Timestamp,
}

/// A receipt that may be of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartReceipt {
    pub part_id: String,
    pub status: ReceiptStatus,
    pub failure: Option<Failure>,
    pub at: Timestamp,
}

/// What became of the message that a part is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartStanding {
    /// It is no part that is known: a whole message, or one whose answer is still to come.
    NoPart,
    /// Other parts must be heard of first.
    Pending,
    Told(PartsTold),
}

/// What the receipts of its parts say of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartsTold {
    pub message_id: MessageId,
    pub whole_id: String,
    pub status: ReceiptStatus,
    pub failure: Option<Failure>,
    pub at: Timestamp,
}

/// What the receipts of parts add up to: a message arrived when all of it did, and did not when any part didn't. `None`
/// where that can't be said yet.
#[must_use]
pub fn fold(total: u8, told: &[(Option<ReceiptStatus>, Option<Failure>)]) -> Option<(ReceiptStatus, Option<Failure>)> {
    let is_bad = |status| matches!(status, Some(ReceiptStatus::Undelivered | ReceiptStatus::Failed));
    if let Some((Some(status), failure)) = told.iter().find(|(status, _)| is_bad(*status)) {
        return Some((*status, failure.clone()));
    }
    let arrived = told.iter().filter(|(status, _)| *status == Some(ReceiptStatus::Delivered)).count();
    (arrived == usize::from(total)).then_some((ReceiptStatus::Delivered, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrived_when_all_of_it_did() {
        use ReceiptStatus::{Delivered, Sent, Undelivered};
        let told = |all: &[Option<ReceiptStatus>]| {
            let all: Vec<_> = all.iter().map(|one| (*one, None)).collect();
            fold(3, &all).map(|(status, _)| status)
        };
        assert_eq!(told(&[Some(Delivered), None, Some(Delivered)]), None);
        assert_eq!(told(&[Some(Delivered), Some(Sent), Some(Delivered)]), None);
        assert_eq!(told(&[Some(Delivered), Some(Delivered)]), None, "one part's answer was lost");
        assert_eq!(told(&[Some(Delivered); 3]), Some(Delivered));
        assert_eq!(told(&[Some(Delivered), None, Some(Undelivered)]), Some(Undelivered));
    }
}
