//! Who answers the caller: the customer's webhook, or a model. In: what the caller said. Out: what to say, as it is thought
//! of. Who no longer wants an answer drops it, and so closes the connection.

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::turn::taking::{Answer, Turn, TurnNumber};

/// Answers one call.
pub trait Brain: Send {
    /// Begins to answer, and returns at once.
    fn ask(&mut self, question: Question) -> Answers;
}

/// What the caller said, and all that was said before.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub turn: TurnNumber,
    pub words: String,
    /// 0 to 1.
    pub confidence: f64,
    /// The call's turns before this one, oldest first, with what of the agent's was heard.
    pub so_far: Vec<Turn>,
}

/// An answer as it comes. It ends with [`Answer::Ended`] or [`Answer::Failed`]; if it just stops, it failed.
#[derive(Debug)]
pub struct Answers {
    comes: mpsc::Receiver<Answer>,
    _stop: DropGuard,
}

/// Where an answer is given. `wanted` is cancelled when nobody listens any more.
#[derive(Debug)]
pub struct Answering {
    pub to: mpsc::Sender<Answer>,
    pub wanted: CancellationToken,
}

/// So much of an answer may wait for the call.
const WAITING: usize = 64;

impl Answers {
    #[must_use]
    pub fn begin() -> (Answering, Self) {
        let (to, comes) = mpsc::channel(WAITING);
        let wanted = CancellationToken::new();
        let stop = wanted.clone().drop_guard();
        (Answering { to, wanted }, Self { comes, _stop: stop })
    }

    /// The next piece. Cancel safe.
    pub async fn next(&mut self) -> Answer {
        self.comes.recv().await.unwrap_or(Answer::Failed)
    }
}
