//! What every door and every worker shares, and the operations that have several doors.

mod secrets;

use std::sync::Arc;

use offhook_domain::{Clock, Timestamp};
use offhook_store::Store;

pub use secrets::{Sealer, hash_api_key, hex};

use crate::http::auth::KeyCache;

/// The running installation. Cheap to clone.
#[derive(Clone)]
pub struct App {
    parts: Arc<Parts>,
}

/// What an [`App`] is made of.
pub struct Parts {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub sealer: Sealer,
    pub keys: KeyCache,
}

impl App {
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}
