//! The REST door. [`router`] is the table of contents: every route and its handler.

mod account;
mod agents;
mod audit_log;
pub mod auth;
mod calls;
pub mod client_address;
mod contacts;
mod conversations;
mod document;
pub(crate) mod error;
pub(crate) mod extract;
mod feedback;
mod fields;
mod hooks;
mod key_cache;
mod keys;
mod limits;
mod location;
mod media;
pub(crate) mod messages;
pub(crate) mod numbers;
pub(crate) mod once;
mod ops;
mod opt_outs;
mod page;
mod privacy;
pub(crate) mod rate_limits;
mod registration;
mod request_id;
mod sandbox;
mod scopes;
mod sign_up;
mod sip_trunks;
mod sub_accounts;
mod usage;
mod values;
mod verify;
mod webhooks;
mod whole_body;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::docs_site;
use error::ApiError;
use whole_body::LargeBodies;

/// All routes behind their layers, and the document that describes them.
pub fn router(app: App) -> (Router, utoipa::openapi::OpenApi) {
    let (router, document) = routes(&app).split_for_parts();
    let document = document::finish(document);
    let text: Arc<str> = document.to_json().unwrap_or_default().into();
    let router = router
        .route("/metrics", get(ops::metrics))
        .route("/hooks/{kind}/{carrier}", post(hooks::handle))
        .route("/hooks/{kind}/{carrier}/{what}", post(hooks::handle))
        .with_state(app.clone())
        .merge(Router::new().route("/openapi.json", get(ops::openapi)).with_state(text))
        .merge(docs_site::router())
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn_with_state(limits::Limits { app, large_bodies: LargeBodies::default() }, limits::apply))
        .layer(from_fn(request_id::assign));
    (router, document)
}

/// The document alone, as `offhook openapi` prints it.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    let all = OpenApiRouter::with_openapi(document::head());
    document::finish(
        all.merge(sandbox_routes()).merge(with_key()).merge(open_routes()).merge(sign_up_routes()).into_openapi(),
    )
}

fn routes(app: &App) -> OpenApiRouter<App> {
    let with_key = with_key()
        .layer(from_fn_with_state(app.clone(), audit_log::record))
        .layer(from_fn_with_state(app.clone(), once::remember))
        .layer(from_fn_with_state(app.clone(), rate_limits::limit))
        .layer(from_fn_with_state(app.clone(), auth::require_key));
    let all = OpenApiRouter::with_openapi(document::head()).merge(open_routes()).merge(with_key);
    let all = if app.config.sign_up.enabled { all.merge(sign_up_routes()) } else { all };
    if app.config.mode.sandbox { all.merge(sandbox_routes()) } else { all }
}

/// What needs no key.
fn open_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(ops::health))
        .routes(routes!(ops::ready))
        .routes(routes!(numbers::contact_card::file::handle))
        .routes(routes!(media::handle))
        .routes(routes!(calls::recording::handle))
}

/// The phones of the sandbox network.
fn sandbox_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(sandbox::text::handle))
        .routes(routes!(sandbox::inbox::handle))
        .routes(routes!(sandbox::calls::create::handle))
        .routes(routes!(sandbox::calls::get::handle))
        .routes(routes!(sandbox::calls::act::say))
        .routes(routes!(sandbox::calls::act::press))
        .routes(routes!(sandbox::calls::act::hang_up))
        .routes(routes!(sandbox::calls::events::handle))
}

/// Accounts that people open themselves.
fn sign_up_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(sign_up::request::handle)).routes(routes!(sign_up::verify::handle))
}

/// Codes by text, opinions, and where numbers are.
fn verification_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(verify::send::handle))
        .routes(routes!(verify::check::handle))
        .routes(routes!(feedback::handle))
        .routes(routes!(location::get::handle))
        .routes(routes!(location::refresh::handle))
}

/// What an account asks with its key.
fn with_key() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(tenancy_routes())
        .merge(call_routes())
        .merge(registration_routes())
        .routes(routes!(agents::list::handle, agents::create::handle))
        .routes(routes!(agents::voices::handle))
        .routes(routes!(agents::get::handle, agents::update::handle, agents::delete::handle))
        .routes(routes!(agents::attach_number::handle))
        .routes(routes!(agents::detach_number::handle))
        .routes(routes!(agents::conversations::handle))
        .routes(routes!(agents::calls::handle))
        .routes(routes!(contacts::list::handle, contacts::create::handle))
        .routes(routes!(contacts::capabilities::handle))
        .routes(routes!(contacts::get::handle, contacts::update::handle, contacts::delete::handle))
        .routes(routes!(numbers::list::handle, numbers::buy::handle))
        .routes(routes!(numbers::available::handle))
        .routes(routes!(numbers::lookup::handle))
        .routes(routes!(numbers::get::handle, numbers::update::handle, numbers::release::handle))
        .routes(routes!(numbers::messages::handle))
        .routes(routes!(numbers::calls::handle))
        .routes(routes!(
            numbers::contact_card::get::handle,
            numbers::contact_card::put::handle,
            numbers::contact_card::delete::handle
        ))
        .routes(routes!(numbers::contact_card::share::handle))
        .routes(routes!(messages::send::handle))
        .routes(routes!(messages::react::handle))
        .routes(routes!(conversations::list::handle))
        .routes(routes!(conversations::get::handle, conversations::update::handle))
        .routes(routes!(conversations::messages::handle))
        .routes(routes!(conversations::typing::handle))
        .routes(routes!(conversations::background::set::handle, conversations::background::delete::handle))
        .routes(routes!(usage::summary::handle))
        .routes(routes!(usage::daily::handle))
        .routes(routes!(usage::monthly::handle))
        .routes(routes!(usage::by_number::handle))
        .routes(routes!(usage::by_agent::handle))
        .routes(routes!(webhooks::get::handle, webhooks::set::handle, webhooks::delete::handle))
        .routes(routes!(webhooks::test::handle))
        .routes(routes!(webhooks::deliveries::handle))
        .routes(routes!(webhooks::stats::handle))
        .routes(routes!(webhooks::all_time::handle))
        .routes(routes!(webhooks::replay::handle))
        .routes(routes!(agents::webhook::get::handle, agents::webhook::set::handle, agents::webhook::delete::handle))
        .routes(routes!(agents::webhook::test::handle))
        .routes(routes!(agents::webhook::deliveries::handle))
        .merge(sip_trunk_routes())
        .merge(opt_out_routes())
        .merge(verification_routes())
}

/// Phone calls.
fn call_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(calls::list::handle, calls::create::handle))
        .routes(routes!(calls::get::handle))
        .routes(routes!(calls::end::handle))
        .routes(routes!(calls::transcript::handle))
        .routes(routes!(calls::stream::handle))
        .routes(routes!(calls::trace::handle))
        .routes(routes!(calls::record::enable))
        .routes(routes!(calls::record::disable))
}

/// Where calls come from and go to.
fn sip_trunk_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(sip_trunks::list::handle, sip_trunks::create::handle)).routes(routes!(
        sip_trunks::get::handle,
        sip_trunks::update::handle,
        sip_trunks::delete::handle
    ))
}

/// Who may not be texted.
fn opt_out_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(opt_outs::list::handle, opt_outs::add::handle))
        .routes(routes!(opt_outs::log::handle))
        .routes(routes!(opt_outs::answers::handle, opt_outs::answers::change))
        .routes(routes!(opt_outs::remove::handle))
}

/// The account, its keys, its sub-accounts and its log.
fn tenancy_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(account::get::handle, account::update::handle))
        .routes(routes!(audit_log::list::handle))
        .routes(routes!(keys::list::handle, keys::create::handle))
        .routes(routes!(keys::revoke::handle))
        .routes(routes!(privacy::erase::handle))
        .routes(routes!(privacy::export::handle))
        .routes(routes!(sub_accounts::list::handle, sub_accounts::create::handle))
        .routes(routes!(sub_accounts::update::handle, sub_accounts::close::handle))
}

/// Registration with the US carriers.
fn registration_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(registration::get::handle, registration::submit::handle, registration::update::handle))
        .routes(routes!(registration::status::handle))
}

async fn no_route(uri: Uri) -> ApiError {
    ApiError::not_found("NOT_FOUND", &format!("route {}", uri.path()))
}

async fn no_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take {method}", uri.path());
    ApiError::plain(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
}
