//! Waits for what a test is about, with a deadline.

use std::time::{Duration, Instant};

use crate::client::Client;

const WITHIN: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// Waits until a path answers with this status.
pub async fn answers(client: &Client, path: &str, status: u16) {
    let deadline = Instant::now() + WITHIN;
    loop {
        let answer = client.get(path).await;
        if answer.as_ref().is_ok_and(|answer| answer.status == status) {
            return;
        }
        assert!(Instant::now() < deadline, "{path} does not answer {status}: {answer:?}");
        tokio::time::sleep(LOOK).await;
    }
}

pub async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + WITHIN;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {WITHIN:?}: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Looks again and again until it is so.
pub async fn until(what: &str, look: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + WITHIN;
    while !look().await {
        assert!(Instant::now() < deadline, "not within {WITHIN:?}: {what}");
        tokio::time::sleep(LOOK).await;
    }
}
