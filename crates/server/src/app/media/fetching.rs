//! Getting one file from where a customer or a carrier says that it is, through the guarded client, a few redirects on.
//!
//! In: a job. Out: the file and its type, or why there is none, and whether there may be one later. Never here: the store.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use offhook_domain::message::{Direction, Failure};
use offhook_store::media::MediaJob;
use tokio::time::Instant;
use url::Url;

use crate::app::signed_urls::Purpose;
use crate::app::{App, contact_card_links};
use crate::guarded_http::{Body, Fetch, FetchFailed, Fetched, GuardedUrl};

/// As many as a shortened link to a store of files behind a balancer takes.
const MOST_REDIRECTS: usize = 5;
/// Types longer than that are none.
const LONGEST_TYPE: usize = 100;
/// What says no more than that it is a file.
const ANYTHING: &str = "application/octet-stream";

/// A file as it came.
#[derive(Debug)]
pub struct File {
    /// In small letters, without parameters.
    pub content_type: String,
    pub bytes: Bytes,
}

/// There is no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotFetched {
    ForGood(Failure),
    /// It may be there later.
    ForNow(Failure),
}

/// Fetches the file of a job.
///
/// # Errors
/// [`NotFetched`].
pub async fn fetch(app: &App, job: &MediaJob) -> Result<File, NotFetched> {
    // A link of ours needs no way around through the outside, which many a set-up does not even have.
    let own = contact_card_links::behind_link(app, &job.source_url).await;
    let unreadable = |error| {
        tracing::warn!(%error, "a contact card that goes out could not be read");
        NotFetched::ForNow(unavailable("it can't be read for the moment"))
    };
    if let Some(card) = own.map_err(unreadable)? {
        return Ok(File { content_type: "text/vcard".to_owned(), bytes: card.into() });
    }
    let deadline = Instant::now() + app.config.media.timeout;
    let mut url = job.source_url.clone();
    for _ in 0..=MOST_REDIRECTS {
        let guarded = app.guard.check(&url).map_err(|refused| bad_url(&refused.to_string()))?;
        may_be_fetched(app, &guarded)?;
        let fetch = Fetch {
            headers: headers(app, job, &url),
            url: guarded,
            timeout: deadline.saturating_duration_since(Instant::now()),
            max_bytes: app.config.media.max_bytes,
        };
        let fetched = app.guard.get(fetch).await.map_err(failed)?;
        if !fetched.status.is_redirection() {
            return judge(app, job, fetched);
        }
        url = target(&url, &fetched)?;
    }
    Err(NotFetched::ForGood(unavailable("its address leads to another one, and that again, too often")))
}

/// In sandbox mode this machine may be called, and anybody may sign up. What is read there is handed out, so only a server that
/// nobody else reaches may read it, and nobody reads what it answers itself but for files under links of ours.
fn may_be_fetched(app: &App, url: &GuardedUrl) -> Result<(), NotFetched> {
    if !url.is_loopback() {
        return Ok(());
    }
    let listen = app.config.server.listen;
    if app.config.mode.sandbox && !listen.ip().is_loopback() {
        return Err(bad_url("it is on this server's own machine, and the server is open to others"));
    }
    let is_own = url.port().is_some_and(|port| app.signed_urls.own_port() == Some(port) || listen.port() == port);
    let is_link = app
        .signed_urls
        .of_ours(url.as_str())
        .is_some_and(|(path, signed)| app.signed_urls.opens(Purpose::Media, &path, &signed, app.now()));
    if is_own && !is_link { Err(bad_url("it is this server's own address")) } else { Ok(()) }
}

fn headers(app: &App, job: &MediaJob, url: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // What is kept is what is counted.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    let carrier = app.carriers.named(&job.carrier).filter(|_| job.direction == Direction::Inbound);
    // For this one request: where it leads is somebody else's server, as a rule.
    let login = carrier.zip(Url::parse(url).ok()).and_then(|(carrier, url)| carrier.media_login(&url));
    headers.extend(login.map(|login| (header::AUTHORIZATION, login)));
    headers
}

fn target(from: &str, fetched: &Fetched) -> Result<String, NotFetched> {
    let nowhere = || NotFetched::ForGood(unavailable("its address leads to another one, which can't be read"));
    let location = fetched.headers.get(header::LOCATION).and_then(|location| location.to_str().ok());
    let joined = Url::parse(from).ok().zip(location).and_then(|(from, location)| from.join(location).ok());
    joined.map(String::from).ok_or_else(nowhere)
}

fn judge(app: &App, job: &MediaJob, fetched: Fetched) -> Result<File, NotFetched> {
    let Fetched { status, headers, body } = fetched;
    // Any other success is not the whole file: a part that nobody asked for, or a page without one.
    if status != StatusCode::OK {
        let failure = unavailable(&format!("its server answered {}", status.as_u16()));
        return Err(if may_pass(status, job.direction) {
            NotFetched::ForNow(failure)
        } else {
            NotFetched::ForGood(failure)
        });
    }
    let Body::Whole(bytes) = body else {
        let why = format!("the file is larger than {} bytes", app.config.media.max_bytes);
        return Err(NotFetched::ForGood(Failure::new("11751", &why)));
    };
    if bytes.is_empty() {
        return Err(NotFetched::ForGood(unavailable("the file is empty")));
    }
    if headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(NotFetched::ForGood(unavailable("its server packed it, though it was asked not to")));
    }
    let told = headers.get(header::CONTENT_TYPE).and_then(|told| told.to_str().ok()).map(essence).unwrap_or_default();
    let content_type = match told.as_str() {
        "" | ANYTHING | "binary/octet-stream" => recognised(&bytes).unwrap_or(ANYTHING).to_owned(),
        _ => told,
    };
    let is_wanted = app.config.media.content_types.iter().any(|types| types.has(&content_type));
    match job.direction {
        _ if is_wanted => Ok(File { content_type, bytes: bytes.into() }),
        // Whatever somebody sent is there to be looked at, but as nothing that a browser would run.
        Direction::Inbound => Ok(File { content_type: ANYTHING.to_owned(), bytes: bytes.into() }),
        Direction::Outbound => {
            let why = format!("files of the type {content_type} are not sent");
            Err(NotFetched::ForGood(Failure::new("12300", &why)))
        }
    }
}

/// The type without its parameters.
fn essence(told: &str) -> String {
    let name = told.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let fits = name.len() <= LONGEST_TYPE && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/.+-_".contains(&b));
    if fits { name } else { String::new() }
}

/// By how files of the usual types begin: stores of files often don't know what they have.
fn recognised(bytes: &[u8]) -> Option<&'static str> {
    let begins = |mark: &[u8]| bytes.starts_with(mark);
    let inside = bytes.get(8..12);
    Some(match bytes {
        _ if begins(b"\xff\xd8\xff") => "image/jpeg",
        _ if begins(b"\x89PNG\r\n\x1a\n") => "image/png",
        _ if begins(b"GIF87a") || begins(b"GIF89a") => "image/gif",
        _ if begins(b"%PDF-") => "application/pdf",
        _ if begins(b"ID3") => "audio/mpeg",
        _ if begins(b"OggS") => "application/ogg",
        _ if begins(b"BEGIN:VCARD") => "text/vcard",
        _ if begins(b"RIFF") && inside == Some(b"WEBP") => "image/webp",
        _ if begins(b"RIFF") && inside == Some(b"WAVE") => "audio/wav",
        _ if bytes.get(4..8) == Some(b"ftyp") && inside.is_some_and(|brand| brand.starts_with(b"hei")) => "image/heic",
        _ if bytes.get(4..8) == Some(b"ftyp") && inside.is_some_and(|brand| brand.starts_with(b"3gp")) => "video/3gpp",
        _ if bytes.get(4..8) == Some(b"ftyp") => "video/mp4",
        _ => return None,
    })
}

/// Whether the same request may have another answer soon. A carrier tells of files before it has them.
fn may_pass(status: StatusCode, direction: Direction) -> bool {
    let is_early = direction == Direction::Inbound && status == StatusCode::NOT_FOUND;
    is_early || status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429)
}

fn failed(failed: FetchFailed) -> NotFetched {
    match failed {
        FetchFailed::Refused(refused) => bad_url(&refused.to_string()),
        FetchFailed::Other(detail) => {
            tracing::debug!(detail, "a file could not be fetched");
            NotFetched::ForNow(unavailable("the request failed"))
        }
        other => NotFetched::ForNow(unavailable(&other.to_string())),
    }
}

fn bad_url(why: &str) -> NotFetched {
    NotFetched::ForGood(Failure::new("21620", &format!("the file can't be fetched: {why}")))
}

fn unavailable(why: &str) -> Failure {
    Failure::new("11200", &format!("the file can't be fetched: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_read_without_its_parameters() {
        assert_eq!(essence("Image/JPEG; charset=binary"), "image/jpeg");
        assert_eq!(essence("text/vcard"), "text/vcard");
        assert_eq!(essence("image/jpeg\u{7}<script>"), "");
        assert_eq!(essence(&"a".repeat(101)), "");
    }

    #[test]
    fn files_of_the_usual_types_are_recognised() {
        let files: [(&[u8], _); 6] = [
            (b"\xff\xd8\xff\xe0abc", Some("image/jpeg")),
            (b"\x89PNG\r\n\x1a\n123", Some("image/png")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"\0\0\0\x18ftypisom", Some("video/mp4")),
            (b"\0\0\0\x18ftypheic", Some("image/heic")),
            (b"<html>", None),
        ];
        for (bytes, known) in files {
            assert_eq!(recognised(bytes), known, "{bytes:?}");
        }
        assert_eq!(recognised(b""), None);
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        let outbound = |status: u16| may_pass(StatusCode::from_u16(status).unwrap(), Direction::Outbound);
        assert!(outbound(500) && outbound(503) && outbound(429) && outbound(408));
        assert!(!outbound(404) && !outbound(403) && !outbound(410) && !outbound(200));
        assert!(may_pass(StatusCode::NOT_FOUND, Direction::Inbound));
    }
}
