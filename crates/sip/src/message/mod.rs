//! The grammar of RFC 3261 §25. In: the bytes of one message. Out: a [`Message`] whose every field that routes or matches
//! was checked, or a [`Refused`] that knows how to answer. Never here: what a message means.

mod address;
mod builder;
mod header;
mod names;
mod parse;
mod refused;
mod scan;
mod stream;
mod uri;
mod via;
mod write;

pub use address::{Contacts, NameAddr, Param, ParamValue, Params};
pub(crate) use address::{auth_params, write_auth_params};
pub use header::{CSeq, Headers, MediaType, RAck, SessionExpires, refresher};
pub use names::{HeaderName, Method, reason_phrase};
pub use parse::{MAX_DATAGRAM, parse};
pub use refused::{BadRequest, Refused};
pub use stream::{Framer, Framing, Limits};
pub use uri::{Host, SipUri, Uri};
pub use via::Via;

/// A message, either way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// §7.1
    Request(Request),
    /// §7.2
    Response(Response),
}

/// A value that the grammar does not allow; the text is the reason phrase of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// What every message carries and every layer matches by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// From the topmost (the last hop) down.
    pub via: Vec<Via>,
    /// Who asks.
    pub from: NameAddr,
    /// Who is asked.
    pub to: NameAddr,
    /// One for all messages of a dialog or of a registration.
    pub call_id: String,
    /// Which request, or which one is answered.
    pub cseq: CSeq,
}

impl Envelope {
    /// The asking side's half of the dialog's name; clients of RFC 2543 have none.
    #[must_use]
    pub fn from_tag(&self) -> Option<&str> {
        self.from.tag()
    }

    /// The answering side's half.
    #[must_use]
    pub fn to_tag(&self) -> Option<&str> {
        self.to.tag()
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub method: Method,
    /// Of whom (the Request-URI).
    pub uri: Uri,
    /// What it is matched by.
    pub envelope: Envelope,
    /// All other header fields, in order; never Content-Length, which is written from the body.
    pub headers: Headers,
    /// What Content-Type describes.
    pub body: Vec<u8>,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// 100 to 699.
    pub status: u16,
    /// For people.
    pub reason: String,
    /// What it is matched by.
    pub envelope: Envelope,
    /// All other header fields, in order; never Content-Length.
    pub headers: Headers,
    /// What Content-Type describes.
    pub body: Vec<u8>,
}

impl Response {
    /// Whether more will follow.
    #[must_use]
    pub fn is_provisional(&self) -> bool {
        self.status < 200
    }

    /// Whether it was agreed to.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Message {
    /// What it is matched by.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        match self {
            Self::Request(request) => &request.envelope,
            Self::Response(response) => &response.envelope,
        }
    }

    /// Its other header fields.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => &request.headers,
            Self::Response(response) => &response.headers,
        }
    }
}

impl From<Request> for Message {
    fn from(request: Request) -> Self {
        Self::Request(request)
    }
}

impl From<Response> for Message {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}
