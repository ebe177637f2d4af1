//! Gives numbers that were given up back to their carriers, with as many tries as it takes.

use std::time::Duration;

use futures_util::future::ready;
use futures_util::{StreamExt, stream};
use offhook_store::carrier_releases::CarrierRelease;
use offhook_store::{StoreError, Tx};
use tokio::time::{Instant, timeout};

use super::numbers::AT_A_TIME;
use crate::app::App;
use crate::app::reconcile_purchases::AT_ONCE;
use crate::app::release_number::end_waiting_sends;

/// A carrier that has not answered by then is asked again later. Giving back twice is no error.
const PATIENCE: Duration = Duration::from_secs(10);
/// The wait after the first try, which doubles with every other; also the time of a claim.
const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Goes through the numbers to give back; tells how many the carriers took.
///
/// # Errors
/// [`StoreError`], where it could not be told what is due.
pub async fn round(app: &App) -> Result<usize, StoreError> {
    end_belated_sends(app).await?;
    let now = app.now();
    let due = app.store.read::<_, StoreError>(async move |tx| tx.carrier_releases_due(now, AT_A_TIME).await).await?;
    let each = due.into_iter().map(async |release| {
        give_back(app, &release).await.unwrap_or_else(|error| {
            tracing::warn!(number.id = %release.number_id, %error, "a number could not be given back; it is tried again");
            false
        })
    });
    Ok(stream::iter(each).buffer_unordered(AT_ONCE).filter(|done| ready(*done)).count().await)
}

/// Before the carrier has a number back nothing may wait to go out from it.
async fn end_belated_sends(app: &App) -> Result<(), StoreError> {
    let numbers = app.store.read::<_, StoreError>(async |tx: &mut Tx| tx.released_with_sends().await).await?;
    for number in numbers {
        let (doors, id) = (app.clone(), number.clone());
        let end = async move |tx: &mut Tx| end_waiting_sends(&doors, tx, &id, doors.now()).await;
        if let Err(error) = app.store.write::<_, StoreError>(end).await {
            tracing::warn!(number.id = %number, %error, "what waits for a released number could not be ended yet");
        }
    }
    Ok(())
}

/// Whether the carrier took it.
async fn give_back(app: &App, release: &CarrierRelease) -> Result<bool, StoreError> {
    let Some(carrier) = app.carriers.named(&release.carrier) else {
        tracing::warn!(number.id = %release.number_id, carrier = release.carrier, "a released number waits for its carrier, which is not configured");
        return Ok(false);
    };
    let wait = wait(release.attempts);
    // Our claim ends by this clock, however long the store takes to keep it.
    let ends = Instant::now() + wait;
    let (claimed, until) = (release.clone(), app.now().plus(wait));
    let ours = async move |tx: &mut Tx| tx.claim_carrier_release(&claimed, until).await;
    if !app.store.write::<_, StoreError>(ours).await? || Instant::now() + PATIENCE >= ends {
        return Ok(false);
    }
    match timeout(PATIENCE, carrier.release(&release.phone_number, release.reference.as_ref())).await {
        Ok(Ok(())) => {
            let number = release.number_id.clone();
            app.store.write::<_, StoreError>(async move |tx: &mut Tx| tx.given_back(&number).await).await?;
            Ok(true)
        }
        Ok(Err(error)) => {
            tracing::warn!(number.id = %release.number_id, %error, "the carrier did not take a number back; it is tried again");
            Ok(false)
        }
        Err(_) => {
            tracing::warn!(number.id = %release.number_id, "the carrier did not answer to a number given back; it is tried again");
            Ok(false)
        }
    }
}

fn wait(attempts: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << attempts.min(10)).min(LONGEST_WAIT)
}
