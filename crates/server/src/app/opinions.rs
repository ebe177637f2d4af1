//! What customers told of the platform (`POST /v1/feedback`), for the operator to read.

use offhook_domain::{AccountId, FeedbackId};
use offhook_store::feedback::Feedback;
use offhook_store::{Store, StoreError, Tx};
use serde::{Deserialize, Serialize};

/// Opinions in one list, at most.
pub const MOST: u32 = 100;

/// What an operator can ask for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "feedback", rename_all = "snake_case")]
pub enum FeedbackCommand {
    /// The newest first: of all, or of those before one.
    List { before: Option<FeedbackId>, limit: u32 },
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum FeedbackReport {
    Listed { opinions: Vec<Opinion> },
    Failed { reason: String },
}

/// One opinion. All but ids and time are a customer's words.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Opinion {
    pub id: FeedbackId,
    pub account: AccountId,
    pub category: String,
    pub note: String,
    pub request_id: Option<String>,
    pub url: Option<String>,
    pub tags: Vec<String>,
    pub created_at: String,
}

/// Carries a command out.
pub async fn run(store: &Store, command: FeedbackCommand) -> FeedbackReport {
    let FeedbackCommand::List { before, limit } = command;
    let limit = i64::from(limit.clamp(1, MOST));
    let read = async move |tx: &mut Tx| tx.latest_feedback(before.as_ref(), limit).await;
    match store.read::<_, StoreError>(read).await {
        Ok(found) => FeedbackReport::Listed { opinions: found.into_iter().map(opinion).collect() },
        Err(error) => FeedbackReport::Failed { reason: error.to_string() },
    }
}

fn opinion((account, told): (AccountId, Feedback)) -> Opinion {
    let Feedback { id, category, note, request_id, url, tags, created_at } = told;
    Opinion { id, account, category, note, request_id, url, tags, created_at: created_at.to_string() }
}
