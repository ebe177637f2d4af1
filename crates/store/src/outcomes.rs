//! What became of messages: carriers' answers and receipts, many at a time.
//!
//! In: ids of ours or of a carrier, not of an account, for that is what carriers and workers come with. Out: messages as
//! they stand, and their next status, written where nothing has changed it meanwhile. Never here: which status follows
//! which, that is the domain's.

use std::collections::HashSet;

use offhook_domain::message::{Channel, Failure, MessageStatus, ReceiptStatus};
use offhook_domain::{AccountId, AgentId, ConversationId, MessageId, Micros, NumberId, Timestamp};

use crate::engine::{Row, Tx, params, statements, statements_for_many};
use crate::error::StoreError;
use crate::message_flow::{read_channel, read_status};

statements! {
    STATE = "SELECT status, error_code FROM messages WHERE id = $1";
    /// A CROSS JOIN, because SQLite keeps its order: from the few receipts to their messages.
    BELATED = "SELECT m.id, e.carrier, e.carrier_message_id FROM early_receipts e CROSS JOIN messages m
        WHERE m.carrier_message_id = e.carrier_message_id AND m.carrier = e.carrier AND m.direction = 'outbound'
        UNION
        SELECT m.id, e.carrier, e.carrier_message_id FROM early_receipts e CROSS JOIN messages m
        WHERE m.id = e.message_id AND m.direction = 'outbound' AND m.status <> 'queued'
        LIMIT 100";
    PRUNE_EARLY = "DELETE FROM early_receipts WHERE at < $1";
}

statements_for_many! {
    FLIGHT = {
        one: "SELECT m.id, m.account_id, m.number_id, m.conversation_id, m.channel, m.status, m.segments, m.price,
            m.carrier, m.at, c.phone_number, c.participant, a.id
            FROM messages m JOIN conversations c ON c.id = m.conversation_id LEFT JOIN agents a ON a.id = c.agent_id
            WHERE m.id = $1",
        all: "SELECT e.n, m.id, m.account_id, m.number_id, m.conversation_id, m.channel, m.status, m.segments, m.price,
            m.carrier, m.at, c.phone_number, c.participant, a.id
            FROM unnest($1::TEXT[]) WITH ORDINALITY AS e (id, n)
            JOIN messages m ON m.id = e.id JOIN conversations c ON c.id = m.conversation_id
            LEFT JOIN agents a ON a.id = c.agent_id",
    };
    FLIGHT_AT_CARRIER = {
        one: "SELECT m.id, m.account_id, m.number_id, m.conversation_id, m.channel, m.status, m.segments, m.price,
            m.carrier, m.at, c.phone_number, c.participant, a.id
            FROM messages m JOIN conversations c ON c.id = m.conversation_id LEFT JOIN agents a ON a.id = c.agent_id
            WHERE m.carrier_message_id = $1 AND m.carrier = $2 AND m.direction = 'outbound'",
        // OFFSET 0 has each looked up by itself: joined, PostgreSQL may read all of 'outbound' in the index instead.
        all: "SELECT e.n, f.* FROM unnest($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS e (carrier_message_id, carrier, n)
            CROSS JOIN LATERAL (SELECT m.id, m.account_id, m.number_id, m.conversation_id, m.channel, m.status,
                m.segments, m.price, m.carrier, m.at, c.phone_number, c.participant, a.id
                FROM messages m JOIN conversations c ON c.id = m.conversation_id LEFT JOIN agents a ON a.id = c.agent_id
                WHERE m.carrier_message_id = e.carrier_message_id AND m.carrier = e.carrier
                AND m.direction = 'outbound' OFFSET 0) f",
    };
    SET_STATUS = {
        one: "UPDATE messages SET status = $1, error_code = $2, failure_reason = $3, delivered_at = $4
            WHERE id = $5 AND status = $6",
        all: "UPDATE messages m SET status = e.status, error_code = e.error_code, failure_reason = e.failure_reason,
            delivered_at = e.delivered_at
            FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::BIGINT[], $5::TEXT[], $6::TEXT[])
                WITH ORDINALITY AS e (status, error_code, failure_reason, delivered_at, id, before, n)
            WHERE m.id = e.id AND m.status = e.before RETURNING e.n",
    };
    // A carrier's id is of the carrier that gave it: once there is one, both stay.
    SET_CARRIER = {
        one: "UPDATE messages SET carrier = $1 WHERE id = $2 AND carrier_message_id IS NULL",
        all: "UPDATE messages m SET carrier = e.carrier FROM unnest($1::TEXT[], $2::TEXT[]) AS e (carrier, id)
            WHERE m.id = e.id AND m.carrier_message_id IS NULL",
    };
    // A carrier that gives one id to two messages must not stop the line: the second goes without.
    SET_CARRIER_ID = {
        one: "UPDATE messages SET carrier_message_id = $1 WHERE id = $2 AND carrier_message_id IS NULL
            AND NOT EXISTS (SELECT 1 FROM messages o WHERE o.carrier_message_id = $1 AND o.carrier = messages.carrier
                AND o.direction = 'outbound')",
        all: "UPDATE messages m SET carrier_message_id = e.carrier_message_id
            FROM unnest($1::TEXT[], $2::TEXT[]) AS e (carrier_message_id, id)
            WHERE m.id = e.id AND m.carrier_message_id IS NULL
            AND NOT EXISTS (SELECT 1 FROM messages o WHERE o.carrier_message_id = e.carrier_message_id
                AND o.carrier = m.carrier AND o.direction = 'outbound')",
    };
    KEEP_RECEIPT = {
        one: "INSERT INTO early_receipts (carrier, carrier_message_id, status, message_id, error_code,
            failure_reason, at) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        all: "INSERT INTO early_receipts (carrier, carrier_message_id, status, message_id, error_code,
            failure_reason, at)
            SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::BIGINT[])
            ON CONFLICT DO NOTHING",
    };
    EARLY = {
        one: "SELECT carrier, carrier_message_id, status, error_code, failure_reason, at FROM early_receipts
            WHERE carrier = $1 AND carrier_message_id = $2 ORDER BY at",
        all: "SELECT e.n, r.carrier, r.carrier_message_id, r.status, r.error_code, r.failure_reason, r.at
            FROM unnest($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS e (carrier, carrier_message_id, n)
            JOIN early_receipts r ON r.carrier = e.carrier AND r.carrier_message_id = e.carrier_message_id
            ORDER BY e.n, r.at",
    };
    EARLY_FOR = {
        one: "SELECT carrier, carrier_message_id, status, error_code, failure_reason, at FROM early_receipts
            WHERE message_id = $1 ORDER BY at",
        all: "SELECT e.n, r.carrier, r.carrier_message_id, r.status, r.error_code, r.failure_reason, r.at
            FROM unnest($1::TEXT[]) WITH ORDINALITY AS e (message_id, n)
            JOIN early_receipts r ON r.message_id = e.message_id ORDER BY e.n, r.at",
    };
    CROSSED = {
        one: "SELECT m.id, r.carrier, r.carrier_message_id FROM early_receipts r CROSS JOIN messages m
            WHERE r.carrier = $1 AND r.carrier_message_id = $2
            AND m.carrier_message_id = r.carrier_message_id AND m.carrier = r.carrier AND m.direction = 'outbound'",
        all: "SELECT f.* FROM unnest($1::TEXT[], $2::TEXT[]) AS e (carrier, carrier_message_id)
            CROSS JOIN LATERAL (SELECT m.id, r.carrier, r.carrier_message_id FROM early_receipts r CROSS JOIN messages m
                WHERE r.carrier = e.carrier AND r.carrier_message_id = e.carrier_message_id
                AND m.carrier_message_id = e.carrier_message_id AND m.carrier = e.carrier
                AND m.direction = 'outbound' OFFSET 0) f",
    };
    DROP_EARLY = {
        one: "DELETE FROM early_receipts WHERE carrier = $1 AND carrier_message_id = $2",
        all: "DELETE FROM early_receipts r USING unnest($1::TEXT[], $2::TEXT[]) AS e (carrier, carrier_message_id)
            WHERE r.carrier = e.carrier AND r.carrier_message_id = e.carrier_message_id",
    };
}

/// A message as the ways out and back need it, with the two ends in words.
#[derive(Debug, Clone)]
pub struct Flight {
    pub id: MessageId,
    pub account_id: AccountId,
    pub number_id: NumberId,
    pub conversation_id: ConversationId,
    pub channel: Channel,
    pub status: MessageStatus,
    pub segments: u32,
    pub price: Micros,
    pub carrier: String,
    pub at: Timestamp,
    /// The number's own digits.
    pub phone_number: String,
    pub participant: String,
    pub agent_id: Option<AgentId>,
}

/// A receipt that is kept or was kept for a message.
#[derive(Debug, Clone)]
pub struct KeptReceipt {
    pub carrier_message_id: String,
    pub status: ReceiptStatus,
    pub failure: Option<Failure>,
    pub at: Timestamp,
}

/// A receipt to keep, and whose it is.
#[derive(Debug, Clone)]
pub struct EarlyReceipt<'a> {
    pub carrier: &'a str,
    /// Our own id, where the carrier hands it back.
    pub message: Option<&'a MessageId>,
    pub receipt: KeptReceipt,
}

/// A message for which a receipt is kept, and under what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Belated {
    pub message: MessageId,
    pub carrier: String,
    pub carrier_message_id: String,
}

/// A message's way from one status to another.
#[derive(Debug)]
pub struct StatusMove<'a> {
    pub message: &'a MessageId,
    pub from: MessageStatus,
    pub to: MessageStatus,
    pub failure: Option<&'a Failure>,
    pub delivered_at: Option<Timestamp>,
}

impl Tx {
    /// Messages by their ids; `None` where there is none. In order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn flights(&mut self, messages: &[MessageId]) -> Result<Vec<Option<Flight>>, StoreError> {
        let found = self.rows_each(FLIGHT, messages.iter().map(|id| params![id]).collect()).await?;
        found.into_iter().map(|rows| rows.into_iter().next().map(read_flight).transpose()).collect()
    }

    /// The outbound messages that a carrier knows by these ids of its own; `None` where there is none. In order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn flights_at_carrier(&mut self, ids: &[(&str, &str)]) -> Result<Vec<Option<Flight>>, StoreError> {
        let asked = ids.iter().map(|(carrier, id)| params![*id, *carrier]).collect();
        let found = self.rows_each(FLIGHT_AT_CARRIER, asked).await?;
        found.into_iter().map(|rows| rows.into_iter().next().map(read_flight).transpose()).collect()
    }

    /// Where a message stands, with the error code where there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn message_state(
        &mut self,
        message: &MessageId,
    ) -> Result<Option<(MessageStatus, Option<String>)>, StoreError> {
        let row = self.row(STATE, params![message]).await?;
        row.map(|mut row| Ok((read_status(&row.take::<String>()?)?, row.take()?))).transpose()
    }

    /// Moves messages, each named once, on from the status they were read in; false where one has moved since. In order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_message_statuses(&mut self, moves: &[StatusMove<'_>]) -> Result<Vec<bool>, StoreError> {
        let each = moves.iter().map(|m| {
            let (code, reason) = (m.failure.map(|f| f.code.as_str()), m.failure.map(|f| f.reason.as_str()));
            params![m.to.as_str(), code, reason, m.delivered_at, m.message, m.from.as_str()]
        });
        self.change_each(SET_STATUS, each.collect()).await
    }

    /// Has messages be those of the carriers that have them or may have them, where no carrier has given an id yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_carriers(&mut self, carriers: &[(&MessageId, &str)]) -> Result<(), StoreError> {
        let mut messages = HashSet::new();
        let first = carriers.iter().filter(|(message, _)| messages.insert(message));
        self.run_each(SET_CARRIER, first.map(|(message, carrier)| params![*carrier, *message]).collect()).await
    }

    /// Keeps the carrier's ids of messages, where they have none yet and no other message of that carrier has it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_carrier_message_ids(&mut self, ids: &[(&MessageId, &str)]) -> Result<(), StoreError> {
        let (mut messages, mut given) = (HashSet::new(), HashSet::new());
        let first = ids.iter().filter(|(message, id)| messages.insert(message) && given.insert(id));
        let each = first.map(|(message, id)| params![*id, *message]).collect();
        self.run_each(SET_CARRIER_ID, each).await
    }

    /// Keeps receipts until their sends' own answers are in.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_receipts(&mut self, receipts: &[EarlyReceipt<'_>]) -> Result<(), StoreError> {
        let each = receipts.iter().map(|EarlyReceipt { carrier, message, receipt }| {
            let failure = receipt.failure.as_ref();
            let (code, reason) = (failure.map(|f| f.code.as_str()), failure.map(|f| f.reason.as_str()));
            let (id, status) = (&receipt.carrier_message_id, receipt.status.as_str());
            params![*carrier, id, status, *message, code, reason, receipt.at]
        });
        self.run_each(KEEP_RECEIPT, each.collect()).await
    }

    /// Takes the receipts kept under carriers' ids, each list oldest first. In order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_early_receipts(&mut self, ids: &[(&str, &str)]) -> Result<Vec<Vec<KeptReceipt>>, StoreError> {
        let kept = self.rows_each(EARLY, ids.iter().map(|(carrier, id)| params![*carrier, *id]).collect()).await?;
        self.taken(kept).await
    }

    /// Takes the receipts that name these messages of ours, each list oldest first. In order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_receipts_for(&mut self, flights: &[&Flight]) -> Result<Vec<Vec<KeptReceipt>>, StoreError> {
        let kept = self.rows_each(EARLY_FOR, flights.iter().map(|flight| params![&flight.id]).collect()).await?;
        self.taken(kept).await
    }

    async fn taken(&mut self, kept: Vec<Vec<Row>>) -> Result<Vec<Vec<KeptReceipt>>, StoreError> {
        let mut lists = Vec::with_capacity(kept.len());
        let mut taken = Vec::new();
        for rows in kept {
            let mut list = Vec::with_capacity(rows.len());
            for mut row in rows {
                let (carrier, receipt): (String, _) = (row.take()?, read_kept(row)?);
                taken.push(params![carrier, &receipt.carrier_message_id]);
                list.push(receipt);
            }
            lists.push(list);
        }
        self.run_each(DROP_EARLY, taken).await?;
        Ok(lists)
    }

    /// Messages for which a receipt was kept although their own answer is in, or they were given up (the two met
    /// half-way).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn belated_receipts(&mut self) -> Result<Vec<Belated>, StoreError> {
        self.rows(BELATED, []).await?.into_iter().map(read_belated).collect()
    }

    /// As [`Tx::belated_receipts`], looked for among these carriers' ids only.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn crossed_receipts(&mut self, ids: &[(String, String)]) -> Result<Vec<Belated>, StoreError> {
        let rows = self.rows_of_all(CROSSED, ids.iter().map(|(carrier, id)| params![carrier, id]).collect()).await?;
        let mut crossed: Vec<_> = rows.into_iter().map(read_belated).collect::<Result<_, _>>()?;
        crossed.dedup();
        Ok(crossed)
    }

    /// Drops receipts that nobody asked for in time; tells how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prune_early_receipts(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        self.change(PRUNE_EARLY, params![before]).await
    }
}

fn read_flight(mut row: Row) -> Result<Flight, StoreError> {
    Ok(Flight {
        id: row.take()?,
        account_id: row.take()?,
        number_id: row.take()?,
        conversation_id: row.take()?,
        channel: read_channel(&row.take::<String>()?)?,
        status: read_status(&row.take::<String>()?)?,
        segments: row.take()?,
        price: row.take()?,
        carrier: row.take()?,
        at: row.take()?,
        phone_number: row.take()?,
        participant: row.take()?,
        agent_id: row.take()?,
    })
}

fn read_belated(mut row: Row) -> Result<Belated, StoreError> {
    Ok(Belated { message: row.take()?, carrier: row.take()?, carrier_message_id: row.take()? })
}

fn read_kept(mut row: Row) -> Result<KeptReceipt, StoreError> {
    let carrier_message_id = row.take()?;
    let status = read_receipt_status(&row.take::<String>()?)?;
    let (code, reason): (Option<String>, Option<String>) = (row.take()?, row.take()?);
    let failure = code.map(|code| Failure { code, reason: reason.unwrap_or_default() });
    Ok(KeptReceipt { carrier_message_id, status, failure, at: row.take()? })
}

pub(crate) fn read_receipt_status(text: &str) -> Result<ReceiptStatus, StoreError> {
    match text {
        "sent" => Ok(ReceiptStatus::Sent),
        "delivered" => Ok(ReceiptStatus::Delivered),
        "undelivered" => Ok(ReceiptStatus::Undelivered),
        "failed" => Ok(ReceiptStatus::Failed),
        other => Err(StoreError::Corrupt(format!("receipt status {other}"))),
    }
}
