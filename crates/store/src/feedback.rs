//! What customers tell us of the platform.

use offhook_domain::{FeedbackId, Id, Timestamp};

use crate::engine::{Tx, params, statements};
use crate::error::StoreError;
use crate::scope::Scope;

statements! {
    INSERT = "INSERT INTO feedback (id, account_id, category, note, request_id, url, tags, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    LATEST = "SELECT id, account_id, category, note, request_id, url, tags, created_at FROM feedback
        WHERE id < $1 ORDER BY id DESC LIMIT $2";
}

/// One opinion.
#[derive(Debug, Clone)]
pub struct Feedback {
    pub id: FeedbackId,
    pub category: String,
    pub note: String,
    pub request_id: Option<String>,
    pub url: Option<String>,
    pub tags: Vec<String>,
    pub created_at: Timestamp,
}

impl Scope<'_> {
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_feedback(&mut self, feedback: &Feedback) -> Result<(), StoreError> {
        let Feedback { id, category, note, request_id, url, tags, created_at } = feedback;
        let (request_id, url, tags) = (request_id.as_ref(), url.as_ref(), tags.as_slice());
        self.tx.run(INSERT, params![id, self.account, category, note, request_id, url, tags, *created_at]).await
    }
}

impl Tx {
    /// What was told last, or last before one that was told, and by whom; the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn latest_feedback(
        &mut self,
        before: Option<&FeedbackId>,
        limit: i64,
    ) -> Result<Vec<(offhook_domain::AccountId, Feedback)>, StoreError> {
        let read = |mut row: crate::engine::Row| {
            let (id, account) = (row.take()?, row.take()?);
            let (category, note, request_id) = (row.take()?, row.take()?, row.take()?);
            let (url, tags) = (row.take()?, row.take()?);
            let created_at = row.take()?;
            Ok((account, Feedback { id, category, note, request_id, url, tags, created_at }))
        };
        let before = before.map_or("fb_~", FeedbackId::as_str);
        self.rows(LATEST, params![before, limit]).await?.into_iter().map(read).collect()
    }
}
