//! Keeping what must not be forgotten while the database is away.

use std::future::Future;
use std::time::Duration;

use offhook_store::StoreError;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How often something is tried that meets others, before it is taken for impossible.
const CLASHES: u32 = 10;

/// Tries to keep something that has happened outside (a carrier's answer, a customer's) until it is kept. The
/// alternative would be to forget it and to call the outcome unknown.
pub async fn until_kept<T, F: Future<Output = Result<T, StoreError>>>(what: &str, mut keep: impl FnMut() -> F) -> T {
    loop {
        if let Ok(kept) = kept_or_impossible(what, &mut keep).await {
            return kept;
        }
        tokio::time::sleep(LONGEST_WAIT).await;
    }
}

/// As [`until_kept`], for as long as the database is away.
///
/// # Errors
/// What the database will never take, such as a value it can't hold: trying again would stop everything behind it.
pub async fn kept_or_impossible<T, F: Future<Output = Result<T, StoreError>>>(
    what: &str,
    mut keep: impl FnMut() -> F,
) -> Result<T, StoreError> {
    let (mut wait, mut clashes) = (FIRST_WAIT, 0);
    loop {
        let error = match keep().await {
            Ok(kept) => return Ok(kept),
            Err(error) => error,
        };
        clashes += u32::from(matches!(error, StoreError::Clash(_)));
        let impossible = matches!(error, StoreError::Corrupt(_) | StoreError::Statement(_)) || clashes > CLASHES;
        tracing::warn!(what, %error, impossible, "could not be kept");
        if impossible {
            return Err(error);
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}
