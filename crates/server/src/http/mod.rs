//! The REST door. [`router`] is the table of contents: every route and its handler.

mod agents;
pub mod auth;
mod error;
mod extract;
mod fields;
mod messages;
mod once;
mod page;
mod request_id;
mod values;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use error::ApiError;

/// All routes behind their layers, and the document that describes them.
pub fn router(app: App) -> (Router, utoipa::openapi::OpenApi) {
    let with_key = OpenApiRouter::new()
        .routes(routes!(agents::list::handle, agents::create::handle))
        .routes(routes!(agents::get::handle))
        .routes(routes!(messages::send::handle))
        .layer(from_fn_with_state(app.clone(), once::remember))
        .layer(from_fn_with_state(app.clone(), auth::require_key));
    let (router, document) = OpenApiRouter::with_openapi(Document::openapi()).merge(with_key).split_for_parts();
    let router = router
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn(request_id::assign))
        .with_state(app);
    (router, document)
}

async fn no_route(uri: Uri) -> ApiError {
    ApiError::not_found("NOT_FOUND", &format!("route {}", uri.path()))
}

async fn no_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take {method}", uri.path());
    ApiError::plain(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Offhook", description = "A phone platform for AI agents, wire-compatible with AgentPhone."),
    modifiers(&BearerKey),
    security(("apiKey" = []))
)]
struct Document;

struct BearerKey;

impl utoipa::Modify for BearerKey {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("Your API key, sk_…"));
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("apiKey", SecurityScheme::Http(scheme.build()));
    }
}
