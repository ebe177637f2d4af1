//! What was taken of limits on sending: of a number's, a campaign's, a carrier's. One row for each.
//!
//! In: the names of what limits a line. Out: what was taken so far, locked until the commit (PostgreSQL), so that whoever
//! takes of it sees what all others took. Never here: how much may be taken, which is `offhook_domain::shaping`'s.

use std::collections::HashMap;

use offhook_domain::shaping::{Limit, Pace};
use offhook_domain::{Id, NumberId, Timestamp};

use crate::engine::{Row, Tx, params, statements, statements_for_many};
use crate::error::StoreError;
use crate::scope::Scope;

/// The most waiting messages that are counted for an estimate.
const MOST_COUNTED: i64 = 10_000;

statements! {
    NOW = "SELECT now FROM database_clock";
    HOLD = "INSERT INTO line_holds (line, until) VALUES ($1, $2) ON CONFLICT (line) DO UPDATE SET until = excluded.until";
}

statements_for_many! {
    LOCK = {
        one: "INSERT INTO pacers (resource, next_at, day, segments_used) VALUES ($1, 0, 0, 0)
            ON CONFLICT (resource) DO UPDATE SET next_at = pacers.next_at
            RETURNING resource, next_at, day, segments_used",
        all: "INSERT INTO pacers (resource, next_at, day, segments_used)
            SELECT e.resource, 0, 0, 0 FROM unnest($1::TEXT[]) WITH ORDINALITY AS e (resource, n) ORDER BY e.n
            ON CONFLICT (resource) DO UPDATE SET next_at = pacers.next_at
            RETURNING resource, next_at, day, segments_used",
    };
    SET = {
        one: "UPDATE pacers SET next_at = $1, day = $2, segments_used = $3 WHERE resource = $4",
        all: "UPDATE pacers p SET next_at = e.next_at, day = e.day, segments_used = e.segments_used
            FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::TEXT[]) AS e (next_at, day, segments_used, resource)
            WHERE p.resource = e.resource",
    };
    BACKLOG = {
        one: "SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM send_jobs WHERE line = $1 AND at < $2 LIMIT $3) AS waiting),
            (SELECT next_at FROM pacers WHERE resource = $4), (SELECT day FROM pacers WHERE resource = $4),
            (SELECT segments_used FROM pacers WHERE resource = $4)",
        all: "SELECT e.n, (SELECT COUNT(*) FROM (SELECT 1 FROM send_jobs j WHERE j.line = e.line AND j.at < e.before LIMIT e.most) AS waiting),
            (SELECT next_at FROM pacers p WHERE p.resource = e.resource), (SELECT day FROM pacers p WHERE p.resource = e.resource),
            (SELECT segments_used FROM pacers p WHERE p.resource = e.resource)
            FROM unnest($1::TEXT[], $2::BIGINT[], $3::BIGINT[], $4::TEXT[])
                WITH ORDINALITY AS e (line, before, most, resource, n)",
    };
}

/// What limits a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// Such as `campaign:camp_…`.
    pub resource: String,
    pub limit: Limit,
}

/// What waits before a message, and what was taken of its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    pub before: i64,
    pub pace: Pace,
}

impl Tx {
    /// What was taken of limits, in the order they are given in, and the time by the database's clock. None is given twice.
    /// Nobody else can take of them before this transaction ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_paces(&mut self, limited: &[Limited]) -> Result<(Vec<(Limit, Pace)>, i64), StoreError> {
        // In one order, so that two transactions can't wait for each other.
        let mut order: Vec<&str> = limited.iter().map(|one| one.resource.as_str()).collect();
        order.sort_unstable();
        let rows = self.rows_of_all(LOCK, order.into_iter().map(|resource| params![resource]).collect()).await?;
        let read = |mut row: Row| {
            let resource: String = row.take()?;
            let pace = Pace { next_at: row.take()?, day: row.take()?, segments_used: row.take()? };
            Ok((resource, pace))
        };
        let paces: HashMap<String, Pace> = rows.into_iter().map(read).collect::<Result<_, StoreError>>()?;
        // The time is told once all rows are ours.
        let now = self.one(NOW, []).await?.take()?;
        let of = |one: &Limited| (one.limit, paces.get(&one.resource).copied().unwrap_or_default());
        Ok((limited.iter().map(of).collect(), now))
    }

    /// Keeps what was taken of limits that this transaction has locked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_paces(&mut self, limited: &[Limited], paces: &[(Limit, Pace)]) -> Result<(), StoreError> {
        let each = limited.iter().zip(paces);
        let each = each.map(|(one, (_, pace))| params![pace.next_at, pace.day, pace.segments_used, &one.resource]);
        self.run_each(SET, each.collect()).await
    }

    /// Has nobody look after a line before then, unless something new comes for it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hold_line(&mut self, line: &str, until: Timestamp) -> Result<(), StoreError> {
        self.run(HOLD, params![line, until]).await
    }

    /// What waits on lines since before these times, up to ten thousand, with what was taken of their limits. In order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn backlogs(&mut self, asked: &[(&str, Timestamp, &str)]) -> Result<Vec<Backlog>, StoreError> {
        let each = asked.iter().map(|(line, before, resource)| params![*line, *before, MOST_COUNTED, *resource]);
        let found = self.rows_each(BACKLOG, each.collect()).await?;
        found.into_iter().map(|rows| rows.into_iter().next().map_or(Ok(Backlog::default()), read_backlog)).collect()
    }
}

impl Scope<'_> {
    /// As [`Tx::backlogs`], for one line of this account's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn backlog(&mut self, line: &NumberId, before: Timestamp, resource: &str) -> Result<Backlog, StoreError> {
        let found = self.tx.backlogs(&[(line.as_str(), before, resource)]).await?;
        Ok(found.into_iter().next().unwrap_or_default())
    }
}

fn read_backlog(mut row: Row) -> Result<Backlog, StoreError> {
    let before = row.take()?;
    let (next_at, day): (Option<i64>, Option<i64>) = (row.take()?, row.take()?);
    let segments_used: Option<i64> = row.take()?;
    let pace = Pace { next_at: next_at.unwrap_or(0), day: day.unwrap_or(0), segments_used: segments_used.unwrap_or(0) };
    Ok(Backlog { before, pace })
}
