//! The Prometheus recorder. In: what code counts through the `metrics` macros. Out: the text of `GET /metrics`. Never
//! here: the names (`names.rs`).

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::names;

/// From a quick read (0.5 ms) to a webhook's longest time-out.
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0];

/// The recorder's handle, whose `render` is the text of `GET /metrics`. The first call installs the recorder; what was
/// counted before is lost.
pub fn metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(install).clone()
}

fn install() -> PrometheusHandle {
    let builder = PrometheusBuilder::new();
    let recorder = match builder.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS) {
        Ok(builder) => builder.build_recorder(),
        // Only an empty list is refused.
        Err(_) => PrometheusBuilder::new().build_recorder(),
    };
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("another metrics recorder is installed, so GET /metrics stays empty");
    }
    names::describe();
    metrics::gauge!(names::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    handle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_counted_is_rendered() {
        let handle = metrics();
        ::metrics::counter!(names::MESSAGES, "direction" => "outbound", "channel" => "sms").increment(2);
        ::metrics::histogram!(names::STORE_TRANSACTION_SECONDS, "engine" => "sqlite", "kind" => "write").record(0.004);
        let text = metrics().render();
        assert_eq!(text, handle.render(), "one recorder per process");
        assert!(text.contains("offhook_messages_total{direction=\"outbound\",channel=\"sms\"} 2"), "{text}");
        assert!(
            text.contains("offhook_store_transaction_seconds_bucket{engine=\"sqlite\",kind=\"write\",le=\"0.005\"} 1"),
            "{text}"
        );
        assert!(text.contains("# HELP offhook_messages_total Messages accepted"), "{text}");
        assert!(text.contains("offhook_build_info{version="), "{text}");
    }
}
