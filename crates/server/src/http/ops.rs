//! What operators and their machines ask: health, readiness, metrics, the API's own description.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::telemetry;

/// Health in one word.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    status: &'static str,
}

/// Whether the process runs.
#[utoipa::path(
    get, path = "/healthz", operation_id = "health", tag = "Operation", security(()),
    responses((status = 200, body = Health))
)]
pub async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether the process can do its work: its database answers, and keeps what is written.
#[utoipa::path(
    get, path = "/readyz", operation_id = "readiness", tag = "Operation", security(()),
    responses((status = 200, body = Health), (status = 503, body = Health, description = "The database takes no changes"))
)]
pub async fn ready(State(app): State<App>) -> (StatusCode, Json<Health>) {
    if app.is_ready().await {
        (StatusCode::OK, Json(Health { status: "ready" }))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(Health { status: "database unavailable" }))
    }
}

/// Figures for Prometheus.
pub async fn metrics() -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, telemetry::metrics().render()).into_response()
}

/// The OpenAPI document, serialised once.
pub async fn openapi(State(document): State<Arc<str>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document.to_string()).into_response()
}
