//! Work that arrives together, done together: while some is being written, what comes meanwhile gathers, and goes next.
//!
//! In: items of many callers. Out: each one's own answer, once all that went with it is committed. So a transaction
//! costs the less for each, the more callers there are, and one who comes alone waits for nobody. No caller writes for
//! the others, so one who goes away takes nobody with him. Never here: what is written.

use std::future::Future;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use offhook_store::{Store, StoreError, Tx};
use tokio::sync::oneshot;

/// How items are written that go in one transaction.
pub trait Writing: Send + Sync + 'static {
    type Item: Send + Sync + 'static;
    /// What the transaction tells.
    type Kept: Send + 'static;
    /// What the caller of an item is told.
    type Answer: Send + 'static;

    fn store<'a>(&'a self, first: &'a Self::Item) -> &'a Store;

    /// Writes items. It may be run again from the start.
    fn write(tx: &mut Tx, items: &[Self::Item]) -> impl Future<Output = Result<Self::Kept, StoreError>>;

    /// Does what follows the commit, without waiting; the answers, in the order of the items.
    fn committed(&self, items: &[Self::Item], kept: Self::Kept) -> Vec<Self::Answer>;

    /// The answer where the transaction failed.
    fn failed(&self, error: StoreError) -> Self::Answer;
}

/// A gathering whose items are written so, at most so many in a transaction. Where one fails for what may be one item's
/// fault, each of them is written by itself: one that can't be kept must not stop the others.
pub fn together<W: Writing>(most: usize, writing: W) -> Arc<Gathering<W::Item, W::Answer>> {
    let writing = Arc::new(writing);
    Gathering::new(most, move |batch| {
        let all = 0..batch.items.len();
        write(writing.clone(), batch, all);
    })
}

/// Writes a part of a batch, and what is behind it, one by one.
fn write<W: Writing>(writing: Arc<W>, mut batch: Batch<W::Item, W::Answer>, part: Range<usize>) {
    let items = batch.items.clone();
    let Some(first) = items.get(part.start) else { return };
    let store = writing.store(first).clone();
    let (written, range) = (items.clone(), part.clone());
    let work = async move |tx: &mut Tx| W::write(tx, &written[range.clone()]).await;
    store.write_soon(work, move |result: Result<W::Kept, StoreError>| {
        let mut done = part.end;
        match result {
            Ok(kept) => {
                let answers = writing.committed(&items[part.clone()], kept);
                part.zip(answers).for_each(|(n, answer)| batch.answer(n, answer));
            }
            Err(error) if part.len() > 1 && may_be_of_one(&error) => done = part.start,
            Err(error) => part.for_each(|n| batch.answer(n, writing.failed(error.clone()))),
        }
        while done < items.len() && batch.is_given_up(done) {
            done += 1;
        }
        if done < items.len() {
            write(writing, batch, done..done + 1);
        }
    });
}

fn may_be_of_one(error: &StoreError) -> bool {
    error.is_of_the_values() || matches!(error, StoreError::Clash(_))
}

/// Items that wait for the next transaction.
pub struct Gathering<I, O> {
    state: Mutex<State<I, O>>,
    most: usize,
    write: Box<dyn Fn(Batch<I, O>) + Send + Sync>,
}

struct State<I, O> {
    waiting: Vec<(I, oneshot::Sender<O>)>,
    /// A batch is being written.
    busy: bool,
}

/// The answer will never come: what was to give it is gone, and nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// Items that are written together. When it is dropped, answered or not, the next ones go.
pub struct Batch<I, O> {
    pub items: Arc<Vec<I>>,
    answers: Vec<Option<oneshot::Sender<O>>>,
    together: Arc<Gathering<I, O>>,
}

impl<I, O> Gathering<I, O> {
    /// At most so many items go at a time. `write` only begins: it must not wait.
    #[must_use]
    pub fn new(most: usize, write: impl Fn(Batch<I, O>) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { waiting: Vec::new(), busy: false }), most, write: Box::new(write) })
    }

    /// Has an item written with those that wait too. One whose caller goes away before its turn is not written.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn join(self: &Arc<Self>, item: I) -> Result<O, Gone> {
        let (answer, answered) = oneshot::channel();
        let first = {
            let mut state = self.state();
            state.waiting.push((item, answer));
            !std::mem::replace(&mut state.busy, true)
        };
        if first {
            self.go_on();
        }
        answered.await.map_err(|_| Gone)
    }

    /// Begins with the next batch, where there is one.
    fn go_on(self: &Arc<Self>) {
        if let Some((items, answers)) = self.state().next(self.most) {
            let answers = answers.into_iter().map(Some).collect();
            (self.write)(Batch { items: Arc::new(items), answers, together: self.clone() });
        }
    }

    fn state(&self) -> MutexGuard<'_, State<I, O>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I, O> State<I, O> {
    fn next(&mut self, most: usize) -> Option<(Vec<I>, Vec<oneshot::Sender<O>>)> {
        self.waiting.retain(|(_, answer)| !answer.is_closed());
        self.busy = !self.waiting.is_empty();
        let count = self.waiting.len().min(most);
        self.busy.then(|| self.waiting.drain(..count).unzip())
    }
}

impl<I, O> Batch<I, O> {
    /// Tells the caller of the n-th item his answer.
    pub fn answer(&mut self, n: usize, answer: O) {
        if let Some(caller) = self.answers.get_mut(n).and_then(Option::take) {
            // He may have gone away.
            drop(caller.send(answer));
        }
    }

    /// Whether the caller of the n-th item went away before his answer.
    fn is_given_up(&self, n: usize) -> bool {
        self.answers.get(n).and_then(Option::as_ref).is_some_and(oneshot::Sender::is_closed)
    }
}

impl<I, O> Drop for Batch<I, O> {
    fn drop(&mut self) {
        self.together.go_on();
    }
}

#[cfg(test)]
mod tests;
