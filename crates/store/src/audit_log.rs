//! The audit log: who did what, from where, and what came of it. Lines are added, given their outcome once, and never
//! changed or deleted after.

use std::time::Duration;

use offhook_domain::{ApiKeyId, AuditId, Id, Timestamp};

use crate::engine::{Row, params, statements};
use crate::error::StoreError;
use crate::scope::{Page, Scope, Window};

statements! {
    INSERT = "INSERT INTO audit_log (id, account_id, actor, key_id, remote_address, action, target, request_id, status, at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    CONCLUDE = "UPDATE audit_log SET status = $1, replayed = $2, target = COALESCE($3, target)
        WHERE account_id = $4 AND id = $5 AND status IS NULL";
    LIST = "SELECT id, actor, key_id, remote_address, action, target, request_id, status, replayed, at FROM audit_log
        WHERE account_id = $1 AND id >= $2 AND ($3 = '' OR action = $3) ORDER BY id DESC LIMIT $4 OFFSET $5";
    COUNT = "SELECT COUNT(*) FROM audit_log WHERE account_id = $1 AND id >= $2 AND ($3 = '' OR action = $3)";
}

/// Who acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Somebody with a key.
    Key,
    /// The operator, on the command line.
    CommandLine,
    /// The installation itself, because something was due.
    System,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    pub id: AuditId,
    pub actor: Actor,
    pub key: Option<ApiKeyId>,
    pub remote_address: Option<String>,
    /// Such as `createKey`: the operation's name in the OpenAPI document.
    pub action: String,
    /// The id of what it was done to.
    pub target: Option<String>,
    pub request_id: Option<String>,
    /// The answer's status. `None` while it is under way, or where a crash cut it off.
    pub status: Option<i64>,
    /// It had been done before, under the same `Idempotency-Key`: this request was only answered again.
    pub replayed: bool,
    pub at: Timestamp,
}

/// What came of an act.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub status: i64,
    pub replayed: bool,
    /// What it was done to, where that is known only now.
    pub target: Option<String>,
}

/// Which lines are asked for.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    pub action: Option<String>,
    pub since: Option<Timestamp>,
}

impl Actor {
    const ALL: [Self; 3] = [Self::Key, Self::CommandLine, Self::System];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::CommandLine => "command_line",
            Self::System => "system",
        }
    }
}

impl AuditLine {
    /// What the operator or the installation itself did, within the transaction that does it.
    #[must_use]
    pub fn of(actor: Actor, action: &str, target: &str, at: Timestamp) -> Self {
        Self {
            id: AuditId::generate(at),
            actor,
            key: None,
            remote_address: None,
            action: action.to_owned(),
            target: Some(target.to_owned()),
            request_id: None,
            status: Some(200),
            replayed: false,
            at,
        }
    }
}

impl Scope<'_> {
    /// Adds a line.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit(&mut self, line: &AuditLine) -> Result<(), StoreError> {
        let AuditLine { id, actor, key, remote_address, action, target, request_id, status, at, .. } = line;
        let values = params![
            id,
            self.account,
            actor.as_str(),
            key.as_ref(),
            remote_address.as_ref(),
            action,
            target.as_ref(),
            request_id.as_ref(),
            *status,
            *at
        ];
        self.tx.run(INSERT, values).await
    }

    /// Adds the outcome to a line that has none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn conclude_audit(&mut self, id: &AuditId, outcome: &Outcome) -> Result<(), StoreError> {
        let Outcome { status, replayed, target } = outcome;
        self.tx.run(CONCLUDE, params![*status, i64::from(*replayed), target.as_ref(), self.account, id]).await
    }

    /// The newest lines first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_log(&mut self, query: &AuditQuery, window: Window) -> Result<Page<AuditLine>, StoreError> {
        let first = query.since.map_or_else(String::new, first_at);
        let action = query.action.as_deref().unwrap_or_default();
        let values = params![self.account, &first, action, window.limit, window.offset];
        let rows = self.tx.rows(LIST, values).await?;
        let total = self.tx.one(COUNT, params![self.account, &first, action]).await?.take()?;
        Ok(Page { items: rows.into_iter().map(read).collect::<Result<_, _>>()?, total })
    }
}

/// Not above the id of any line of this time: ids begin with their microsecond and end with chance.
fn first_at(since: Timestamp) -> String {
    let id = AuditId::generate(since.minus(Duration::from_micros(1)));
    id.as_str().to_owned()
}

fn read(mut row: Row) -> Result<AuditLine, StoreError> {
    let id = row.take()?;
    let actor: String = row.take()?;
    let actor = Actor::ALL.into_iter().find(|one| one.as_str() == actor);
    Ok(AuditLine {
        id,
        actor: actor.ok_or_else(|| StoreError::Corrupt("an audit line's actor".to_owned()))?,
        key: row.take()?,
        remote_address: row.take()?,
        action: row.take()?,
        target: row.take()?,
        request_id: row.take()?,
        status: row.take()?,
        replayed: row.take::<i64>()? != 0,
        at: row.take()?,
    })
}
