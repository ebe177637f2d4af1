//! Deletes the objects of files that are gone: erased, past their time, or left by a fetch that was cut off.
//!
//! The rows are in the transaction that forgot the file, so that a crash leaves no object for ever. Each is claimed, its object
//! deleted, and then the row. Deleting twice is no error.

use std::time::Duration;

use offhook_store::{StoreError, Tx};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::app::media::KEEPING;

/// How often the worker looks.
const LOOK: Duration = Duration::from_secs(1);
/// Objects in one go.
const AT_A_TIME: i64 = 100;
/// An object that can't be deleted is tried again then; also the time of a claim.
const REST: Duration = Duration::from_secs(120);

/// Runs until asked to stop.
///
/// # Errors
/// Never: what fails is logged and done again.
pub async fn run(app: App, stop: CancellationToken) -> Result<(), String> {
    while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
        if let Err(error) = round(&app, &stop).await {
            tracing::warn!(%error, "files could not be deleted; they are in a moment");
        }
    }
    Ok(())
}

async fn round(app: &App, stop: &CancellationToken) -> Result<(), StoreError> {
    let now = app.now();
    let find = async move |tx: &mut Tx| tx.media_removals_due(now, AT_A_TIME).await;
    let due = app.store.read::<_, StoreError>(find).await?;
    for (object, due_at) in due {
        if stop.is_cancelled() {
            return Ok(());
        }
        let (name, until) = (object.clone(), app.now().plus(REST));
        let ours = async move |tx: &mut Tx| tx.claim_media_removal(&name, due_at, until).await;
        if !app.store.write::<_, StoreError>(ours).await? {
            continue;
        }
        match timeout(KEEPING, app.media.delete(&object)).await {
            Ok(Ok(())) => {
                app.store.write::<_, StoreError>(async move |tx: &mut Tx| tx.media_is_removed(&object).await).await?;
            }
            Ok(Err(error)) => tracing::warn!(%error, "a file can't be deleted; it is tried again"),
            Err(_) => tracing::warn!("deleting a file took too long; it is tried again"),
        }
    }
    Ok(())
}
