//! Erasing what one person wrote and was written: for the API.
//!
//! In: an account and the other side's number. Out: how far it came. Many short transactions, each of which leaves
//! everything whole; it may be asked for again at any time, and does what is left. Never here: money and counts, which stay.

use std::collections::HashSet;
use std::time::Duration;

use offhook_domain::{AccountId, ConversationId, Timestamp};
use offhook_store::privacy::Step;
use offhook_store::{StoreError, Tx};
use tokio::time::Instant;

use super::{App, media};

/// How much is done in one transaction.
const PORTION: i64 = 500;
/// A request does no more than this takes; well below the time-out of requests.
const BUDGET: Duration = Duration::from_secs(10);
/// More calls with one person are emptied with the next request.
const CALLS: i64 = 1_000;

/// How far an erasure came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// Messages and events that are still on their way and could not be erased yet.
    pub left: usize,
    /// Whether there was time for all of it.
    pub finished: bool,
}

/// Empties the messages and conversations with a person, deletes the address-book entry and the parts of texts, and drops what the log of
/// deliveries tells of them.
///
/// # Errors
/// [`StoreError`]; what was done by then is done.
pub async fn erase_person(app: &App, account: &AccountId, person: &str) -> Result<Erased, StoreError> {
    let deadline = Instant::now() + BUDGET;
    let (ours, theirs, now) = (account.clone(), person.to_owned(), app.now());
    let forget = async move |tx: &mut Tx| tx.of(&ours).forget_person(&theirs, CALLS, now).await;
    let (conversations, calls) = app.store.write::<_, StoreError>(forget).await?;
    let mut left = 0;
    for conversation in &conversations {
        let mut walk = Walk::until(deadline);
        let walked = loop {
            if let Some(end) = walk.did(blank(app, account, conversation, walk.after).await?) {
                break end;
            }
        };
        left += walked.left;
        if !walked.finished {
            return Ok(Erased { left, finished: false });
        }
    }
    if conversations.is_empty() && calls.is_empty() {
        return Ok(Erased { left: 0, finished: true });
    }
    let lanes: HashSet<String> =
        conversations.iter().map(ToString::to_string).chain(calls.iter().map(ToString::to_string)).collect();
    let mut walk = Walk::until(deadline);
    loop {
        if let Some(end) = walk.did(drop_deliveries(app, account, &lanes, walk.after).await?) {
            return Ok(Erased { left: left + end.left, ..end });
        }
    }
}

/// A walk through a long list, in steps.
struct Walk {
    deadline: Instant,
    after: Timestamp,
    left: usize,
}

impl Walk {
    fn until(deadline: Instant) -> Self {
        Self { deadline, after: Timestamp::from_micros(i64::MIN), left: 0 }
    }

    /// Goes on from what a step did; where it ends, how far it came.
    fn did(&mut self, step: Step) -> Option<Erased> {
        self.left += step.left;
        let next = step.next.filter(|_| Instant::now() < self.deadline);
        match next {
            Some(next) => self.after = next,
            None => return Some(Erased { left: self.left, finished: step.next.is_none() }),
        }
        None
    }
}

async fn blank(
    app: &App,
    account: &AccountId,
    conversation: &ConversationId,
    after: Timestamp,
) -> Result<Step, StoreError> {
    let (account, conversation) = (account.clone(), conversation.clone());
    let removals = media::removals(app);
    let blank = async move |tx: &mut Tx| tx.of(&account).blank_messages(&conversation, after, PORTION, removals).await;
    app.store.write(blank).await
}

async fn drop_deliveries(
    app: &App,
    account: &AccountId,
    lanes: &HashSet<String>,
    after: Timestamp,
) -> Result<Step, StoreError> {
    let (account, lanes) = (account.clone(), lanes.clone());
    app.store.write(async move |tx: &mut Tx| tx.of(&account).drop_deliveries_of(&lanes, after, PORTION).await).await
}
