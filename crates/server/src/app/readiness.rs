//! Whether this node can do its work: its database takes a change and keeps it.
//!
//! In: whoever asks, however often. Out: an answer at most a moment old. A database that still answers but can't write,
//! as one on a full disk, would refuse everything that matters. Never here: HTTP.

use std::time::{Duration, Instant};

use offhook_store::{StoreError, Tx};
use tokio::sync::Mutex;

use super::App;

/// How long an answer holds for those who ask after it. Nobody needs a key to ask, and each answer costs a commit.
const HOLDS: Duration = Duration::from_millis(500);
/// How long the database gets.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was found last.
#[derive(Debug, Default)]
pub struct Readiness {
    last: Mutex<Option<(Instant, bool)>>,
}

impl Readiness {
    /// Those who ask while it is being found out wait for the same answer.
    pub(super) async fn ask(&self, app: &App) -> bool {
        let mut last = self.last.lock().await;
        if let Some((at, ready)) = *last
            && at.elapsed() < HOLDS
        {
            return ready;
        }
        let ready = match tokio::time::timeout(PATIENCE, probe(app)).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "not ready: the database takes no change");
                false
            }
            Err(_) => {
                tracing::warn!("not ready: the database does not answer within {PATIENCE:?}");
                false
            }
        };
        *last = Some((Instant::now(), ready));
        ready
    }
}

/// Writes, and leaves nothing behind. Under this node's name, so that nodes don't wait for each other.
async fn probe(app: &App) -> Result<(), StoreError> {
    let name = format!("probe:{}", app.node);
    app.store.write(async move |tx: &mut Tx| tx.set_and_unset(&name).await).await
}
