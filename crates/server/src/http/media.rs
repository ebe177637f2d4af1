//! `GET /media/{id}`: a file that goes with a message, for whoever has a link to it.
//!
//! In: a signed link. Out: the file. One that is still being fetched is waited for, a little while; anything that is not
//! exactly right is 404. Never here: who may have a link.

use std::ops::Range;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{OriginalUri, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use offhook_domain::{Id, MediaId};
use offhook_store::media::{MediaState, StoredMedia};
use offhook_store::{StoreError, Tx};
use tokio::time::Instant;

use super::error::{ApiError, ErrorEnvelope};
use crate::app::App;
use crate::app::media::Piece;
use crate::app::signed_urls::{Purpose, Signed};

/// A file that is being fetched is waited for so long; well below the time-out of requests.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(250);
/// What is not waited for any more: when to ask again.
const COME_BACK_SECONDS: &str = "10";

/// A file that came with a message or goes out with one. The links in `mediaUrls`, in events and for carriers lead here; they are
/// signed, hold for a while, and need no key.
#[utoipa::path(
    get,
    path = "/media/{id}",
    operation_id = "getMedia",
    tag = "Messages",
    security(()),
    params(
        ("id" = String, Path, description = "The file's id"),
        ("expires" = Option<String>, Query, description = "Until when the link holds, in seconds since 1970"),
        ("signature" = Option<String>, Query, description = "The link's signature")
    ),
    responses(
        (status = 200, description = "The file", content_type = "application/octet-stream"),
        (status = 206, description = "The part of it that was asked for", content_type = "application/octet-stream"),
        (status = 404, body = ErrorEnvelope, description = "The link is wrong or too old, or there is no such file any more"),
        (status = 416, body = ErrorEnvelope, description = "The file has no such part"),
        (status = 503, body = ErrorEnvelope, description = "The file is still being fetched: ask again after `Retry-After`"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let signed = Query::<Signed>::try_from_uri(&uri).map(|query| query.0).map_err(|_| missing())?;
    // The path as it was asked for: no other spelling of it is one of ours.
    let id = uri.path().strip_prefix("/media/").and_then(|id| MediaId::parse(id).ok()).ok_or_else(missing)?;
    if !app.signed_urls.opens(Purpose::Media, uri.path(), &signed, app.now()) {
        return Err(missing());
    }
    let Some(file) = when_stored(&app, &id).await? else { return Ok(not_yet()) };
    let size = u64::try_from(file.size).unwrap_or(0);
    let range = match headers.get(header::RANGE).and_then(|range| range.to_str().ok()).map(|range| part(range, size)) {
        None | Some(Part::Whole) => None,
        Some(Part::Range(range)) => Some(range),
        Some(Part::Nothing) => return Ok(no_such_part(size)),
    };
    let piece = app.media.get(&file.object, range.clone()).await.map_err(|error| ApiError::internal(&error))?;
    Ok(answer(&id, &file, size, range, piece.ok_or_else(missing)?))
}

fn missing() -> ApiError {
    ApiError::not_found("MEDIA_NOT_FOUND", "media")
}

/// The file once it is kept; `None` where that takes too long.
async fn when_stored(app: &App, id: &MediaId) -> Result<Option<StoredMedia>, ApiError> {
    let patience = PATIENCE.min(app.config.server.request_timeout / 2);
    let deadline = Instant::now() + patience;
    loop {
        let asked = id.clone();
        let find = async move |tx: &mut Tx| tx.media(&asked).await;
        match app.store.read::<_, StoreError>(find).await? {
            Some(MediaState::Stored(file)) => return Ok(Some(file)),
            Some(MediaState::Waiting) if Instant::now() < deadline => tokio::time::sleep(LOOK).await,
            Some(MediaState::Waiting) => return Ok(None),
            Some(MediaState::Failed) | None => return Err(missing()),
        }
    }
}

fn not_yet() -> Response {
    let message = "the file is still being fetched; ask again in a moment";
    let error = ApiError::plain(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", message);
    with(error, header::RETRY_AFTER, HeaderValue::from_static(COME_BACK_SECONDS))
}

fn no_such_part(size: u64) -> Response {
    let error = ApiError::plain(StatusCode::RANGE_NOT_SATISFIABLE, "VALIDATION_ERROR", "the file has no such part");
    match HeaderValue::from_str(&format!("bytes */{size}")) {
        Ok(value) => with(error, header::CONTENT_RANGE, value),
        Err(_) => axum::response::IntoResponse::into_response(error),
    }
}

fn with(error: ApiError, name: header::HeaderName, value: HeaderValue) -> Response {
    let mut response = axum::response::IntoResponse::into_response(error);
    response.headers_mut().insert(name, value);
    response
}

/// What of a file is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Range(Range<u64>),
    Nothing,
}

/// Reads a header `Range`. What is none, or asks for several parts, is answered with the whole.
fn part(text: &str, size: u64) -> Part {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Part::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Ok(first), Err(_)) if last.is_empty() => first..size,
        (Err(_), Ok(count)) if first.is_empty() => size.saturating_sub(count)..size,
        _ => return Part::Whole,
    };
    if range.is_empty() { Part::Nothing } else { Part::Range(range) }
}

fn answer(id: &MediaId, file: &StoredMedia, size: u64, range: Option<Range<u64>>, piece: Piece) -> Response {
    let length = range.as_ref().map_or(size, |range| range.end - range.start);
    let shown = range.as_ref().map(|range| format!("bytes {}-{}/{size}", range.start, range.end - 1));
    let mut response = Response::new(Body::from_stream(piece.bytes));
    if shown.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    let disposition = format!("{}; filename=\"{id}{}\"", disposition(&file.content_type), ending(&file.content_type));
    let told = [
        (header::CONTENT_TYPE, Some(file.content_type.clone())),
        (header::CONTENT_LENGTH, Some(length.to_string())),
        (header::CONTENT_RANGE, shown),
        (header::CONTENT_DISPOSITION, Some(disposition)),
    ];
    let headers = response.headers_mut();
    for (name, value) in told {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(name, value);
        }
    }
    let fixed = [
        (header::ACCEPT_RANGES, "bytes"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Nothing in a file may run or load anything on our behalf.
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
        (header::CACHE_CONTROL, "private, max-age=3600"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// What a browser may show by itself: types with nothing in them that runs, each by its exact name. Whoever sent the file named
/// its type, and a browser may make more of `video/html` than we do.
const SHOWN: [&str; 18] = [
    "audio/aac",
    "audio/amr",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/webm",
    "audio/x-wav",
    "image/gif",
    "image/heic",
    "image/heif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "video/3gpp",
    "video/mp4",
    "video/quicktime",
    "video/webm",
];

fn disposition(content_type: &str) -> &'static str {
    if SHOWN.contains(&content_type) { "inline" } else { "attachment" }
}

fn ending(content_type: &str) -> &'static str {
    match content_type {
        "image/jpeg" => ".jpg",
        "image/png" => ".png",
        "image/gif" => ".gif",
        "image/webp" => ".webp",
        "image/heic" => ".heic",
        "audio/mpeg" => ".mp3",
        "audio/amr" => ".amr",
        "audio/wav" | "audio/x-wav" => ".wav",
        "video/mp4" => ".mp4",
        "video/3gpp" => ".3gp",
        "application/pdf" => ".pdf",
        "text/vcard" | "text/x-vcard" | "text/directory" => ".vcf",
        "text/plain" => ".txt",
        "text/csv" => ".csv",
        "text/calendar" => ".ics",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_types_with_nothing_that_runs_are_shown() {
        for shown in ["image/jpeg", "image/png", "audio/mpeg", "video/mp4"] {
            assert_eq!(disposition(shown), "inline", "{shown}");
        }
        for saved in ["image/svg+xml", "audio/svg+xml", "video/html", "text/html", "image/", "", "application/pdf"] {
            assert_eq!(disposition(saved), "attachment", "{saved}");
        }
    }

    #[test]
    fn one_part_of_a_file_can_be_asked_for() {
        assert_eq!(part("bytes=0-3", 10), Part::Range(0..4));
        assert_eq!(part("bytes=4-", 10), Part::Range(4..10));
        assert_eq!(part("bytes=-3", 10), Part::Range(7..10));
        assert_eq!(part("bytes=-30", 10), Part::Range(0..10));
        assert_eq!(part("bytes=5-99", 10), Part::Range(5..10));
        for nothing in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            assert_eq!(part(nothing, 10), Part::Nothing, "{nothing}");
        }
        for whole in ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=3-2", "bytes=0-1,4-5", "lines=1-2"] {
            assert_eq!(part(whole, 10), Part::Whole, "{whole}");
        }
    }
}
