//! Work that arrives together, done together: while some is being written, what comes meanwhile gathers, and goes next.
//!
//! In: items of many callers. Out: each one's own answer, once all that went with it is committed. So a transaction
//! costs the less for each, the more callers there are, and one who comes alone waits for nobody. No caller writes for
//! the others, so one who goes away takes nobody with him. Never here: what is written.

use std::future::Future;
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
/// fault, each of them is written by itself: one that can't be kept must not stop the others, and one that waits for
/// somebody (a row that an operator's transaction holds) neither them nor those who come after.
pub fn together<W: Writing>(most: usize, writing: W) -> Arc<Gathering<W::Item, W::Answer>> {
    let writing = Arc::new(writing);
    Gathering::new(most, move |batch| write(writing.clone(), batch))
}

/// Writes a batch.
fn write<W: Writing>(writing: Arc<W>, mut batch: Batch<W::Item, W::Answer>) {
    let items = batch.items.clone();
    let many = items.len() > 1;
    let Some(first) = items.first() else { return };
    let store = writing.store(first).clone();
    let written = items.clone();
    let work = async move |tx: &mut Tx| {
        tx.hurry();
        W::write(tx, &written).await
    };
    store.write_soon(work, move |result: Result<W::Kept, StoreError>| match result {
        Ok(kept) => {
            let answers = writing.committed(&items, kept);
            answers.into_iter().enumerate().for_each(|(n, answer)| batch.answer(n, answer));
        }
        Err(error) if matches!(error, StoreError::Clash(_)) || (many && error.is_of_the_values()) => {
            for (n, caller) in batch.callers() {
                write_alone(writing.clone(), items.clone(), n, caller);
            }
        }
        Err(error) => (0..items.len()).for_each(|n| batch.answer(n, writing.failed(error.clone()))),
    });
}

/// Writes one item of a batch that could not be kept together, with all patience, while the next batches go on.
fn write_alone<W: Writing>(writing: Arc<W>, items: Arc<Vec<W::Item>>, n: usize, caller: oneshot::Sender<W::Answer>) {
    let store = writing.store(&items[n]).clone();
    let written = items.clone();
    let work = async move |tx: &mut Tx| W::write(tx, &written[n..=n]).await;
    store.write_soon(work, move |result: Result<W::Kept, StoreError>| {
        let answer = match result {
            Ok(kept) => writing.committed(&items[n..=n], kept).pop(),
            Err(error) => Some(writing.failed(error)),
        };
        if let Some(answer) = answer {
            tell(caller, answer);
        }
    });
}

/// He may have gone away.
fn tell<T>(caller: oneshot::Sender<T>, answer: T) {
    drop(caller.send(answer));
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
            tell(caller, answer);
        }
    }

    /// Who waits for an answer still, each with the place of his item. Who went away is left out.
    fn callers(&mut self) -> Vec<(usize, oneshot::Sender<O>)> {
        let callers = self.answers.iter_mut().enumerate().filter_map(|(n, caller)| Some((n, caller.take()?)));
        callers.filter(|(_, caller)| !caller.is_closed()).collect()
    }
}

impl<I, O> Drop for Batch<I, O> {
    fn drop(&mut self) {
        self.together.go_on();
    }
}

#[cfg(test)]
mod tests;
