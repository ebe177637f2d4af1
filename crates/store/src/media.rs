//! Files that go with messages: what is to be fetched, what is kept of it, and which objects are to be deleted.
//!
//! A row of `media` stands as long as its message; one of `media_jobs` until the file is fetched or given up. A job is claimed by
//! counting an attempt, which names the object that it writes. Whoever finishes a job that is no longer as claimed was too
//! late, and its object is deleted. Never here: the objects themselves.

use offhook_domain::message::{Direction, Failure};
use offhook_domain::{AccountId, ConversationId, Id, MediaId, MessageId, NumberId, Timestamp};

use crate::engine::{Row, Tx, params, statements};
use crate::error::StoreError;
use crate::message_flow::read_direction;

statements! {
    INSERT = "INSERT INTO media (id, account_id, message_id, position, direction, source_url, carrier, state, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', $8)";
    INSERT_JOB = "INSERT INTO media_jobs (media_id, account_id, due_at) VALUES ($1, $2, $3)";
    // Steps from one account to the next through the index: one that has much to fetch keeps no other waiting.
    ACCOUNTS = "WITH RECURSIVE owners (account_id) AS (
            SELECT MIN(account_id) FROM media_jobs
            UNION ALL
            SELECT (SELECT MIN(j.account_id) FROM media_jobs j WHERE j.account_id > owners.account_id)
            FROM owners WHERE owners.account_id IS NOT NULL
        )
        SELECT account_id FROM owners WHERE account_id IS NOT NULL AND EXISTS
            (SELECT 1 FROM media_jobs j WHERE j.account_id = owners.account_id AND j.due_at <= $1)";
    DUE = "SELECT j.media_id, j.account_id, j.due_at, j.attempts, j.failures, m.message_id, m.direction, m.source_url, m.carrier
        FROM media_jobs j JOIN media m ON m.id = j.media_id
        WHERE j.account_id = $1 AND j.due_at <= $2 ORDER BY j.due_at LIMIT $3";
    CLAIM = "UPDATE media_jobs SET due_at = $1, attempts = attempts + 1 WHERE media_id = $2 AND due_at = $3 AND attempts = $4";
    DEFER = "UPDATE media_jobs SET due_at = $1, failures = failures + $2 WHERE media_id = $3 AND attempts = $4";
    FINISH = "DELETE FROM media_jobs WHERE media_id = $1 AND attempts = $2";
    STORED = "UPDATE media SET state = 'stored', source_url = NULL, content_type = $1, size = $2, object = $3, fetched_at = $4
        WHERE id = $5";
    FAILED = "UPDATE media SET state = 'failed', source_url = NULL, error_code = $1, failure_reason = $2, fetched_at = $3
        WHERE id = $4";
    GET = "SELECT state, content_type, size, object FROM media WHERE id = $1";
    OF_MESSAGE = "SELECT id, state, error_code, failure_reason FROM media WHERE message_id = $1 ORDER BY position";
    TO_REMOVE = "SELECT m.id, m.object, j.attempts FROM media m LEFT JOIN media_jobs j ON j.media_id = m.id
        WHERE m.message_id = $1";
    DELETE = "DELETE FROM media WHERE id = $1";
    DELETE_JOB = "DELETE FROM media_jobs WHERE media_id = $1";
    REMOVE = "INSERT INTO media_removals (object, due_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    REMOVALS = "SELECT object, due_at FROM media_removals WHERE due_at <= $1 ORDER BY due_at LIMIT $2";
    CLAIM_REMOVAL = "UPDATE media_removals SET due_at = $1 WHERE object = $2 AND due_at = $3";
    REMOVED = "DELETE FROM media_removals WHERE object = $1";

    PLACE = "SELECT number_id, conversation_id FROM messages WHERE id = $1";
    // On PostgreSQL it stays locked until the commit: two files of one message may be fetched at the same time.
    LOCK = "UPDATE conversations SET send_held_until = send_held_until WHERE id = $1";
    WAITING = "SELECT j.at, j.epoch, j.due_at, j.tried_since,
            (SELECT COUNT(*) FROM media m WHERE m.message_id = j.message_id AND m.state = 'waiting'),
            (SELECT COUNT(*) FROM media m WHERE m.message_id = j.message_id AND m.state = 'failed')
        FROM send_jobs j WHERE j.line = $1 AND j.conversation_id = $2 ORDER BY j.at LIMIT $3";
    FREE_JOBS = "UPDATE send_jobs SET due_at = $1 WHERE line = $2 AND conversation_id = $3 AND at < $4 AND due_at + 0 > $5
        AND epoch IS NULL";
    FREE_CONVERSATION = "UPDATE conversations SET send_held_until = $1 WHERE id = $2";
    HOLD = "UPDATE conversations SET send_held_until = $1 WHERE id = $2 AND send_held_until < $3";
}

/// Of a conversation that waits for files no more messages are freed at a time; those behind wait for their hold's end.
const FREED: i64 = 1_000;

/// A file to be fetched.
#[derive(Debug, Clone)]
pub struct NewMedia<'a> {
    pub id: &'a MediaId,
    pub account: &'a AccountId,
    pub message: &'a MessageId,
    /// Which one of its message's.
    pub position: usize,
    pub direction: Direction,
    pub source_url: &'a str,
    pub carrier: &'a str,
    pub at: Timestamp,
}

/// A file that is due to be fetched.
#[derive(Debug, Clone)]
pub struct MediaJob {
    pub id: MediaId,
    pub account: AccountId,
    pub due_at: Timestamp,
    /// Tries before this one.
    pub attempts: i64,
    /// Those of them that came to nothing because of whoever has the file.
    pub failures: i64,
    pub message: MessageId,
    pub direction: Direction,
    pub source_url: String,
    pub carrier: String,
}

impl MediaJob {
    /// What its file is kept as, when the try after `attempts` others fetches it.
    #[must_use]
    pub fn object(&self) -> String {
        object(self.id.as_str(), self.attempts + 1)
    }
}

/// Spread over folders by what is random in an id.
fn object(media: &str, attempt: i64) -> String {
    let folder = media.get(media.len().saturating_sub(2)..).unwrap_or_default();
    format!("{folder}/{media}-{attempt}")
}

/// A file as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMedia {
    pub object: String,
    pub content_type: String,
    pub size: i64,
}

/// How far a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaState {
    Waiting,
    Stored(StoredMedia),
    Failed,
}

/// A file of a message that goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaOfMessage {
    pub id: MediaId,
    pub is_stored: bool,
    /// Why it can't be had.
    pub failure: Option<Failure>,
}

impl Tx {
    /// Has a file fetched once this is committed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_media(&mut self, media: &NewMedia<'_>) -> Result<(), StoreError> {
        let NewMedia { id, account, message, position, direction, source_url, carrier, at } = media;
        let position = i64::try_from(*position).unwrap_or(i64::MAX);
        let facts = params![*id, *account, *message, position, direction.as_str(), *source_url, *carrier, *at];
        self.run(INSERT, facts).await?;
        self.run(INSERT_JOB, params![*id, *account, *at]).await
    }

    /// Accounts that have something to be fetched now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn accounts_with_media_due(&mut self, now: Timestamp) -> Result<Vec<AccountId>, StoreError> {
        self.rows(ACCOUNTS, params![now]).await?.into_iter().map(|mut row| row.take()).collect()
    }

    /// What an account has to be fetched now, the longest waiting first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn media_due(
        &mut self,
        account: &AccountId,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<MediaJob>, StoreError> {
        self.rows(DUE, params![account, now, limit]).await?.into_iter().map(read_job).collect()
    }

    /// Takes a job as it was read, until `until`; false when another node did, or it is gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_media(&mut self, job: &MediaJob, until: Timestamp) -> Result<bool, StoreError> {
        Ok(self.change(CLAIM, params![until, &job.id, job.due_at, job.attempts]).await? == 1)
    }

    /// Has a claimed job tried again at `due_at`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn defer_media(
        &mut self,
        job: &MediaJob,
        due_at: Timestamp,
        by_its_source: bool,
    ) -> Result<(), StoreError> {
        self.run(DEFER, params![due_at, i64::from(by_its_source), &job.id, job.attempts + 1]).await
    }

    /// Ends a claimed job whose file is kept now. False where it is somebody else's by now, or gone: what was kept is of no use.
    /// What tries that were cut off may have left is deleted at `leftovers_due`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn media_is_stored(
        &mut self,
        job: &MediaJob,
        stored: &StoredMedia,
        now: Timestamp,
        leftovers_due: Timestamp,
    ) -> Result<bool, StoreError> {
        if self.change(FINISH, params![&job.id, job.attempts + 1]).await? == 0 {
            self.run(REMOVE, params![&stored.object, leftovers_due]).await?;
            return Ok(false);
        }
        let StoredMedia { object: kept, content_type, size } = stored;
        self.run(STORED, params![content_type, *size, kept, now, &job.id]).await?;
        for attempt in 1..=job.attempts {
            self.run(REMOVE, params![object(job.id.as_str(), attempt), leftovers_due]).await?;
        }
        Ok(true)
    }

    /// Ends a claimed job whose file can't be had. False where it is somebody else's by now, or gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn media_has_failed(
        &mut self,
        job: &MediaJob,
        failure: &Failure,
        now: Timestamp,
        leftovers_due: Timestamp,
    ) -> Result<bool, StoreError> {
        if self.change(FINISH, params![&job.id, job.attempts + 1]).await? == 0 {
            return Ok(false);
        }
        self.run(FAILED, params![&failure.code, &failure.reason, now, &job.id]).await?;
        for attempt in 1..=job.attempts {
            self.run(REMOVE, params![object(job.id.as_str(), attempt), leftovers_due]).await?;
        }
        Ok(true)
    }

    /// How far a file is, for whoever has its link; `None` where there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn media(&mut self, id: &MediaId) -> Result<Option<MediaState>, StoreError> {
        let Some(mut row) = self.row(GET, params![id]).await? else { return Ok(None) };
        let state: String = row.take()?;
        let (content_type, size, object) = (row.take()?, row.take()?, row.take()?);
        Ok(Some(match (state.as_str(), content_type, size, object) {
            ("stored", Some(content_type), Some(size), Some(object)) => {
                MediaState::Stored(StoredMedia { object, content_type, size })
            }
            ("waiting", ..) => MediaState::Waiting,
            _ => MediaState::Failed,
        }))
    }

    /// The files of a message, in its order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn media_of_message(&mut self, message: &MessageId) -> Result<Vec<MediaOfMessage>, StoreError> {
        let read = |mut row: Row| {
            let (id, state): (_, String) = (row.take()?, row.take()?);
            let (code, reason): (Option<String>, Option<String>) = (row.take()?, row.take()?);
            let failure = code.map(|code| Failure { code, reason: reason.unwrap_or_default() });
            Ok(MediaOfMessage { id, is_stored: state == "stored", failure })
        };
        self.rows(OF_MESSAGE, params![message]).await?.into_iter().map(read).collect()
    }

    /// Forgets the files of a message, and has their objects deleted: now, and what a try under way may write yet at
    /// `leftovers_due`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_media_of(
        &mut self,
        message: &MessageId,
        now: Timestamp,
        leftovers_due: Timestamp,
    ) -> Result<(), StoreError> {
        for mut row in self.rows(TO_REMOVE, params![message]).await? {
            let (id, kept): (MediaId, Option<String>) = (row.take()?, row.take()?);
            let attempts: Option<i64> = row.take()?;
            self.run(DELETE_JOB, params![&id]).await?;
            self.run(DELETE, params![&id]).await?;
            if let Some(kept) = kept {
                self.run(REMOVE, params![kept, now]).await?;
            }
            // One more: it may be claimed between our look and our commit (PostgreSQL).
            for attempt in 1..=attempts.map_or(0, |attempts| attempts + 1) {
                self.run(REMOVE, params![object(id.as_str(), attempt), leftovers_due]).await?;
            }
        }
        Ok(())
    }

    /// Objects to be deleted now, each with the time by which it is claimed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn media_removals_due(
        &mut self,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let rows = self.rows(REMOVALS, params![now, limit]).await?;
        rows.into_iter().map(|mut row| Ok((row.take()?, row.take()?))).collect()
    }

    /// Has an object deleted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_object(&mut self, object: &str, at: Timestamp) -> Result<(), StoreError> {
        self.run(REMOVE, params![object, at]).await
    }

    /// Puts deleting an object off, or takes it on until then; false where somebody else did.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_media_removal(
        &mut self,
        object: &str,
        due_at: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.change(CLAIM_REMOVAL, params![until, object, due_at]).await? == 1)
    }

    /// An object is gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn media_is_removed(&mut self, object: &str) -> Result<(), StoreError> {
        self.run(REMOVED, params![object]).await
    }

    /// Has what is sent to a conversation from now on wait until then: behind a message that waits for a file.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hold_sends_of(&mut self, conversation: &ConversationId, until: Timestamp) -> Result<(), StoreError> {
        self.run(HOLD, params![until, conversation, until]).await
    }

    /// Lets go what waited for a file of `message`, up to the next message of its conversation that waits for one; the line
    /// that has work. What is put off because a carrier did not take it stays so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn free_sends_behind(
        &mut self,
        message: &MessageId,
        now: Timestamp,
    ) -> Result<Option<NumberId>, StoreError> {
        let Some(mut place) = self.row(PLACE, params![message]).await? else { return Ok(None) };
        let (line, conversation): (NumberId, ConversationId) = (place.take()?, place.take()?);
        self.change(LOCK, params![&conversation]).await?;
        let rows = self.rows(WAITING, params![&line, &conversation, FREED]).await?;
        let mut is_all = (rows.len() as i64) < FREED;
        let mut end = Timestamp::from_micros(i64::MIN);
        for mut row in rows {
            let (at, epoch, due_at): (Timestamp, Option<i64>, Timestamp) = (row.take()?, row.take()?, row.take()?);
            let tried_since: Option<Timestamp> = row.take()?;
            let (waits, failed): (i64, i64) = (row.take()?, row.take()?);
            if epoch.is_none() && tried_since.is_some() && due_at > now {
                return Ok(None);
            }
            if waits != 0 && failed == 0 {
                is_all = false;
                break;
            }
            end = Timestamp::from_micros(at.as_micros() + 1);
        }
        self.run(FREE_JOBS, params![now, &line, &conversation, end, now]).await?;
        if is_all {
            self.run(FREE_CONVERSATION, params![now, &conversation]).await?;
        }
        Ok(Some(line))
    }
}

fn read_job(mut row: Row) -> Result<MediaJob, StoreError> {
    Ok(MediaJob {
        id: row.take()?,
        account: row.take()?,
        due_at: row.take()?,
        attempts: row.take()?,
        failures: row.take()?,
        message: row.take()?,
        direction: read_direction(&row.take::<String>()?)?,
        source_url: row.take::<Option<String>>()?.unwrap_or_default(),
        carrier: row.take()?,
    })
}
