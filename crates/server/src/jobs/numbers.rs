//! The worker that looks after numbers: purchases left open, numbers to give back, payments and ends that are due.
//!
//! Any node may do any of it: every step asks for the state it starts from. In: a wake, or the time. Never here:
//! what the steps do.

use std::time::Duration;

use offhook_store::StoreError;
use tokio_util::sync::CancellationToken;

use super::{give_back_numbers, renew_numbers};
use crate::app::App;
use crate::app::reconcile_purchases::{adopt_orphans, reconcile_purchases};
use crate::app::settle_sign_ups::settle_sign_ups;

/// How often the worker looks for itself.
const LOOK: Duration = Duration::from_secs(5);
/// How much of one kind is done before the next kind has its turn.
pub(super) const AT_A_TIME: i64 = 50;

/// Runs until asked to stop. A database that is away is waited for.
///
/// # Errors
/// Never: a round that fails is logged and done again.
pub async fn run(app: App, stop: CancellationToken) -> Result<(), String> {
    let mut adopted = false;
    while !stop.is_cancelled() {
        if !adopted {
            adopted = adopt_orphans(&app)
                .await
                .inspect_err(|error| tracing::warn!(%error, "the start was not tidied yet"))
                .is_ok();
        }
        match round(&app).await {
            // There may be more of it.
            Ok(done) if done > 0 => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "looking after numbers failed; it goes on in a moment"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = app.wakes.numbers.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    Ok(())
}

/// Does what is due now; tells how much that was.
///
/// # Errors
/// [`StoreError`].
pub async fn round(app: &App) -> Result<usize, StoreError> {
    // Together: a carrier that hangs holds up no renewal, and what fails for one kind is no other's concern.
    let (settled, reopened, given_back, renewed) = tokio::join!(
        reconcile_purchases(app),
        settle_sign_ups(app),
        give_back_numbers::round(app),
        renew_numbers::round(app)
    );
    Ok(settled? + reopened? + given_back? + renewed?)
}
