//! Keeps this node's list of SIP trunks as the store has it, whoever changes them.
//!
//! In: the store's count of changes, looked at every moment, and this node's own bell. Out: the list, told to who listens.

use std::time::Duration;

use offhook_store::{StoreError, Tx};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::app::{App, trunks};

/// How soon another node's change is seen.
const LOOK: Duration = Duration::from_secs(2);
/// How soon what changes without being counted is seen: an account that is closed, a carrier that is drained.
const READ_ALL: Duration = Duration::from_secs(60);

/// Runs until `stop`.
///
/// # Errors
/// None: what is known goes on to be used while the store is away.
pub async fn run(app: App, stop: CancellationToken) -> Result<(), StoreError> {
    let mut seen = Seen::default();
    loop {
        if let Err(error) = seen.look(&app).await {
            tracing::warn!(%error, "the SIP trunks could not be read; those known go on to be used");
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = app.wakes.trunks.notified() => {}
            () = sleep(LOOK) => {}
        }
    }
}

#[derive(Default)]
struct Seen {
    changes: Option<i64>,
    read_at: Option<Instant>,
}

impl Seen {
    async fn look(&mut self, app: &App) -> Result<(), StoreError> {
        // Counted first: what changes in between is read once more.
        let changes = app.store.read(async |tx: &mut Tx| tx.sip_trunk_changes().await).await?;
        let is_old = self.read_at.is_none_or(|at| at.elapsed() >= READ_ALL);
        if self.changes != Some(changes) || is_old {
            trunks::refresh(app).await?;
            (self.changes, self.read_at) = (Some(changes), Some(Instant::now()));
        }
        Ok(())
    }
}
