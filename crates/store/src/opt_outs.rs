//! Opt-outs: who may not be texted, who said so, and an account's own words for the answers.
//!
//! In: scopes and participants. Out: whether they are opted out, and what of that changed. A scope is a number's id, or an
//! account's where all its numbers are meant. Never here: what a keyword is, or what follows from one.

use offhook_domain::{AccountId, ApiKeyId, ConversationId, Id, MessageId, NumberId, OptOutId, OptOutLogId, Timestamp};

use crate::engine::{Row, params, statements};
use crate::error::StoreError;
use crate::scope::{Page, Scope, Window};

/// Whether a participant may not be texted, as 1 or 0: within a statement that knows the number, its account and them.
macro_rules! is_opted_out {
    ($number:literal, $account:literal, $participant:literal) => {
        concat!(
            "CAST(CASE WHEN EXISTS (SELECT 1 FROM opt_outs o WHERE o.scope IN (",
            $number,
            ", ",
            $account,
            ") AND o.participant = ",
            $participant,
            " AND o.opted_out_at IS NOT NULL) THEN 1 ELSE 0 END AS BIGINT)"
        )
    };
}
pub(crate) use is_opted_out;

statements! {
    OPT_OUT = "INSERT INTO opt_outs (scope, participant, id, account_id, number_id, opted_out_at, keyword, message_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (scope, participant) DO UPDATE SET opted_out_at = excluded.opted_out_at,
            keyword = excluded.keyword, message_id = excluded.message_id
        WHERE opt_outs.opted_out_at IS NULL";
    OPT_IN = "UPDATE opt_outs SET opted_out_at = NULL, keyword = NULL, message_id = NULL
        WHERE scope IN ($1, $2) AND participant = $3 AND opted_out_at IS NOT NULL";
    IS_OUT = "SELECT 1 FROM opt_outs WHERE scope IN ($1, $2) AND participant = $3 AND opted_out_at IS NOT NULL LIMIT 1";
    HELP = "INSERT INTO opt_outs (scope, participant, id, account_id, number_id, helped_at) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (scope, participant) DO UPDATE SET helped_at = excluded.helped_at
        WHERE opt_outs.helped_at IS NULL OR opt_outs.helped_at <= $7";
    LOG = "INSERT INTO opt_out_log (id, account_id, number_id, participant, action, changed, keyword, message_id, key_id,
        note, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    // What is claimed is under way already; an answer of ours is exempt.
    END_WAITING = "DELETE FROM send_jobs WHERE line = $1 AND conversation_id = $2 AND epoch IS NULL AND exempt = 0
        RETURNING message_id";
    CONVERSATIONS = "SELECT c.number_id, c.id FROM numbers n CROSS JOIN conversations c
        WHERE n.account_id = $1 AND n.status = 'active' AND c.number_id = n.id AND c.participant = $2";
    CONVERSATION = "SELECT number_id, id FROM conversations WHERE number_id = $1 AND participant = $2";

    BY_PAIR = "SELECT id, participant, number_id, opted_out_at, keyword, message_id FROM opt_outs
        WHERE scope = $1 AND participant = $2";
    BY_ID = "SELECT id, participant, number_id, opted_out_at, keyword, message_id FROM opt_outs
        WHERE id = $1 AND account_id = $2 AND opted_out_at IS NOT NULL";
    LIST = "SELECT id, participant, number_id, opted_out_at, keyword, message_id FROM opt_outs
        WHERE account_id = $1 AND opted_out_at IS NOT NULL ORDER BY id DESC LIMIT $2 OFFSET $3";
    COUNT = "SELECT COUNT(*) FROM opt_outs WHERE account_id = $1 AND opted_out_at IS NOT NULL";
    LIST_OF = "SELECT id, participant, number_id, opted_out_at, keyword, message_id FROM opt_outs
        WHERE account_id = $1 AND participant = $2 AND opted_out_at IS NOT NULL ORDER BY id DESC LIMIT $3 OFFSET $4";
    COUNT_OF = "SELECT COUNT(*) FROM opt_outs WHERE account_id = $1 AND participant = $2 AND opted_out_at IS NOT NULL";
    REMOVE = "UPDATE opt_outs SET opted_out_at = NULL, keyword = NULL, message_id = NULL
        WHERE id = $1 AND account_id = $2 AND opted_out_at IS NOT NULL";
    LOG_LIST = "SELECT id, participant, number_id, action, changed, keyword, message_id, key_id, note, at FROM opt_out_log
        WHERE account_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3";
    LOG_COUNT = "SELECT COUNT(*) FROM opt_out_log WHERE account_id = $1";
    LOG_LIST_OF = "SELECT id, participant, number_id, action, changed, keyword, message_id, key_id, note, at
        FROM opt_out_log WHERE account_id = $1 AND participant = $2 ORDER BY id DESC LIMIT $3 OFFSET $4";
    LOG_COUNT_OF = "SELECT COUNT(*) FROM opt_out_log WHERE account_id = $1 AND participant = $2";
    ANSWERS = "SELECT opted_out, opted_in, help FROM opt_out_answers WHERE account_id = $1";
    SET_ANSWERS = "INSERT INTO opt_out_answers (account_id, opted_out, opted_in, help) VALUES ($1, $2, $3, $4)
        ON CONFLICT (account_id) DO UPDATE SET opted_out = excluded.opted_out, opted_in = excluded.opted_in,
            help = excluded.help";
}

/// What is meant by a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptOutScope {
    Number(NumberId),
    /// All numbers of the account.
    Account,
}

impl OptOutScope {
    fn key<'a>(&'a self, account: &'a AccountId) -> &'a str {
        match self {
            Self::Number(number) => number.as_str(),
            Self::Account => account.as_str(),
        }
    }

    fn number(&self) -> Option<&NumberId> {
        match self {
            Self::Number(number) => Some(number),
            Self::Account => None,
        }
    }
}

/// A participant who may not be texted.
#[derive(Debug, Clone)]
pub struct OptOut {
    pub id: OptOutId,
    pub participant: String,
    /// `None` where all numbers of the account are meant.
    pub number_id: Option<NumberId>,
    pub opted_out_at: Option<Timestamp>,
    /// The word and the message that said so.
    pub keyword: Option<String>,
    pub message_id: Option<MessageId>,
}

/// What happened to an opt-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptOutAction {
    OptedOut,
    OptedIn,
    Help,
}

impl OptOutAction {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OptedOut => "opted_out",
            Self::OptedIn => "opted_in",
            Self::Help => "help",
        }
    }
}

/// A line of the log.
#[derive(Debug, Clone)]
pub struct OptOutLogged {
    pub id: OptOutLogId,
    pub participant: String,
    pub number_id: Option<NumberId>,
    pub action: String,
    /// Whether that changed anything.
    pub changed: bool,
    pub keyword: Option<String>,
    pub message_id: Option<MessageId>,
    /// The key of who said so for the participant, and the proof that was given.
    pub key_id: Option<ApiKeyId>,
    pub note: Option<String>,
    pub at: Timestamp,
}

/// An account's own words for its answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OptOutAnswers {
    pub opted_out: Option<String>,
    pub opted_in: Option<String>,
    pub help: Option<String>,
}

impl Scope<'_> {
    /// Opts a participant out; whether that is new.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn opt_out(
        &mut self,
        scope: &OptOutScope,
        participant: &str,
        said: Option<(&str, &MessageId)>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let (id, key, number) = (OptOutId::generate(at), scope.key(self.account), scope.number());
        let (keyword, message) = said.unzip();
        let values = params![key, participant, &id, self.account, number, at, keyword, message];
        Ok(self.tx.change(OPT_OUT, values).await? > 0)
    }

    /// Lets a participant be texted again from a number, whichever scope kept them from it; whether that is new.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn opt_in(&mut self, number: &NumberId, participant: &str) -> Result<bool, StoreError> {
        Ok(self.tx.change(OPT_IN, params![number, self.account, participant]).await? > 0)
    }

    /// Whether a participant may not be texted from a number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_opted_out(&mut self, number: &NumberId, participant: &str) -> Result<bool, StoreError> {
        Ok(self.tx.row(IS_OUT, params![number, self.account, participant]).await?.is_some())
    }

    /// Notes that HELP is answered now; false where it was, after `last`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn help_once(
        &mut self,
        number: &NumberId,
        participant: &str,
        at: Timestamp,
        last: Timestamp,
    ) -> Result<bool, StoreError> {
        let id = OptOutId::generate(at);
        let values = params![number, participant, &id, self.account, number, at, last];
        Ok(self.tx.change(HELP, values).await? > 0)
    }

    /// Adds a line to the log.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_opt_out(&mut self, action: OptOutAction, line: &OptOutLogged) -> Result<(), StoreError> {
        let OptOutLogged { id, participant, number_id, changed, keyword, message_id, key_id, note, at, .. } = line;
        let (changed, action) = (i64::from(*changed), action.as_str());
        let (number_id, keyword, message_id) = (number_id.as_ref(), keyword.as_ref(), message_id.as_ref());
        let (key_id, note) = (key_id.as_ref(), note.as_ref());
        let values =
            params![id, self.account, number_id, participant, action, changed, keyword, message_id, key_id, note, *at];
        self.tx.run(LOG, values).await
    }

    /// Ends what waits to go out to somebody who is opted out, and is not claimed; tells the messages.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_sends_to(&mut self, scope: &OptOutScope, participant: &str) -> Result<Vec<MessageId>, StoreError> {
        let conversations = match scope {
            OptOutScope::Number(number) => self.tx.rows(CONVERSATION, params![number, participant]).await?,
            OptOutScope::Account => self.tx.rows(CONVERSATIONS, params![self.account, participant]).await?,
        };
        let mut ended = Vec::new();
        for mut row in conversations {
            let (number, conversation): (NumberId, ConversationId) = (row.take()?, row.take()?);
            for mut row in self.tx.rows(END_WAITING, params![&number, &conversation]).await? {
                ended.push(row.take()?);
            }
        }
        Ok(ended)
    }

    /// What is kept of a scope and a participant, opted out or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn opt_out_of(&mut self, scope: &OptOutScope, participant: &str) -> Result<Option<OptOut>, StoreError> {
        self.tx.row(BY_PAIR, params![scope.key(self.account), participant]).await?.map(read).transpose()
    }

    /// # Errors
    /// [`StoreError`].
    pub async fn opt_out_by_id(&mut self, id: &OptOutId) -> Result<Option<OptOut>, StoreError> {
        self.tx.row(BY_ID, params![id, self.account]).await?.map(read).transpose()
    }

    /// Ends an opt-out; whether there was one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_opt_out(&mut self, id: &OptOutId) -> Result<bool, StoreError> {
        Ok(self.tx.change(REMOVE, params![id, self.account]).await? > 0)
    }

    /// Who is opted out, of all or of one participant.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn opt_outs(&mut self, of: Option<&str>, window: Window) -> Result<Page<OptOut>, StoreError> {
        let Window { limit, offset } = window;
        let (rows, total) = match of {
            None => {
                let rows = self.tx.rows(LIST, params![self.account, limit, offset]).await?;
                (rows, self.tx.one(COUNT, params![self.account]).await?.take()?)
            }
            Some(one) => {
                let rows = self.tx.rows(LIST_OF, params![self.account, one, limit, offset]).await?;
                (rows, self.tx.one(COUNT_OF, params![self.account, one]).await?.take()?)
            }
        };
        Ok(Page { items: rows.into_iter().map(read).collect::<Result<_, _>>()?, total })
    }

    /// The log, the newest first, of all or of one participant.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn opt_out_log(&mut self, of: Option<&str>, window: Window) -> Result<Page<OptOutLogged>, StoreError> {
        let Window { limit, offset } = window;
        let (rows, total) = match of {
            None => {
                let rows = self.tx.rows(LOG_LIST, params![self.account, limit, offset]).await?;
                (rows, self.tx.one(LOG_COUNT, params![self.account]).await?.take()?)
            }
            Some(one) => {
                let rows = self.tx.rows(LOG_LIST_OF, params![self.account, one, limit, offset]).await?;
                (rows, self.tx.one(LOG_COUNT_OF, params![self.account, one]).await?.take()?)
            }
        };
        Ok(Page { items: rows.into_iter().map(read_logged).collect::<Result<_, _>>()?, total })
    }

    /// # Errors
    /// [`StoreError`].
    pub async fn opt_out_answers(&mut self) -> Result<OptOutAnswers, StoreError> {
        let row = self.tx.row(ANSWERS, params![self.account]).await?;
        row.map_or(Ok(OptOutAnswers::default()), |mut row| {
            Ok(OptOutAnswers { opted_out: row.take()?, opted_in: row.take()?, help: row.take()? })
        })
    }

    /// # Errors
    /// [`StoreError`].
    pub async fn set_opt_out_answers(&mut self, answers: &OptOutAnswers) -> Result<(), StoreError> {
        let OptOutAnswers { opted_out, opted_in, help } = answers;
        let values = params![self.account, opted_out.as_ref(), opted_in.as_ref(), help.as_ref()];
        self.tx.run(SET_ANSWERS, values).await
    }
}

fn read(mut row: Row) -> Result<OptOut, StoreError> {
    Ok(OptOut {
        id: row.take()?,
        participant: row.take()?,
        number_id: row.take()?,
        opted_out_at: row.take()?,
        keyword: row.take()?,
        message_id: row.take()?,
    })
}

fn read_logged(mut row: Row) -> Result<OptOutLogged, StoreError> {
    Ok(OptOutLogged {
        id: row.take()?,
        participant: row.take()?,
        number_id: row.take()?,
        action: row.take()?,
        changed: row.take::<i64>()? != 0,
        keyword: row.take()?,
        message_id: row.take()?,
        key_id: row.take()?,
        note: row.take()?,
        at: row.take()?,
    })
}
