//! Work that arrives together, done together: while some is being written, what comes meanwhile gathers, and goes next.
//!
//! In: items of many callers. Out: each one's own answer, once all that went with it is committed. So a transaction
//! costs the less for each, the more callers there are, and one who comes alone waits for nobody. No caller writes for
//! the others, so one who goes away takes nobody with him. Never here: what is written.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Items that wait for the next transaction.
pub struct Together<I, O> {
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
    together: Arc<Together<I, O>>,
}

impl<I, O> Together<I, O> {
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
}

impl<I, O> Drop for Batch<I, O> {
    fn drop(&mut self) {
        self.together.go_on();
    }
}

#[cfg(test)]
mod tests;
