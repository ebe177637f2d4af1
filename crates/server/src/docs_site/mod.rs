//! The guides, served by the server that they describe. In: the Markdown of `docs/guides`, embedded. Out: the same pages
//! as HTML and as Markdown, and `/llms.txt` and `/llms-full.txt` made from them. Never here: the guides' text, and any
//! state of the server: the pages are public.

mod llms;
mod page;
mod render;
mod site;

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use self::site::{Document, Site};

/// Rendered once: the pages change only with the binary.
static SITE: LazyLock<Site> = LazyLock::new(Site::embedded);

/// `/docs`, `/docs/{page}`, `/docs/{page}.md`, `/llms.txt` and `/llms-full.txt`.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/docs", get(async |headers: HeaderMap| answer(SITE.html("index"), &headers)))
        .route("/docs/", get(async || Redirect::permanent("/docs")))
        .route("/docs/index", get(async || Redirect::permanent("/docs")))
        // "The same path with .md" holds for the first page too; its links are relative to /docs/.
        .route("/docs.md", get(async || Redirect::permanent("/docs/index.md")))
        .route("/docs/{page}", get(page))
        .route("/llms.txt", get(async |headers: HeaderMap| answer(Some(&SITE.llms), &headers)))
        .route("/llms-full.txt", get(async |headers: HeaderMap| answer(Some(&SITE.llms_full), &headers)))
}

async fn page(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match name.strip_suffix(".md") {
        Some(name) => answer(SITE.markdown(name), &headers),
        None => answer(SITE.html(&name), &headers),
    }
}

fn answer(document: Option<&'static Document>, request: &HeaderMap) -> Response {
    let Some(document) = document else {
        let mut response = respond(&SITE.not_found);
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let seen = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    if seen.flat_map(|tags| tags.split(',')).any(|tag| tag.trim().trim_start_matches("W/") == document.etag) {
        let mut response = respond(document);
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = axum::body::Body::empty();
        return response;
    }
    respond(document)
}

fn respond(document: &'static Document) -> Response {
    let mut response = document.text.as_str().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(document.content_type));
    // Asked again each time, answered 304 mostly: an upgrade shows at once.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, no-cache"));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    if let Ok(etag) = HeaderValue::from_str(&document.etag) {
        headers.insert(ETAG, etag);
    }
    response
}

#[cfg(test)]
mod tests;
