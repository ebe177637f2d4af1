//! The carriers' ids of the parts of messages, and what their receipts say.
//!
//! In: ids when they are given, and receipts. Out: all that was heard of a part's message. Never here: what that adds up to.

use std::collections::BTreeSet;

use offhook_domain::message::{Failure, ReceiptStatus};
use offhook_domain::{MessageId, Timestamp};

use crate::engine::{Tx, params, statements, statements_for_many};
use crate::error::StoreError;
use crate::outcomes::{KeptReceipt, read_receipt_status};

statements! {
    HOLD = "UPDATE sent_parts SET at = at WHERE message_id = $1 AND part = (SELECT MIN(part) FROM sent_parts
        WHERE message_id = $1)";
    OF_MESSAGE = "SELECT status, error_code, failure_reason FROM sent_parts WHERE message_id = $1 ORDER BY part";
    PRUNE = "DELETE FROM sent_parts WHERE carrier = $1 AND at < $2";
}

statements_for_many! {
    KEEP = {
        one: "INSERT INTO sent_parts (carrier, part_id, message_id, whole_id, part, total, at)
            VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        all: "INSERT INTO sent_parts (carrier, part_id, message_id, whole_id, part, total, at)
            SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::BIGINT[], $6::BIGINT[],
                $7::BIGINT[]) ON CONFLICT DO NOTHING",
    };
    OF_PART = {
        one: "SELECT message_id, whole_id, total FROM sent_parts WHERE carrier = $1 AND part_id = $2",
        all: "SELECT e.n, p.message_id, p.whole_id, p.total
            FROM unnest($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS e (carrier, part_id, n)
            JOIN sent_parts p ON p.carrier = e.carrier AND p.part_id = e.part_id",
    };
    // The first final receipt of a part counts.
    HEAR = {
        one: "UPDATE sent_parts SET status = $1, error_code = $2, failure_reason = $3
            WHERE carrier = $4 AND part_id = $5 AND (status IS NULL OR status = 'sent')",
        all: "UPDATE sent_parts p SET status = e.status, error_code = e.error_code, failure_reason = e.failure_reason
            FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[])
                AS e (status, error_code, failure_reason, carrier, part_id)
            WHERE p.carrier = e.carrier AND p.part_id = e.part_id AND (p.status IS NULL OR p.status = 'sent')",
    };
}

/// What was heard of the parts of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartsHeard {
    pub message_id: MessageId,
    pub whole_id: String,
    pub total: u32,
    /// Of each part with an id, in order.
    pub told: Vec<(Option<ReceiptStatus>, Option<Failure>)>,
}

impl Tx {
    /// Keeps the ids of a message's parts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_sent_parts(
        &mut self,
        carrier: &str,
        message: &MessageId,
        (whole_id, total): (&str, u32),
        parts: &[(u32, String)],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let each = parts.iter().map(|(number, id)| params![carrier, id, message, whole_id, *number, total, at]);
        self.run_each(KEEP, each.collect()).await
    }

    /// Keeps receipts with the parts they are of; tells of each, in order, all that was heard of its message, or `None`
    /// where it is of no part.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hear_of_parts(
        &mut self,
        carrier: &str,
        receipts: &[KeptReceipt],
    ) -> Result<Vec<Option<PartsHeard>>, StoreError> {
        let asked = receipts.iter().map(|receipt| params![carrier, &receipt.carrier_message_id]).collect();
        let mut found = Vec::with_capacity(receipts.len());
        for rows in self.rows_each(OF_PART, asked).await? {
            let row = rows.into_iter().next();
            found.push(
                row.map(|mut row| Ok::<_, StoreError>((row.take::<MessageId>()?, row.take()?, row.take()?)))
                    .transpose()?,
            );
        }
        // Who hears of one part waits for who hears of another, so that the later of the two sees both; in one order for
        // every transaction (PostgreSQL).
        let messages: BTreeSet<MessageId> = found.iter().flatten().map(|(message, ..)| message.clone()).collect();
        for message in &messages {
            self.run(HOLD, params![message]).await?;
        }
        let of_parts = receipts.iter().zip(&found).filter(|(_, found)| found.is_some());
        // Two of one part in one statement would leave it to chance which one counts.
        for (receipt, _) in of_parts {
            let failure = receipt.failure.as_ref();
            let (code, reason) = (failure.map(|f| f.code.as_str()), failure.map(|f| f.reason.as_str()));
            let (status, id) = (receipt.status.as_str(), &receipt.carrier_message_id);
            self.run_each(HEAR, vec![params![status, code, reason, carrier, id]]).await?;
        }
        let mut heard = Vec::with_capacity(receipts.len());
        for one in found {
            heard.push(match one {
                Some((message_id, whole_id, total)) => {
                    let told = self.told_of(&message_id).await?;
                    Some(PartsHeard { message_id, whole_id, total, told })
                }
                None => None,
            });
        }
        Ok(heard)
    }

    async fn told_of(
        &mut self,
        message: &MessageId,
    ) -> Result<Vec<(Option<ReceiptStatus>, Option<Failure>)>, StoreError> {
        let rows = self.rows(OF_MESSAGE, params![message]).await?;
        let read = |mut row: crate::engine::Row| {
            let status: Option<String> = row.take()?;
            let (code, reason): (Option<String>, Option<String>) = (row.take()?, row.take()?);
            let status = status.map(|status| read_receipt_status(&status)).transpose()?;
            Ok((status, code.zip(reason).map(|(code, reason)| Failure { code, reason })))
        };
        rows.into_iter().map(read).collect()
    }

    /// Forgets parts that were sent before then.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prune_sent_parts(&mut self, carrier: &str, before: Timestamp) -> Result<(), StoreError> {
        self.run(PRUNE, params![carrier, before]).await
    }
}
