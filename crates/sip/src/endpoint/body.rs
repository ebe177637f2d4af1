//! The SDP of a message, alone or as a part of a multipart body (trunks wrap it together with ISUP or location).

use crate::message::{HeaderName, Headers};

pub(super) const SDP: &str = "application/sdp";

/// What a body holds for us.
pub(super) enum Content {
    /// No body.
    None,
    /// An SDP.
    Sdp(Vec<u8>),
    /// Nothing that we can read: 415.
    Unreadable,
}

pub(super) fn content(headers: &Headers, body: &[u8]) -> Content {
    if body.is_empty() {
        return Content::None;
    }
    let encoded =
        headers.get(&HeaderName::ContentEncoding).is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"));
    let Ok(Some(media_type)) = headers.content_type() else { return Content::Unreadable };
    if encoded {
        return Content::Unreadable;
    }
    if media_type.essence == SDP {
        return Content::Sdp(body.to_vec());
    }
    let part = media_type
        .essence
        .starts_with("multipart/")
        .then(|| media_type.params.get("boundary"))
        .flatten()
        .and_then(|boundary| sdp_part(body, boundary));
    if let Some(sdp) = part {
        return Content::Sdp(sdp.to_vec());
    }
    // §20.11: what need not be handled may be ignored.
    let is_optional = headers
        .get(&HeaderName::ContentDisposition)
        .is_some_and(|disposition| disposition.to_ascii_lowercase().replace(' ', "").contains("handling=optional"));
    if is_optional { Content::None } else { Content::Unreadable }
}

/// The SDP, if there is one that can be read.
pub(super) fn sdp(headers: &Headers, body: &[u8]) -> Option<Vec<u8>> {
    match content(headers, body) {
        Content::Sdp(sdp) => Some(sdp),
        Content::None | Content::Unreadable => None,
    }
}

fn sdp_part<'a>(body: &'a [u8], boundary: &str) -> Option<&'a [u8]> {
    let delimiter = format!("--{boundary}");
    let mut starts = positions(body, delimiter.as_bytes());
    let mut start = starts.next()?;
    for end in starts {
        let part = &body[start + delimiter.len()..end];
        if let Some(at) = positions(part, b"\r\n\r\n").next() {
            let head = String::from_utf8_lossy(&part[..at]).to_ascii_lowercase();
            let is_sdp = head.lines().any(|line| {
                line.split_once(':').is_some_and(|(name, value)| {
                    matches!(name.trim(), "content-type" | "c") && value.trim().starts_with(SDP)
                })
            });
            if is_sdp {
                let content = &part[at + 4..];
                return Some(content.strip_suffix(b"\r\n").unwrap_or(content));
            }
        }
        start = end;
    }
    None
}

fn positions(text: &[u8], wanted: &[u8]) -> impl Iterator<Item = usize> {
    text.windows(wanted.len().max(1)).enumerate().filter(move |(_, window)| *window == wanted).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(content_type: &str) -> Headers {
        let mut headers = Headers::default();
        headers.push(HeaderName::ContentType, content_type);
        headers
    }

    #[test]
    fn sdp_is_found_alone_and_among_others() {
        assert_eq!(sdp(&headers("application/sdp"), b"v=0\r\n").unwrap(), b"v=0\r\n");
        let body = b"--x\r\nContent-Type: application/isup\r\n\r\n\x01\x02\r\n--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\ns=-\r\n\r\n--x--\r\n";
        assert_eq!(sdp(&headers("multipart/mixed; boundary=x"), body).unwrap(), b"v=0\r\ns=-\r\n");
        assert!(matches!(content(&headers("text/plain"), b"hello"), Content::Unreadable));
        let mut optional = headers("text/plain");
        optional.push(HeaderName::ContentDisposition, "render; handling=optional");
        assert!(matches!(content(&optional, b"hello"), Content::None));
        let mut zipped = headers("application/sdp");
        zipped.push(HeaderName::ContentEncoding, "gzip");
        assert!(matches!(content(&zipped, b"\x1f"), Content::Unreadable));
    }
}
