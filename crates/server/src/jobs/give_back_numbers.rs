//! Gives numbers that were given up back to their carriers, with as many tries as it takes.

use std::time::Duration;

use offhook_store::carrier_releases::CarrierRelease;
use offhook_store::{StoreError, Tx};
use tokio::time::timeout;

use super::numbers::AT_A_TIME;
use crate::app::App;
use crate::app::release_number::end_waiting_sends;

/// A carrier that has not answered by then is asked again later. Giving back twice is no error.
const PATIENCE: Duration = Duration::from_secs(10);
/// The wait after the first try, which doubles with every other; also the time of a claim.
const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Goes through the numbers to give back; tells how many the carriers took.
///
/// # Errors
/// [`StoreError`].
pub async fn round(app: &App) -> Result<usize, StoreError> {
    end_belated_sends(app).await?;
    let now = app.now();
    let due = app.store.read::<_, StoreError>(async move |tx| tx.carrier_releases_due(now, AT_A_TIME).await).await?;
    let mut done = 0;
    for release in due {
        let (claimed, until) = (release.clone(), now.plus(wait(release.attempts)));
        let ours = async move |tx: &mut Tx| tx.claim_carrier_release(&claimed, until).await;
        if app.store.write::<_, StoreError>(ours).await? && give_back(app, &release).await? {
            done += 1;
        }
    }
    Ok(done)
}

/// Before the carrier has a number back nothing may wait to go out from it.
async fn end_belated_sends(app: &App) -> Result<(), StoreError> {
    let numbers = app.store.read::<_, StoreError>(async |tx: &mut Tx| tx.released_with_sends().await).await?;
    for number in numbers {
        let doors = app.clone();
        let end = async move |tx: &mut Tx| end_waiting_sends(&doors, tx, &number, doors.now()).await;
        app.store.write::<_, StoreError>(end).await?;
    }
    Ok(())
}

async fn give_back(app: &App, release: &CarrierRelease) -> Result<bool, StoreError> {
    let Some(carrier) = app.carriers.named(&release.carrier) else {
        tracing::warn!(number.id = %release.number_id, carrier = release.carrier, "a released number waits for its carrier, which is not configured");
        return Ok(false);
    };
    match timeout(PATIENCE, carrier.release(&release.phone_number)).await {
        Ok(Ok(())) => {
            let number = release.number_id.clone();
            app.store.write::<_, StoreError>(async move |tx: &mut Tx| tx.given_back(&number).await).await?;
            Ok(true)
        }
        Ok(Err(error)) => {
            tracing::warn!(number.id = %release.number_id, %error, "the carrier did not take a number back; it is tried again");
            Ok(false)
        }
        Err(_) => Ok(false),
    }
}

fn wait(attempts: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << attempts.min(10)).min(LONGEST_WAIT)
}
