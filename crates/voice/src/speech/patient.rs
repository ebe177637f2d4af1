//! How long speech services may take, and that they are tried twice. In: an attempt. Out: what it came to, in time.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::SpeechError;

/// For connecting, for the first answer, and between its pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    pub connect: Duration,
    pub first: Duration,
    pub gap: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(3), first: Duration::from_secs(5), gap: Duration::from_secs(5) }
    }
}

impl Patience {
    /// Tries something, and once more where it fails or takes too long. A refusal is one twice.
    pub async fn twice<'a, T>(
        self,
        name: &str,
        attempt: impl Fn() -> BoxFuture<'a, Result<T, SpeechError>> + Send + Sync,
    ) -> Result<T, SpeechError> {
        match self.once(name, attempt()).await {
            Err(SpeechError::Unreachable(..) | SpeechError::TooSlow(_) | SpeechError::Garbled(_)) => {
                self.once(name, attempt()).await
            }
            done => done,
        }
    }

    async fn once<T>(self, name: &str, attempt: BoxFuture<'_, Result<T, SpeechError>>) -> Result<T, SpeechError> {
        let most = self.connect + self.first;
        tokio::time::timeout(most, attempt).await.unwrap_or_else(|_| Err(SpeechError::TooSlow(name.to_owned())))
    }
}
