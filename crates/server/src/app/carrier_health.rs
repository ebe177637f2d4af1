//! How the carriers are, as this node sees them.
//!
//! In: what became of messages. Out: the carriers that a message may go by, the best first. Kept in memory and by each node for
//! itself: what fails may be this node's own connection, a restart may as well find out anew, and a message costs no
//! transaction more. Never here: handing messages over.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use offhook_domain::circuit::{Answer, Circuit, Health, Patience};
use offhook_domain::routing::{self, Candidate};
use offhook_domain::{E164, Timestamp};
use offhook_store::send_jobs::Waiting;
use offhook_store::{StoreError, Tx};

use super::App;
use crate::telemetry::names;

/// How long what is known of drained carriers counts.
const DRAINS_LAST: Duration = Duration::from_secs(5);

/// The health of all carriers.
pub struct CarrierHealth {
    patience: Patience,
    circuits: Mutex<HashMap<String, Circuit>>,
    drained: Mutex<Drained>,
}

#[derive(Default)]
struct Drained {
    names: HashSet<String>,
    read_at: Option<Instant>,
}

impl CarrierHealth {
    #[must_use]
    pub fn new(patience: Patience) -> Self {
        Self { patience, circuits: Mutex::default(), drained: Mutex::default() }
    }

    /// How a carrier is.
    #[must_use]
    pub fn of(&self, carrier: &str, now: Timestamp) -> Health {
        self.circuits().get(carrier).map_or(Health::Well, |circuit| circuit.health(now))
    }

    /// Whether a message may go to a carrier now: of many that could try one that was ill, one may.
    pub fn admits(&self, carrier: &str, now: Timestamp) -> bool {
        self.circuits().get_mut(carrier).is_none_or(|circuit| circuit.admits(now))
    }

    /// Takes in what became of a message.
    pub fn hear(&self, carrier: &str, asked_at: Timestamp, at: Timestamp, is_well: bool) {
        let answer = Answer { asked_at, at, is_well, jitter: rand::random() };
        let mut circuits = self.circuits();
        let circuit = circuits.entry(carrier.to_owned()).or_default();
        let changed = circuit.hear(answer, &self.patience);
        drop(circuits);
        if !changed {
            return;
        }
        metrics::gauge!(names::CARRIER_ILL, "carrier" => carrier.to_owned()).set(f64::from(u8::from(!is_well)));
        match is_well {
            true => tracing::info!(carrier, "the carrier takes messages again"),
            false => {
                tracing::warn!(carrier, "the carrier takes no messages; they go by others where any carries for it")
            }
        }
    }

    fn circuits(&self) -> MutexGuard<'_, HashMap<String, Circuit>> {
        self.circuits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drained(&self) -> MutexGuard<'_, Drained> {
        self.drained.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The carriers by which a message may go, the best first, as far as is known without asking the store.
#[must_use]
pub fn routes(app: &App, message: &Waiting) -> Vec<String> {
    if !has_stand_ins(app) {
        // There is nothing to weigh, and it is asked for every message.
        return app.carriers.named(&message.carrier).map(|home| home.name().to_owned()).into_iter().collect();
    }
    let now = app.now();
    let drained = app.health.drained().names.clone();
    let candidates = app.carriers.placed_all().filter(|placed| {
        let is_home = placed.carrier.name() == message.carrier;
        is_home || message.media_urls.is_empty() || placed.carrier.takes_media(&message.to)
    });
    let candidates: Vec<_> = candidates
        .map(|placed| {
            let name = placed.carrier.name();
            let (is_drained, health) = (drained.contains(name), app.health.of(name, now));
            Candidate { name, terms: &placed.terms, is_drained, health }
        })
        .collect();
    // A short code is of its sender's country.
    let end = if message.to.starts_with('+') { &message.to } else { &message.from };
    let country = E164::parse(end).ok().and_then(|number| number.country());
    routing::routes(&message.carrier, country, &candidates).into_iter().map(str::to_owned).collect()
}

/// The carrier that is asked first, whose limits and places a message takes: its own where there is none to ask.
#[must_use]
pub fn first_route(app: &App, message: &Waiting) -> String {
    routes(app, message).into_iter().next().unwrap_or_else(|| message.carrier.clone())
}

/// Whether any carrier carries for another.
fn has_stand_ins(app: &App) -> bool {
    app.carriers.placed_all().any(|placed| !placed.terms.carries_for.is_empty())
}

/// Reads anew which carriers are drained, where what is known is old and makes a difference. Without an answer of the store
/// it stays as it was.
pub async fn look_for_drains(app: &App) {
    if !has_stand_ins(app) {
        return;
    }
    {
        let mut known = app.health.drained();
        if known.read_at.is_some_and(|at| at.elapsed() < DRAINS_LAST) {
            return;
        }
        // The others needn't ask meanwhile.
        known.read_at = Some(Instant::now());
    }
    let names: Vec<String> = app.carriers.all().map(|carrier| carrier.name().to_owned()).collect();
    let look = async move |tx: &mut Tx| {
        let mut drained = HashSet::new();
        for name in &names {
            if tx.is_drained(name).await? {
                drained.insert(name.clone());
            }
        }
        Ok::<_, StoreError>(drained)
    };
    match app.store.read(look).await {
        Ok(names) => app.health.drained().names = names,
        Err(error) => tracing::warn!(%error, "it is not known which carriers are drained; as before is assumed"),
    }
}
