//! Keeping what must not be forgotten while the database is away.

use std::future::Future;
use std::time::Duration;

use offhook_store::StoreError;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Tries to keep something that has happened outside (a carrier's answer, a customer's) until it is kept. The
/// alternative would be to forget it and to call the outcome unknown.
pub async fn until_kept<T, F: Future<Output = Result<T, StoreError>>>(what: &str, mut keep: impl FnMut() -> F) -> T {
    let mut wait = FIRST_WAIT;
    loop {
        match keep().await {
            Ok(kept) => return kept,
            Err(error) => {
                tracing::warn!(what, %error, "could not be kept yet");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}
