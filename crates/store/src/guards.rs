//! What the guard rails of sending look at and count: opt-outs, floods, circles, a day's spending.
//!
//! In: pairs of a number and a participant. Out: in one question all that may speak against a message between them; then,
//! where it was accepted, its counts. Never here: limits and decisions.

use std::collections::HashSet;

use offhook_domain::guards::{Counted, FloodLimit};
use offhook_domain::message::Direction;
use offhook_domain::{AccountId, Micros, NumberId, Timestamp};

use crate::engine::{Row, Tx, params, statements, statements_for_many};
use crate::error::StoreError;
use crate::opt_outs::is_opted_out;

statements! {
    SPEND = "INSERT INTO spend_days (account_id, day, spent) VALUES ($1, $2, $3)
        ON CONFLICT (account_id, day) DO UPDATE SET spent = spend_days.spent + excluded.spent
        WHERE spend_days.spent + excluded.spent <= $4";
    SPENDING = "SELECT a.daily_spend_limit, s.spent, p.id, p.daily_spend_limit, t.spent FROM accounts a
        LEFT JOIN spend_days s ON s.account_id = a.id AND s.day = $1
        LEFT JOIN accounts p ON p.id = a.parent_id
        LEFT JOIN spend_days t ON t.account_id = a.parent_id AND t.day = $1 WHERE a.id = $2";
    PRUNE_SPEND = "DELETE FROM spend_days WHERE day < $1";
    PRUNE_COUNTS = "DELETE FROM destination_counts WHERE hour < $1";
    PRUNE_EXCHANGES = "DELETE FROM exchanges WHERE last_at < $1";
}

statements_for_many! {
    LOOK = {
        one: concat!("SELECT ", is_opted_out!("$1", "a.id", "$2"), ",
            d.minute, d.in_minute, d.hour, d.in_hour, x.answers, x.last_at,
            a.closed_at, a.daily_spend_limit, s.spent, p.id, p.daily_spend_limit, t.spent
            FROM accounts a LEFT JOIN destination_counts d ON d.account_id = a.id AND d.participant = $2
            LEFT JOIN exchanges x ON x.number_id = $1 AND x.participant = $2
            LEFT JOIN spend_days s ON s.account_id = a.id AND s.day = $3
            LEFT JOIN accounts p ON p.id = a.parent_id
            LEFT JOIN spend_days t ON t.account_id = a.parent_id AND t.day = $3
            WHERE a.id = $4"),
        all: concat!("SELECT e.n, f.* FROM unnest($1::TEXT[], $2::TEXT[], $3::BIGINT[], $4::TEXT[])
                WITH ORDINALITY AS e (number_id, participant, day, account_id, n)
            CROSS JOIN LATERAL (SELECT ", is_opted_out!("e.number_id", "a.id", "e.participant"), ",
            d.minute, d.in_minute, d.hour, d.in_hour, x.answers, x.last_at,
            a.closed_at, a.daily_spend_limit AS own_limit, s.spent, p.id AS payer, p.daily_spend_limit, t.spent AS paid
            FROM accounts a LEFT JOIN destination_counts d ON d.account_id = a.id AND d.participant = e.participant
            LEFT JOIN exchanges x ON x.number_id = e.number_id AND x.participant = e.participant
            LEFT JOIN spend_days s ON s.account_id = a.id AND s.day = e.day
            LEFT JOIN accounts p ON p.id = a.parent_id
            LEFT JOIN spend_days t ON t.account_id = a.parent_id AND t.day = e.day
            WHERE a.id = e.account_id OFFSET 0) f"),
    };
    // Only where nobody has counted since we looked.
    COUNT = {
        one: "INSERT INTO destination_counts (account_id, participant, minute, in_minute, hour, in_hour)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (account_id, participant) DO UPDATE SET minute = excluded.minute,
                in_minute = CASE WHEN destination_counts.minute = excluded.minute
                    THEN destination_counts.in_minute + excluded.in_minute ELSE excluded.in_minute END,
                hour = excluded.hour,
                in_hour = CASE WHEN destination_counts.hour = excluded.hour
                    THEN destination_counts.in_hour + excluded.in_hour ELSE excluded.in_hour END
            WHERE destination_counts.minute <= excluded.minute AND destination_counts.hour <= excluded.hour
            AND (CASE WHEN destination_counts.minute = excluded.minute
                THEN destination_counts.in_minute + excluded.in_minute ELSE excluded.in_minute END) <= $7
            AND (CASE WHEN destination_counts.hour = excluded.hour
                THEN destination_counts.in_hour + excluded.in_hour ELSE excluded.in_hour END) <= $8
            RETURNING participant",
        all: "INSERT INTO destination_counts (account_id, participant, minute, in_minute, hour, in_hour)
            SELECT e.account_id, e.participant, e.minute, e.in_minute, e.hour, e.in_hour
            FROM unnest($1::TEXT[], $2::TEXT[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[], $6::BIGINT[])
                AS e (account_id, participant, minute, in_minute, hour, in_hour)
            ON CONFLICT (account_id, participant) DO UPDATE SET minute = excluded.minute,
                in_minute = CASE WHEN destination_counts.minute = excluded.minute
                    THEN destination_counts.in_minute + excluded.in_minute ELSE excluded.in_minute END,
                hour = excluded.hour,
                in_hour = CASE WHEN destination_counts.hour = excluded.hour
                    THEN destination_counts.in_hour + excluded.in_hour ELSE excluded.in_hour END
            WHERE destination_counts.minute <= excluded.minute AND destination_counts.hour <= excluded.hour
            AND (CASE WHEN destination_counts.minute = excluded.minute
                THEN destination_counts.in_minute + excluded.in_minute ELSE excluded.in_minute END) <= ($7::BIGINT[])[1]
            AND (CASE WHEN destination_counts.hour = excluded.hour
                THEN destination_counts.in_hour + excluded.in_hour ELSE excluded.in_hour END) <= ($8::BIGINT[])[1]
            RETURNING participant",
    };
    // An answer is what we say behind what they said. Who was silent for long enough, or did not come to enough in time,
    // begins anew.
    HEAR = {
        one: "INSERT INTO exchanges (number_id, participant, last_direction, last_at, since, answers)
            VALUES ($1, $2, $3, $4, $4, 0)
            ON CONFLICT (number_id, participant) DO UPDATE SET
                answers = CASE WHEN exchanges.last_at <= $5 OR (exchanges.since <= $5 AND exchanges.answers < $6) THEN 0
                    WHEN exchanges.last_direction = 'inbound' AND excluded.last_direction = 'outbound'
                    THEN exchanges.answers + 1 ELSE exchanges.answers END,
                since = CASE WHEN exchanges.last_at <= $5 OR (exchanges.since <= $5 AND exchanges.answers < $6)
                    THEN excluded.since ELSE exchanges.since END,
                last_direction = excluded.last_direction,
                last_at = CASE WHEN excluded.last_at > exchanges.last_at THEN excluded.last_at ELSE exchanges.last_at END",
        all: "INSERT INTO exchanges (number_id, participant, last_direction, last_at, since, answers)
            SELECT e.number_id, e.participant, e.direction, e.at, e.at, 0
            FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::BIGINT[]) AS e (number_id, participant, direction, at)
            ON CONFLICT (number_id, participant) DO UPDATE SET
                answers = CASE WHEN exchanges.last_at <= ($5::BIGINT[])[1]
                        OR (exchanges.since <= ($5::BIGINT[])[1] AND exchanges.answers < ($6::BIGINT[])[1]) THEN 0
                    WHEN exchanges.last_direction = 'inbound' AND excluded.last_direction = 'outbound'
                    THEN exchanges.answers + 1 ELSE exchanges.answers END,
                since = CASE WHEN exchanges.last_at <= ($5::BIGINT[])[1]
                        OR (exchanges.since <= ($5::BIGINT[])[1] AND exchanges.answers < ($6::BIGINT[])[1])
                    THEN excluded.since ELSE exchanges.since END,
                last_direction = excluded.last_direction,
                last_at = CASE WHEN excluded.last_at > exchanges.last_at THEN excluded.last_at ELSE exchanges.last_at END",
    };
}

/// Two who may text each other, and the day of which the spending is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pair<'a> {
    pub account: &'a AccountId,
    pub number: &'a NumberId,
    pub participant: &'a str,
    pub day: i64,
}

/// What is known of a pair.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub opted_out: bool,
    /// Of the account to the participant.
    pub counted: Counted,
    /// Answers of ours in the running exchange, and when anything was said last.
    pub exchange: Option<(i64, Timestamp)>,
    /// The account was closed.
    pub closed: bool,
    pub spending: Spending,
}

/// What an account has spent on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// What it may spend a day, where it has a limit of its own.
    pub limit: Option<Micros>,
    /// Of one that pays for others: with what they have spent.
    pub amount: Micros,
}

/// What an account has spent on a day, and who pays for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spending {
    pub own: Spent,
    /// Who pays for a sub-account.
    pub payer: Option<(AccountId, Spent)>,
}

/// So many messages more of an account to a participant.
#[derive(Debug, Clone)]
pub struct More<'a> {
    pub account: &'a AccountId,
    pub participant: &'a str,
    pub minute: i64,
    pub hour: i64,
    pub count: i64,
}

/// Something that was said.
#[derive(Debug, Clone)]
pub struct Heard<'a> {
    pub number: &'a NumberId,
    pub participant: &'a str,
    pub direction: Direction,
    pub at: Timestamp,
}

impl Tx {
    /// What is known of pairs. In order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn known_of_pairs(&mut self, pairs: &[Pair<'_>]) -> Result<Vec<Known>, StoreError> {
        let asked = pairs.iter().map(|pair| params![pair.number, pair.participant, pair.day, pair.account]);
        let found = self.rows_each(LOOK, asked.collect()).await?;
        found.into_iter().map(|rows| rows.into_iter().next().map_or(Ok(Known::default()), read)).collect()
    }

    /// Counts messages to destinations, each pair named once and all in one order; false where that would come to more
    /// than the limit for one of them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_to_destinations(&mut self, more: &[More<'_>], limit: FloodLimit) -> Result<bool, StoreError> {
        let most = |limit: i64| if limit == 0 { i64::MAX } else { limit };
        let (per_minute, per_hour) = (most(limit.per_minute), most(limit.per_hour));
        let each = more.iter().map(|one| {
            let (minute, hour, count) = (one.minute, one.hour, one.count);
            params![one.account, one.participant, minute, count, hour, count, per_minute, per_hour]
        });
        Ok(self.rows_of_all(COUNT, each.collect()).await?.len() == more.len())
    }

    /// Notes who said something, in the order it was said. `begun` is when an exchange that counts began at the earliest,
    /// `most` how many answers make a circle.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hear(&mut self, heard: &[Heard<'_>], begun: Timestamp, most: i64) -> Result<(), StoreError> {
        let each = heard.iter().map(|Heard { number, participant, direction, at }| {
            params![*number, *participant, direction.as_str(), *at, begun, most]
        });
        let pairs: HashSet<_> = heard.iter().map(|one| (one.number, one.participant)).collect();
        if pairs.len() == heard.len() {
            return self.run_each(HEAR, each.collect()).await;
        }
        // One statement can't change a row twice.
        for one in each {
            self.run(HEAR.one, one).await?;
        }
        Ok(())
    }

    /// Counts what an account spends on a day; false where that would come to more than `limit`. Safe under concurrency.
    /// To be called before the account's books are touched.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn spend(
        &mut self,
        account: &AccountId,
        day: i64,
        amount: Micros,
        limit: Micros,
    ) -> Result<bool, StoreError> {
        Ok(self.change(SPEND, params![account, day, amount, limit]).await? > 0)
    }

    /// As [`Tx::spend`], for an account without a limit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_spending(&mut self, account: &AccountId, day: i64, amount: Micros) -> Result<(), StoreError> {
        self.run(SPEND, params![account, day, amount, i64::MAX]).await
    }

    /// What an account may spend a day and has spent on one, and the same of who pays for it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn spending(&mut self, account: &AccountId, day: i64) -> Result<Spending, StoreError> {
        let Some(mut row) = self.row(SPENDING, params![day, account]).await? else { return Ok(Spending::default()) };
        read_spending(&mut row)
    }

    /// Takes something off what an account has spent on a day, and off what its payer has, at the end of the transaction.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn give_back_spending(
        &mut self,
        account: &AccountId,
        day: i64,
        amount: Micros,
    ) -> Result<(), StoreError> {
        let payers = self.payers_of([account]).await?;
        self.sums.take_off_spending(account, day, amount.0);
        let payer = payers.of(account);
        if payer != account {
            self.sums.take_off_spending(payer, day, amount.0);
        }
        Ok(())
    }

    /// Forgets counts of days, hours and exchanges that are over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prune_guards(&mut self, day: i64, hour: i64, quiet_since: Timestamp) -> Result<(), StoreError> {
        self.run(PRUNE_SPEND, params![day]).await?;
        self.run(PRUNE_COUNTS, params![hour]).await?;
        self.run(PRUNE_EXCHANGES, params![quiet_since]).await
    }
}

fn read(mut row: Row) -> Result<Known, StoreError> {
    let opted_out = row.take::<i64>()? != 0;
    let counted = (row.take::<Option<i64>>()?, row.take::<Option<i64>>()?, row.take::<Option<i64>>()?, row.take()?);
    let counted = match counted {
        (Some(minute), Some(in_minute), Some(hour), Some(in_hour)) => Counted { minute, in_minute, hour, in_hour },
        _ => Counted::default(),
    };
    let exchange = (row.take::<Option<i64>>()?, row.take::<Option<Timestamp>>()?);
    let closed = row.take::<Option<Timestamp>>()?.is_some();
    let spending = read_spending(&mut row)?;
    Ok(Known { opted_out, counted, exchange: exchange.0.zip(exchange.1), closed, spending })
}

fn read_spending(row: &mut Row) -> Result<Spending, StoreError> {
    let own = read_spent(row)?;
    let payer: Option<AccountId> = row.take()?;
    let theirs = read_spent(row)?;
    Ok(Spending { own, payer: payer.map(|payer| (payer, theirs)) })
}

fn read_spent(row: &mut Row) -> Result<Spent, StoreError> {
    Ok(Spent { limit: row.take()?, amount: row.take::<Option<Micros>>()?.unwrap_or(Micros::ZERO) })
}
