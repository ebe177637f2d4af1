//! What every door and every worker shares, and the operations that have several doors.

pub mod accepting;
pub mod announce;
pub mod api_keys;
pub mod bootstrap;
pub mod buy_number;
pub mod carrier_health;
pub mod carriers;
pub(crate) mod codes;
pub(crate) mod contact_card_links;
pub mod end_call;
pub mod erase_person;
mod fit_inbound;
pub mod guards;
pub mod host_calls;
pub mod lead_call;
pub mod media;
pub mod networks;
mod offers;
pub mod open_account;
pub mod operator;
pub mod opinions;
pub mod opt_outs;
pub mod place_call;
mod place_messages;
pub mod post_event;
mod readiness;
pub mod receive_message;
pub mod receiving;
pub mod reconcile_purchases;
pub mod record_outcome;
pub mod recordings;
pub mod registration;
pub mod release_number;
pub mod sandbox_calls;
mod sandbox_world;
mod secrets;
pub mod send_message;
pub mod settle_purchase;
pub mod settle_sign_ups;
pub mod shaping;
pub mod sign_up;
pub mod signed_urls;
mod smpp_memory;
mod stored_inventory;
pub(crate) mod together;
pub mod trunks;
pub mod turn_ids;
pub mod verification;
mod wakes;
pub mod webhook_brain;

use std::sync::Arc;

use offhook_domain::{Clock, Prices, Timestamp};
use offhook_store::Store;
use tokio_util::task::TaskTracker;

pub use accepting::Accepting;
pub use carrier_health::CarrierHealth;
pub use carriers::Carriers;
use readiness::Readiness;
pub use receiving::Receiving;
pub use sandbox_world::StoredWorld;
pub use secrets::{Sealer, hash_api_key, hex};
pub use signed_urls::SignedUrls;
pub use smpp_memory::StoredSmppMemory;
pub use stored_inventory::StoredInventory;
pub use wakes::{CallOrder, Ears, Ring, Wakes};

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
    /// Files that go with messages.
    pub media: media::KeptMedia,
    /// How the carriers are.
    pub health: Arc<CarrierHealth>,
    /// Links to what this installation serves without a key.
    pub signed_urls: SignedUrls,
    /// Where calls come in and go out.
    pub trunks: Arc<trunks::KnownTrunks>,
    readiness: Arc<Readiness>,
    /// Calls that handsets of the sandbox make.
    pub handset_calls: sandbox_calls::handsets::HandsetCalls,
    /// Turns of calls that are being answered.
    pub turns: TaskTracker,
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
            media: media::KeptMedia::new(&parts.config),
            health: Arc::new(CarrierHealth::new(parts.config.sending.patience)),
            signed_urls: SignedUrls::new(&parts.sealer, &parts.config),
            parts: Arc::new(parts),
            accepting: accepting::gathering(),
            receiving: receiving::gathering(),
            trunks: Arc::default(),
            readiness: Arc::default(),
            handset_calls: sandbox_calls::handsets::HandsetCalls::default(),
            turns: TaskTracker::new(),
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
            voice_minute: offhook_domain::Micros(prices.webhook_minute_micros),
            hosted_voice_minute: offhook_domain::Micros(prices.hosted_minute_micros),
            call_least: offhook_domain::Micros(prices.call_least_micros),
            recording_period: offhook_domain::Micros(prices.recording_month_micros),
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
