//! One message from its bytes, strictly. Lines end with CRLF, a start line has single spaces, what may occur once occurs
//! once, and Content-Length must be covered by what came.

use super::refused::{BadRequest, Refused};
use super::scan::{is_word, split_list};
use super::{CSeq, Envelope, HeaderName, Headers, Malformed, Message, Method, NameAddr, Request, Response, Uri, Via};

/// The longest that UDP carries.
pub const MAX_DATAGRAM: usize = 65_535;

/// Reads a datagram, or one message that [`super::Framer`] cut from a stream. What follows the body is ignored (§18.3).
///
/// # Errors
/// [`Refused`], which knows what is to be answered.
pub fn parse(bytes: &[u8]) -> Result<Message, Refused> {
    let (head, body) = split_head(bytes);
    let head = std::str::from_utf8(head).map_err(|_| Refused::Ignored("the head is not UTF-8"))?;
    let (start, lines) = match head.split_once("\r\n") {
        Some((start, lines)) => (start, lines),
        None => (head, ""),
    };
    match StartLine::read(start)? {
        StartLine::Response { status, reason } => {
            let fields = Fields::read(lines);
            let ignored = |Malformed(what)| Refused::Ignored(what);
            if let Some(problem) = fields.problem {
                return Err(Refused::Ignored(problem));
            }
            let (envelope, headers, body) = fields.message(body).map_err(ignored)?;
            Ok(Message::Response(Response { status, reason, envelope, headers, body }))
        }
        StartLine::Request { method, uri, problem } => {
            let fields = Fields::read(lines);
            let copied = fields.copied();
            let refuse = |status: u16, reason: &'static str| {
                let is_ack = BadRequest::is_ack(method.as_ref());
                Refused::Answered(Box::new(BadRequest { status, reason, is_ack, copied: copied.clone() }))
            };
            if let Some((status, reason)) = problem.or(fields.problem.map(|reason| (400, reason))) {
                return Err(refuse(status, reason));
            }
            let bad = |Malformed(reason)| refuse(400, reason);
            let (envelope, headers, body) = fields.message(body).map_err(bad)?;
            let (Some(method), Some(uri)) = (method.clone(), uri) else {
                return Err(refuse(400, "Bad Request-Line"));
            };
            if envelope.cseq.method != method {
                return Err(refuse(400, "CSeq Names Another Method"));
            }
            Ok(Message::Request(Request { method, uri, envelope, headers, body }))
        }
    }
}

/// What stands before the empty line, and what after it.
fn split_head(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.windows(4).position(|four| four == b"\r\n\r\n") {
        Some(at) => (&bytes[..at], &bytes[at + 4..]),
        None => (bytes.strip_suffix(b"\r\n").unwrap_or(bytes), &[]),
    }
}

enum StartLine {
    Request { method: Option<Method>, uri: Option<Uri>, problem: Option<(u16, &'static str)> },
    Response { status: u16, reason: String },
}

impl StartLine {
    fn read(line: &str) -> Result<Self, Refused> {
        if line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("SIP/")) {
            return Self::read_status(line);
        }
        // It must at least look like a request to be worth an answer.
        let Some((method, rest)) = line.split_once(' ') else { return Err(Refused::Ignored("no start line")) };
        let Some(method) = Method::parse(method) else { return Err(Refused::Ignored("no method")) };
        let Some(at) = rest.to_ascii_uppercase().rfind("SIP/") else { return Err(Refused::Ignored("no version")) };
        let (before, version) = rest.split_at(at);
        let problem =
            |status, reason| Self::Request { method: Some(method.clone()), uri: None, problem: Some((status, reason)) };
        if !version.get(4..).is_some_and(is_version) {
            return Ok(problem(400, "Bad Request-Line"));
        }
        if !version.eq_ignore_ascii_case("SIP/2.0") {
            return Ok(problem(505, "Version Not Supported"));
        }
        let Some(uri) = before.strip_suffix(' ').filter(|uri| !uri.is_empty() && !uri.contains([' ', '\t'])) else {
            return Ok(problem(400, "Bad Request-Line"));
        };
        match Uri::parse(uri) {
            Ok(Uri::Sip(sip)) if !sip.headers.is_empty() => Ok(problem(400, "Header Fields In Request-URI")),
            Ok(uri) => Ok(Self::Request { method: Some(method), uri: Some(uri), problem: None }),
            Err(_) => Ok(problem(400, "Bad Request-URI")),
        }
    }

    fn read_status(line: &str) -> Result<Self, Refused> {
        let ignored = Err(Refused::Ignored("bad status line"));
        let mut parts = line.splitn(3, ' ');
        let (Some(version), Some(status), Some(reason)) = (parts.next(), parts.next(), parts.next()) else {
            return ignored;
        };
        let digits = status.len() == 3 && status.bytes().all(|b| b.is_ascii_digit());
        match status.parse::<u16>() {
            Ok(status @ 100..=699)
                if digits && !has_stray_control(reason) && version.eq_ignore_ascii_case("SIP/2.0") =>
            {
                Ok(Self::Response { status, reason: reason.to_owned() })
            }
            _ => ignored,
        }
    }
}

fn is_version(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.split_once('.').is_some_and(|(major, minor)| digits(major) && digits(minor))
}

/// The header fields as they came, and the first thing that was wrong with a line.
struct Fields {
    all: Vec<(HeaderName, String)>,
    problem: Option<&'static str>,
}

impl Fields {
    fn read(lines: &str) -> Self {
        let mut fields = Self { all: Vec::new(), problem: None };
        for line in lines.split("\r\n") {
            if line.is_empty() {
                continue;
            }
            if line.starts_with([' ', '\t']) {
                // A fold: white space of any length stands for one space.
                match fields.all.last_mut() {
                    Some((_, value)) => {
                        value.truncate(value.trim_end_matches([' ', '\t']).len());
                        value.push(' ');
                        value.push_str(line.trim_start_matches([' ', '\t']));
                    }
                    None => fields.problem = Some("Folded Start Line"),
                }
                continue;
            }
            match line
                .split_once(':')
                .map(|(name, value)| (HeaderName::parse(name.trim_end_matches([' ', '\t'])), value))
            {
                Some((Some(name), value)) => fields.all.push((name, value.to_owned())),
                _ => fields.problem = Some("Bad Header Field"),
            }
        }
        for (_, value) in &mut fields.all {
            *value = value.trim_matches([' ', '\t']).to_owned();
            if has_stray_control(value) {
                fields.problem = Some("Control Character In Header Field");
            }
        }
        fields
    }

    /// What an answer repeats, readable or not; of what may occur only once, the first.
    fn copied(&self) -> Vec<(HeaderName, String)> {
        let mut copied: Vec<(HeaderName, String)> = Vec::new();
        for (name, value) in self.all.iter().filter(|(_, value)| !has_stray_control(value)) {
            let wanted = match name {
                HeaderName::Via => true,
                HeaderName::From | HeaderName::To | HeaderName::CallId | HeaderName::CSeq => {
                    copied.iter().all(|(before, _)| before != name)
                }
                _ => false,
            };
            if wanted {
                copied.push((name.clone(), value.clone()));
            }
        }
        copied
    }

    /// The one field of this name.
    fn single(&self, name: &HeaderName, missing: Malformed) -> Result<&str, Malformed> {
        let mut all = self.all.iter().filter(|(known, _)| known == name);
        match (all.next(), all.next()) {
            (Some((_, value)), None) => Ok(value),
            (Some(_), Some(_)) => Err(Malformed("Header Field Occurs Twice")),
            _ => Err(missing),
        }
    }

    fn message(self, body: &[u8]) -> Result<(Envelope, Headers, Vec<u8>), Malformed> {
        let mut via = Vec::new();
        for (_, value) in self.all.iter().filter(|(name, _)| *name == HeaderName::Via) {
            for part in split_list(value) {
                via.push(Via::parse(part)?);
            }
        }
        if via.is_empty() {
            return Err(Malformed("Missing Via"));
        }
        let address = |name, missing, bad| NameAddr::parse(self.single(&name, missing)?, bad);
        let from = address(HeaderName::From, Malformed("Missing From"), Malformed("Bad From"))?;
        let to = address(HeaderName::To, Malformed("Missing To"), Malformed("Bad To"))?;
        let call_id = self.single(&HeaderName::CallId, Malformed("Missing Call-ID"))?;
        let is_call_id = match call_id.split_once('@') {
            Some((left, right)) => is_word(left) && is_word(right),
            None => is_word(call_id),
        };
        if !is_call_id {
            return Err(Malformed("Bad Call-ID"));
        }
        let call_id = call_id.to_owned();
        let cseq = CSeq::parse(self.single(&HeaderName::CSeq, Malformed("Missing CSeq"))?)?;
        let body = self.body(body)?.to_vec();
        let in_envelope = |name: &HeaderName| {
            matches!(
                name,
                HeaderName::Via
                    | HeaderName::From
                    | HeaderName::To
                    | HeaderName::CallId
                    | HeaderName::CSeq
                    | HeaderName::ContentLength
            )
        };
        let headers = Headers(self.all.into_iter().filter(|(name, _)| !in_envelope(name)).collect());
        headers.check()?;
        Ok((Envelope { via, from, to, call_id, cseq }, headers, body))
    }

    /// As much of what came as Content-Length says; without one, all of it.
    fn body<'a>(&self, body: &'a [u8]) -> Result<&'a [u8], Malformed> {
        match content_length(&self.all)? {
            None => Ok(body),
            Some(length) => body.get(..length).ok_or(Malformed("Content-Length Exceeds The Message")),
        }
    }
}

/// Content-Length, which must be one number even if it is said twice.
pub(super) fn content_length(fields: &[(HeaderName, String)]) -> Result<Option<usize>, Malformed> {
    const BAD: Malformed = Malformed("Bad Content-Length");
    let mut length = None;
    for (_, value) in fields.iter().filter(|(name, _)| *name == HeaderName::ContentLength) {
        if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BAD);
        }
        let this: usize = value.parse().map_err(|_| BAD)?;
        if length.is_some_and(|before| before != this) {
            return Err(BAD);
        }
        length = Some(this);
    }
    Ok(length)
}

/// Control characters may only stand behind a backslash (quoted-pair).
fn has_stray_control(value: &str) -> bool {
    let mut escaped = false;
    for c in value.chars() {
        if (c.is_ascii_control() && c != '\t' && !escaped) || c == '\r' || c == '\n' {
            return true;
        }
        escaped = c == '\\' && !escaped;
    }
    false
}

/// The lines of a head, for those who only need a length.
pub(super) fn read_content_length(head: &str) -> Result<Option<usize>, Malformed> {
    let lines = head.split_once("\r\n").map(|(_, lines)| lines).unwrap_or_default();
    content_length(&Fields::read(lines).all)
}
