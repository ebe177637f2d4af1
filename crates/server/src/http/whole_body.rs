//! A request's body, read whole before anyone looks at it, within what the memory has room for.
//!
//! In: a body as it comes. Out: its bytes, or the refusal. Never here: what they mean.
//!
//! Thousands of clients may each send a megabyte as slowly as they like. Small bodies are read as they come; a large one
//! needs one of a few places, which it keeps until it is answered.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;

/// A body is large from here on.
const LARGE: usize = 64 * 1024;
/// Large bodies in memory at a time; parsed they take several times their length.
const PLACES: usize = 32;

/// The places of large bodies. Clones share them.
#[derive(Clone)]
pub struct LargeBodies(Arc<Semaphore>);

impl Default for LargeBodies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(PLACES)))
    }
}

/// A body, and its place where it is large.
pub struct Whole {
    pub bytes: Bytes,
    pub place: Option<OwnedSemaphorePermit>,
}

impl LargeBodies {
    /// Reads a body up to `limit` bytes.
    ///
    /// # Errors
    /// 413 beyond it, 400 when the client went away.
    pub async fn read(&self, mut body: Body, limit: usize) -> Result<Whole, ApiError> {
        // What is announced too large need not be waited for.
        if body.size_hint().lower() > limit as u64 {
            return Err(too_large(limit));
        }
        let (mut read, mut place) = (BytesMut::new(), None);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| ApiError::refused("the body could not be read"))?;
            let Ok(chunk) = frame.into_data() else { continue };
            if read.len() + chunk.len() > limit {
                return Err(too_large(limit));
            }
            if place.is_none() && read.len() + chunk.len() > LARGE {
                // Nothing closes the semaphore, so there is always a place in the end.
                place = self.0.clone().acquire_owned().await.ok();
            }
            if read.is_empty() && body.is_end_stream() {
                return Ok(Whole { bytes: chunk, place });
            }
            read.extend_from_slice(&chunk);
        }
        Ok(Whole { bytes: read.freeze(), place })
    }
}

fn too_large(limit: usize) -> ApiError {
    let message = format!("the body must have at most {limit} bytes");
    ApiError::plain(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::stream;

    use super::*;

    fn body(parts: usize, length: usize) -> Body {
        let part = Bytes::from(vec![b'x'; length]);
        Body::from_stream(stream::iter(vec![Ok::<_, std::convert::Infallible>(part); parts]))
    }

    #[tokio::test]
    async fn a_body_is_read_whole_or_refused() {
        let places = LargeBodies::default();
        let whole = places.read(body(10, 100), 1000).await.unwrap();
        assert_eq!((whole.bytes.len(), whole.place.is_none()), (1000, true));
        for refused in [body(10, 101), Body::from(vec![0; 1001])] {
            let refused = places.read(refused, 1000).await.err().unwrap();
            assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
        }
    }

    #[tokio::test]
    async fn few_large_bodies_are_in_memory_at_a_time() {
        let places = LargeBodies::default();
        let mut held = Vec::new();
        for _ in 0..PLACES {
            held.push(places.read(body(2, LARGE), usize::MAX).await.unwrap());
        }
        assert!(places.read(body(1, LARGE), usize::MAX).await.unwrap().place.is_none(), "it is not large");
        let one_more = places.read(body(2, LARGE), usize::MAX);
        tokio::pin!(one_more);
        assert!(tokio::time::timeout(Duration::from_millis(50), one_more.as_mut()).await.is_err());
        held.pop();
        assert_eq!(one_more.await.unwrap().bytes.len(), 2 * LARGE);
    }
}
