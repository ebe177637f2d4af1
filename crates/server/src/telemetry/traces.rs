//! Spans to an OpenTelemetry collector. In: the collector's address. Out: a provider that batches spans and posts them as
//! protobuf. Never here: anything that waits for the collector on behalf of a request.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;
use tokio_util::context::TokioContext;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;
use url::Url;

/// Half of what a shutdown waits, so that a collector that hangs doesn't cost it all.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// Makes a provider whose spans are posted to `{endpoint}/v1/traces` in batches, from a thread of its own.
pub(super) fn provider(endpoint: &Url, service_name: &str) -> Result<SdkTracerProvider, Box<dyn Error + Send + Sync>> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(CollectorClient::new()?)
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(EXPORT_TIMEOUT)
        .with_endpoint(format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/')))
        .build()?;
    let resource = Resource::builder()
        .with_service_name(service_name.to_owned())
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// Our own spans only: those of the HTTP client would include the exporter's.
pub(super) fn layer<S>(tracer: SdkTracer) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let ours = Targets::new().with_target("offhook", LevelFilter::INFO).with_target("tower_http", LevelFilter::INFO);
    tracing_opentelemetry::layer().with_tracer(tracer).with_filter(ours)
}

/// The exporter's thread is not the runtime's, and reqwest needs one.
#[derive(Debug)]
#[expect(clippy::disallowed_types, reason = "the operator names the collector")]
struct CollectorClient {
    client: reqwest::Client,
    runtime: Handle,
}

impl CollectorClient {
    fn new() -> Result<Self, Box<dyn Error + Send + Sync>> {
        // reqwest is built without a provider of its own. A second installation is refused, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        #[expect(
            clippy::disallowed_methods,
            clippy::disallowed_types,
            reason = "the operator names the collector, which is often on a private network"
        )]
        let client = reqwest::Client::builder().timeout(EXPORT_TIMEOUT).no_proxy().build()?;
        Ok(Self { client, runtime: Handle::try_current()? })
    }
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        TokioContext::new(self.client.send_bytes(request), self.runtime.clone()).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::post;
    use opentelemetry::trace::TracerProvider;
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::telemetry::Telemetry;

    /// Starts telemetry for `address`, records one span, and shuts down.
    async fn record_one_span(address: std::net::SocketAddr) {
        let endpoint = format!("http://{address}").parse().unwrap();
        let provider = provider(&endpoint, "offhook-test").unwrap();
        let subscriber = tracing_subscriber::registry().with(layer(provider.tracer("offhook")));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info_span!(target: "offhook_server", "a_span_of_ours").in_scope(|| {});
            tracing::info_span!(target: "hyper", "another_span").in_scope(|| {});
        });
        Telemetry { provider: Some(provider) }.shut_down().await;
    }

    #[tokio::test]
    async fn our_spans_reach_the_collector_at_the_latest_on_shut_down() {
        let (sender, mut received) = mpsc::unbounded_channel::<Bytes>();
        let take = move |body: Bytes| {
            let kept = sender.send(body);
            async move { if kept.is_ok() { StatusCode::OK } else { StatusCode::GONE } }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/traces", post(take))).await });

        record_one_span(address).await;

        let body = received.recv().await.unwrap();
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains("a_span_of_ours") && text.contains("offhook-test"), "{text}");
        assert!(!text.contains("another_span"), "{text}");
    }

    #[tokio::test]
    async fn a_collector_that_is_down_or_hangs_delays_a_shut_down_by_seconds_at_most() {
        let started = Instant::now();
        record_one_span("127.0.0.1:1".parse().unwrap()).await;
        let hangs = TcpListener::bind("127.0.0.1:0").await.unwrap();
        record_one_span(hangs.local_addr().unwrap()).await;
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    }
}
