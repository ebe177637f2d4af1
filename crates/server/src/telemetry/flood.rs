//! Keeps one thing that goes wrong a thousand times a second from filling the log, and with it the disk.
//!
//! In: warnings and errors on their way to the log. Out: of each place in the code so many a second, and now and then
//! how many of its lines were left out. Never here: what is less than a warning; who asks for it wants all of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata};
use tracing_subscriber::layer::{Context, Filter};

/// Lines of one place in the code in one second.
const LINES: u32 = 20;
const SECOND: Duration = Duration::from_secs(1);

/// Clones share what they count.
#[derive(Clone, Default)]
pub struct Flood {
    places: Arc<Mutex<HashMap<Identifier, Place>>>,
}

/// A place in the code that warns.
struct Place {
    since: Instant,
    shown: u32,
    left_out: u64,
    metadata: &'static Metadata<'static>,
}

impl Flood {
    /// Logs how many lines were left out since it was last asked.
    pub fn report(&self) {
        for (metadata, lines) in self.take_left_out() {
            let (module, line) = (metadata.module_path().unwrap_or_default(), metadata.line().unwrap_or_default());
            tracing::warn!(module, line, lines, "more of the same was left out of the log");
        }
    }

    fn take_left_out(&self) -> Vec<(&'static Metadata<'static>, u64)> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let flooded = places.values_mut().filter(|place| place.left_out > 0);
        flooded.map(|place| (place.metadata, std::mem::take(&mut place.left_out))).collect()
    }

    fn shows(&self, metadata: &'static Metadata<'static>) -> bool {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Place { since: Instant::now(), shown: 0, left_out: 0, metadata };
        let place = places.entry(metadata.callsite()).or_insert_with(fresh);
        if place.since.elapsed() >= SECOND {
            (place.since, place.shown) = (Instant::now(), 0);
        }
        let shows = place.shown < LINES;
        place.shown += u32::from(shows);
        place.left_out += u64::from(!shows);
        shows
    }
}

impl<S> Filter<S> for Flood {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        // In tracing the graver level is the smaller one.
        *event.metadata().level() > Level::WARN || self.shows(event.metadata())
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Counts what it is given.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);

    impl<S: tracing::Subscriber> Layer<S> for Log {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut text = event.metadata().level().to_string();
            event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
                text.push_str(&format!(" {field}={value:?}"));
            });
            self.0.lock().unwrap().push(text);
        }
    }

    #[test]
    fn a_flood_of_one_warning_is_cut_and_told_of() {
        let (flood, log) = (Flood::default(), Log::default());
        let layer = log.clone().with_filter(flood.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            for n in 0..100 {
                tracing::warn!(n, "the same again");
                tracing::info!("as asked for");
            }
            tracing::error!("something else");
            flood.report();
            flood.report();
        });
        let lines = log.0.lock().unwrap().clone();
        let count = |begin: &str| lines.iter().filter(|line| line.contains(begin)).count();
        assert_eq!((count("the same again"), count("as asked for"), count("something else")), (20, 100, 1));
        let told: Vec<_> = lines.iter().filter(|line| line.contains("left out")).collect();
        assert!(told.len() == 1 && told[0].contains("lines=80"), "{told:?}");
    }
}
