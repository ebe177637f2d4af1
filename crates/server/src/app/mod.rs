//! What every door and every worker shares, and the operations that have several doors.

pub mod accepting;
pub mod announce;
pub mod api_keys;
pub mod bootstrap;
pub mod buy_number;
mod carriers;
pub(crate) mod codes;
pub mod erase_person;
mod fit_inbound;
pub mod guards;
mod offers;
pub mod open_account;
pub mod opt_outs;
mod place_messages;
pub mod post_event;
mod readiness;
pub mod receive_message;
pub mod receiving;
pub mod reconcile_purchases;
pub mod record_outcome;
pub mod registration;
pub mod release_number;
mod sandbox_world;
mod secrets;
pub mod send_message;
pub mod settle_purchase;
pub mod settle_sign_ups;
pub mod shaping;
pub mod sign_up;
mod together;
pub mod verification;
mod wakes;

use std::sync::Arc;

use offhook_domain::{Clock, Prices, Timestamp};
use offhook_store::Store;

pub use accepting::Accepting;
pub use carriers::Carriers;
use readiness::Readiness;
pub use receiving::Receiving;
pub use sandbox_world::StoredWorld;
pub use secrets::{Sealer, hash_api_key, hex};
pub use wakes::{Ears, Ring, Wakes};

use crate::config::Config;
use crate::guarded_http::GuardedClient;
use crate::http::auth::KeyCache;
use crate::http::rate_limits::Meters;

/// The running installation. Cheap to clone.
#[derive(Clone)]
pub struct App {
    parts: Arc<Parts>,
    /// Where messages to send are accepted.
    pub accepting: Arc<Accepting>,
    /// Where what carriers bring is received.
    pub receiving: Arc<Receiving>,
    readiness: Arc<Readiness>,
    /// How often keys have asked.
    pub(crate) meters: Meters,
}

/// What an [`App`] is made of.
pub struct Parts {
    pub config: Config,
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub sealer: Sealer,
    pub keys: KeyCache,
    pub guard: GuardedClient,
    pub carriers: Carriers,
    pub wakes: Wakes,
    /// This process's name among the nodes; new with every start.
    pub node: String,
    pub started_at: Timestamp,
}

impl App {
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            parts: Arc::new(parts),
            accepting: accepting::gathering(),
            receiving: receiving::gathering(),
            readiness: Arc::default(),
            meters: Meters::default(),
        }
    }

    /// Whether this node can do its work now.
    pub async fn is_ready(&self) -> bool {
        self.readiness.ask(self).await
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The prices in force.
    #[must_use]
    pub fn prices(&self) -> Prices {
        let prices = self.config.prices();
        Prices {
            number_period: offhook_domain::Micros(prices.number_month_micros),
            sms_segment: offhook_domain::Micros(prices.sms_segment_micros),
            sign_up_credit: offhook_domain::Micros(prices.sign_up_credit_micros),
        }
    }
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}
