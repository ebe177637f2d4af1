//! The one door through which messages to send are accepted: orders that arrive together share a transaction.
//!
//! In: an order with its request's claim to happen once. Out: the answer to keep and give, after the commit. Never here:
//! what makes an order good ([`send_message`]), or how the answer looks.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use offhook_domain::Timestamp;
use offhook_domain::message::Message;
use offhook_store::{StoreError, Tx};

use super::send_message::{self, Order};
use super::together::{Batch, Gone, Together};
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
pub type Accepting = Together<Arc<Wanted>, Told>;

/// `None`: the request's key is another one's in the same transaction, so it is to be asked again behind that.
type Told = Result<Option<Answer>, ApiError>;

/// An empty gathering.
#[must_use]
pub fn gathering() -> Arc<Accepting> {
    Together::new(MOST, |batch| {
        let all = 0..batch.items.len();
        write(batch, all);
    })
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

/// Writes a part of a batch in one transaction. Where that fails, each for itself: one that can't be kept must not stop
/// the others.
fn write(mut batch: Batch<Arc<Wanted>, Told>, part: Range<usize>) {
    let items = batch.items.clone();
    let Some(first) = items.get(part.start) else { return };
    let app = first.app.clone();
    let (wanted, range) = (items.clone(), part.clone());
    let work = async move |tx: &mut Tx| accept_together(tx, &wanted[range.clone()]).await;
    app.store.write_soon(work, move |result: Result<Vec<Result<Kept, ApiError>>, StoreError>| {
        let mut done = part.end;
        match result {
            Ok(answers) => {
                ring(&items[part.start].app, &answers);
                for (n, answer) in part.zip(answers) {
                    batch.answer(n, answer.map(|kept| kept.answer));
                }
            }
            Err(error) if part.len() > 1 && is_of_one(&error) => done = part.start,
            Err(error) => part.for_each(|n| batch.answer(n, Err(error.clone().into()))),
        }
        if done < items.len() {
            write(batch, done..done + 1);
        }
    });
}

/// Whether one order may be to blame.
fn is_of_one(error: &StoreError) -> bool {
    matches!(error, StoreError::Clash(_) | StoreError::Statement(_) | StoreError::Corrupt(_))
}

/// What to tell, and the line to ring, once it is committed.
struct Kept {
    answer: Option<Answer>,
    line: Option<String>,
}

fn ring(app: &App, answers: &[Result<Kept, ApiError>]) {
    let lines: HashSet<&String> = answers.iter().flatten().filter_map(|kept| kept.line.as_ref()).collect();
    for line in lines {
        app.wakes.ring(Ring::Send(line.clone()));
    }
}

async fn accept_together(tx: &mut Tx, wanted: &[Arc<Wanted>]) -> Result<Vec<Result<Kept, ApiError>>, StoreError> {
    let Some(app) = wanted.first().map(|first| &first.app) else { return Ok(Vec::new()) };
    let claimed_at = app.now();
    let mut answers: Vec<Option<Result<Kept, ApiError>>> = Vec::with_capacity(wanted.len());
    for (n, one) in wanted.iter().enumerate() {
        let told = begin(tx, one, &wanted[..n], claimed_at).await?;
        answers.push(told.map(|told| told.map(|answer| Kept { answer, line: None })));
    }
    let open: Vec<usize> = (0..wanted.len()).filter(|n| answers[*n].is_none()).collect();
    let orders: Vec<&Order> = open.iter().map(|n| &wanted[*n].order).collect();
    let accepted = send_message::accept_all(tx, &orders, app.prices(), &*app.clock).await?;
    for (n, accepted) in open.into_iter().zip(accepted) {
        answers[n] = Some(finish(tx, &wanted[n], accepted.map_err(ApiError::from), claimed_at).await?);
    }
    Ok(answers.into_iter().flatten().collect())
}

/// Claims a request's key; its answer, where there is nothing more to do.
async fn begin(
    tx: &mut Tx,
    one: &Wanted,
    before: &[Arc<Wanted>],
    claimed_at: Timestamp,
) -> Result<Option<Told>, StoreError> {
    let Some(key) = one.once.key() else { return Ok(None) };
    let same = |other: &Arc<Wanted>| other.order.account == one.order.account && other.once.key() == Some(key);
    if before.iter().any(same) {
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
    let shown = accepted.and_then(|message| Ok(((one.show)(&message)?, message.number_id.to_string())));
    match shown {
        Ok((reply, line)) => {
            one.once.finish(tx, account, claimed_at, &reply).await?;
            Ok(Ok(Kept { answer: Some(Answer::Accepted(reply)), line: Some(line) }))
        }
        Err(error) => {
            if let Some(key) = one.once.key() {
                tx.of(account).forget_once(key, claimed_at).await?;
            }
            Ok(Err(error))
        }
    }
}
