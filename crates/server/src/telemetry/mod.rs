//! What this process tells of itself: logs, traces, metrics. In: the configuration. Out: a subscriber that is installed
//! once, spans at a collector, figures for `GET /metrics`. Never here: what is worth telling; the code that knows logs it.

mod flood;
pub mod names;
mod prometheus;
mod traces;

use std::io::IsTerminal;
use std::sync::LazyLock;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::FilterExt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry};

use self::flood::Flood;
pub use self::prometheus::metrics;
use crate::config::{LogFormat, Logs, Telemetry as Settings};

/// How often samples are moved into their buckets, until when they take memory; and how often the log tells of the lines
/// it left out.
const UPKEEP: Duration = Duration::from_secs(5);

static FLOOD: LazyLock<Flood> = LazyLock::new(Flood::default);

/// Keeps the way to the collector open; `shut_down` sends what is left.
#[must_use = "spans that were not sent yet are lost unless it is shut down"]
#[derive(Debug, Default)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

/// Why telemetry can't start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Another subscriber is there already.
    #[error("logging was set up twice: {0}")]
    Twice(#[from] TryInitError),
    /// The HTTP client for the collector can't be made.
    #[error("spans can't be sent to telemetry.otlp_endpoint: {0}")]
    Exporter(#[from] Box<dyn std::error::Error + Send + Sync>),
}

/// Sets up logs on standard error, traces when a collector is configured, and the switch for personal data. Call it
/// once, inside the runtime.
///
/// # Errors
/// When it was called before, or the exporter can't be built. A collector that is down is no error, now or later.
pub fn start(logs: &Logs, settings: &Settings) -> Result<Telemetry, TelemetryError> {
    offhook_domain::pii::show_personal_data(logs.show_personal_data);
    let provider = match &settings.otlp_endpoint {
        Some(endpoint) => Some(traces::provider(endpoint, &settings.service_name)?),
        None => None,
    };
    let tracer = provider.as_ref().map(|provider| traces::layer(provider.tracer("offhook")));
    tracing_subscriber::registry()
        .with(log_layer(logs, std::io::stderr, std::io::stderr().is_terminal()))
        .with(tracer)
        .try_init()?;
    Ok(Telemetry { provider })
}

impl Telemetry {
    /// Sends what is left to the collector, and gives up after five seconds when it doesn't answer.
    pub async fn shut_down(self) {
        let Some(provider) = self.provider else {
            return;
        };
        // It waits on a thread of its own, which in turn needs this runtime to send.
        match tokio::task::spawn_blocking(move || provider.shutdown()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans did not reach the collector"),
            Err(error) => tracing::warn!(%error, "telemetry did not shut down"),
        }
    }
}

/// A worker that keeps the memory of metrics flat and the log honest until `stop`.
pub async fn upkeep(stop: CancellationToken) {
    let recorder = metrics();
    while stop.run_until_cancelled(tokio::time::sleep(UPKEEP)).await.is_some() {
        recorder.run_upkeep();
        FLOOD.report();
    }
}

fn log_layer<W>(logs: &Logs, writer: W, ansi: bool) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(ansi);
    let filter = logs.level.clone().and(FLOOD.clone());
    match logs.format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).with_filter(filter).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::config::Config;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged in the given format at level info.
    fn logged(format: &str) -> String {
        let config = Config::load(&|name| (name == "OFFHOOK__LOGS__FORMAT").then(|| format.to_owned())).unwrap();
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = log_layer(&config.logs, move || writer.clone(), false);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let _span = tracing::info_span!("request", request.id = "req_1").entered();
            tracing::info!(to = %offhook_domain::pii::phone("+14155550123"), "sent");
            tracing::debug!("too much");
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[tokio::test]
    async fn upkeep_ends_when_told() {
        let stop = CancellationToken::new();
        stop.cancel();
        upkeep(stop).await;
    }

    #[test]
    fn a_text_line_reads_well_and_shows_no_number() {
        let text = logged("text");
        assert!(text.contains("INFO request{request.id=\"req_1\"}") && text.contains("sent to=+1415***0123"), "{text}");
        assert!(!text.contains("too much"), "{text}");
    }

    #[test]
    fn a_json_line_is_one_flat_object_with_its_span() {
        let line: serde_json::Value = serde_json::from_str(&logged("json")).unwrap();
        assert_eq!(line["message"], "sent");
        assert_eq!(line["to"], "+1415***0123");
        assert_eq!(line["span"]["request.id"], "req_1");
        assert_eq!(line["level"], "INFO");
    }
}
