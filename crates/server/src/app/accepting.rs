//! The one door through which messages to send are accepted: orders that arrive together share a transaction.
//!
//! In: an order with its request's claim to happen once. Out: the answer to keep and give, after the commit. Never here:
//! what makes an order good ([`send_message`]), or how the answer looks.

use std::collections::HashSet;
use std::sync::Arc;

use offhook_domain::Timestamp;
use offhook_domain::message::Message;
use offhook_store::{Store, StoreError, Tx};

use super::send_message::{self, Order};
use super::together::{Gathering, Gone, Writing, together};
use super::{App, Ring};
use crate::http::error::ApiError;
use crate::http::once::{Begun, Once, Reply};

/// Orders in one transaction, at most.
const MOST: usize = 128;

/// Makes the answer to an accepted message.
pub type Show = Box<dyn Fn(&Message) -> Result<Reply, ApiError> + Send + Sync>;

/// An order, and the request it came with.
pub struct Wanted {
    pub app: App,
    pub order: Order,
    pub once: Once,
    pub show: Show,
}

/// What became of a request.
pub enum Answer {
    Accepted(Reply),
    /// It had been answered before, with this.
    Replayed(Reply),
}

/// Where orders gather.
pub type Accepting = Gathering<Arc<Wanted>, Told>;

/// `None`: the request's key is another one's in the same transaction, so it is to be asked again behind that.
type Told = Result<Option<Answer>, ApiError>;

/// An empty gathering.
#[must_use]
pub fn gathering() -> Arc<Accepting> {
    together(MOST, Accept)
}

impl Accepting {
    /// Accepts a message, or refuses it and keeps nothing of it.
    ///
    /// # Errors
    /// Why it was refused, or 500 and nothing happened, or 409 where that is not known.
    pub async fn accept(self: &Arc<Self>, wanted: Wanted) -> Result<Answer, ApiError> {
        let wanted = Arc::new(wanted);
        loop {
            let answer = self.join(wanted.clone()).await;
            let answer = answer.map_err(|Gone| StoreError::Unavailable("the store takes nothing more".to_owned()))?;
            if let Some(answer) = answer? {
                return Ok(answer);
            }
        }
    }
}

struct Accept;

impl Writing for Accept {
    type Item = Arc<Wanted>;
    type Kept = Vec<Result<Kept, ApiError>>;
    type Answer = Told;

    fn store<'a>(&'a self, first: &'a Arc<Wanted>) -> &'a Store {
        &first.app.store
    }

    async fn write(tx: &mut Tx, wanted: &[Arc<Wanted>]) -> Result<Vec<Result<Kept, ApiError>>, StoreError> {
        accept_together(tx, wanted).await
    }

    fn committed(&self, wanted: &[Arc<Wanted>], kept: Vec<Result<Kept, ApiError>>) -> Vec<Told> {
        let lines: HashSet<&String> = kept.iter().flatten().filter_map(|kept| kept.line.as_ref()).collect();
        for (line, first) in lines.into_iter().zip(wanted.iter().cycle()) {
            first.app.wakes.ring(Ring::Send(line.clone()));
        }
        if let Some(first) = wanted.iter().find(|one| !one.order.media_urls.is_empty()) {
            first.app.wakes.ring(Ring::Media);
        }
        kept.into_iter().map(|kept| kept.map(|kept| kept.answer)).collect()
    }

    fn failed(&self, error: StoreError) -> Told {
        Err(error.into())
    }
}

/// What to tell, and the line to ring, once it is committed.
struct Kept {
    answer: Option<Answer>,
    line: Option<String>,
}

async fn accept_together(tx: &mut Tx, wanted: &[Arc<Wanted>]) -> Result<Vec<Result<Kept, ApiError>>, StoreError> {
    let Some(app) = wanted.first().map(|first| &first.app) else { return Ok(Vec::new()) };
    let claimed_at = app.now();
    let mut answers: Vec<Option<Result<Kept, ApiError>>> = wanted.iter().map(|_| None).collect();
    // Keys in one order on every node, so that two of them can't wait for each other (PostgreSQL). Equal ones keep theirs.
    let mut in_order: Vec<usize> = (0..wanted.len()).collect();
    in_order.sort_by_key(|n| (&wanted[*n].order.account, wanted[*n].once.key()));
    for (place, n) in in_order.iter().enumerate() {
        let before = place.checked_sub(1).map(|before| &*wanted[in_order[before]]);
        let told = begin(tx, &wanted[*n], before, claimed_at).await?;
        answers[*n] = told.map(|told| told.map(|answer| Kept { answer, line: None }));
    }
    let open: Vec<usize> = (0..wanted.len()).filter(|n| answers[*n].is_none()).collect();
    let orders: Vec<&Order> = open.iter().map(|n| &wanted[*n].order).collect();
    let accepted = send_message::accept_all(tx, &orders, app.prices(), &app.config, &app.carriers, &*app.clock).await?;
    for (n, accepted) in open.into_iter().zip(accepted) {
        answers[n] = Some(finish(tx, &wanted[n], accepted.map_err(ApiError::from), claimed_at).await?);
    }
    Ok(answers.into_iter().flatten().collect())
}

/// Claims a request's key; its answer, where there is nothing more to do. An equal key would be right before it.
async fn begin(
    tx: &mut Tx,
    one: &Wanted,
    before: Option<&Wanted>,
    claimed_at: Timestamp,
) -> Result<Option<Told>, StoreError> {
    let Some(key) = one.once.key() else { return Ok(None) };
    if before.is_some_and(|other| other.order.account == one.order.account && other.once.key() == Some(key)) {
        return Ok(Some(Ok(None)));
    }
    Ok(match one.once.claim(tx, &one.order.account, claimed_at).await? {
        Begun::Fresh => None,
        Begun::Done(reply) => Some(Ok(Some(Answer::Replayed(reply)))),
        Begun::Refused(error) => Some(Err(error)),
    })
}

/// Keeps the answer to an accepted message under the request's key; a refusal frees the key, for that is kept elsewhere.
async fn finish(
    tx: &mut Tx,
    one: &Wanted,
    accepted: Result<Message, ApiError>,
    claimed_at: Timestamp,
) -> Result<Result<Kept, ApiError>, StoreError> {
    let account = &one.order.account;
    match accepted {
        Ok(message) => {
            // A message that can't be shown must not be kept either.
            let shown = (one.show)(&message);
            let reply = shown.map_err(|_| StoreError::Corrupt("an accepted message can't be shown".to_owned()))?;
            one.once.finish(tx, account, claimed_at, &reply).await?;
            let line = Some(message.number_id.to_string());
            Ok(Ok(Kept { answer: Some(Answer::Accepted(reply)), line }))
        }
        Err(error) => {
            if let Some(key) = one.once.key() {
                tx.of(account).forget_once(key, claimed_at).await?;
            }
            Ok(Err(error))
        }
    }
}
