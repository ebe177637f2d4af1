//! Messages of our own making.

use super::{CSeq, Envelope, HeaderName, Headers, Method, NameAddr, Request, Response, Uri, reason_phrase};

impl Request {
    /// A request without a Via, which the transaction adds.
    #[must_use]
    pub fn new(method: Method, uri: Uri, from: NameAddr, to: NameAddr, call_id: &str, sequence: u32) -> Self {
        let cseq = CSeq { sequence, method: method.clone() };
        let mut headers = Headers::default();
        headers.push(HeaderName::MaxForwards, "70");
        let envelope = Envelope { via: Vec::new(), from, to, call_id: call_id.to_owned(), cseq };
        Self { method, uri, envelope, headers, body: Vec::new() }
    }

    /// With a body; an empty one leaves no Content-Type behind.
    pub fn set_body(&mut self, content_type: &str, body: impl Into<Vec<u8>>) {
        self.body = body.into();
        describe_body(&mut self.headers, content_type, &self.body);
    }

    /// A response to this request (§8.2.6.2), without a tag of ours.
    #[must_use]
    pub fn respond(&self, status: u16) -> Response {
        let mut headers = Headers::default();
        if status == 100 {
            for timestamp in self.headers.all(&HeaderName::Extension("Timestamp".to_owned())) {
                headers.push(HeaderName::Extension("Timestamp".to_owned()), timestamp);
            }
        }
        Response {
            status,
            reason: reason_phrase(status).to_owned(),
            envelope: self.envelope.clone(),
            headers,
            body: Vec::new(),
        }
    }

    /// The same with a tag of ours, where To has none yet.
    #[must_use]
    pub fn respond_tagged(&self, status: u16, tag: &str) -> Response {
        let mut response = self.respond(status);
        if response.envelope.to.tag().is_none() {
            response.envelope.to.params.set("tag", Some(tag));
        }
        response
    }
}

impl Response {
    /// With a body.
    pub fn set_body(&mut self, content_type: &str, body: impl Into<Vec<u8>>) {
        self.body = body.into();
        describe_body(&mut self.headers, content_type, &self.body);
    }

    /// With another reason phrase.
    #[must_use]
    pub fn because(mut self, reason: &str) -> Self {
        reason.replace(['\r', '\n'], " ").clone_into(&mut self.reason);
        self
    }

    /// With one more header field.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }
}

fn describe_body(headers: &mut Headers, content_type: &str, body: &[u8]) {
    headers.remove(&HeaderName::ContentType);
    if !body.is_empty() {
        headers.push(HeaderName::ContentType, content_type);
    }
}
