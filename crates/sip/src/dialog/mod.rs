//! A dialog (§12): what two user agents hold in common between the requests of a call. Pure; [`crate::endpoint`] moves it.

mod session_timer;

pub use session_timer::{SessionPolicy, SessionTimer, TooBrief};

use crate::message::{Envelope, HeaderName, Method, NameAddr, Request, Response, Uri};

/// A dialog's name, from our side.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DialogId {
    /// Of all its messages.
    pub call_id: String,
    /// What we put on it.
    pub local_tag: String,
    /// What they put on it; clients of RFC 2543 put nothing.
    pub remote_tag: String,
}

impl DialogId {
    /// The dialog that an incoming request belongs to.
    #[must_use]
    pub fn of_request(request: &Request) -> Option<Self> {
        let Envelope { call_id, from, to, .. } = &request.envelope;
        Some(Self {
            call_id: call_id.clone(),
            local_tag: to.tag()?.to_owned(),
            remote_tag: from.tag().unwrap_or_default().to_owned(),
        })
    }

    /// The dialog that a response to a request of ours makes or belongs to.
    #[must_use]
    pub fn of_response(response: &Response) -> Option<Self> {
        let Envelope { call_id, from, to, .. } = &response.envelope;
        Some(Self { call_id: call_id.clone(), local_tag: from.tag()?.to_owned(), remote_tag: to.tag()?.to_owned() })
    }
}

/// A dialog, early or confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    /// Its name.
    pub id: DialogId,
    /// Us, with our tag.
    pub local: NameAddr,
    /// Them, with theirs.
    pub remote: NameAddr,
    /// Where they want requests.
    pub remote_target: Uri,
    /// Over whom.
    pub route_set: Vec<NameAddr>,
    /// Of our last request.
    pub local_sequence: u32,
    /// Of their last request.
    pub remote_sequence: Option<u32>,
}

impl Dialog {
    /// The callee's side (§12.1.1). `local_tag` is what our response carries.
    #[must_use]
    pub fn from_invite(invite: &Request, local_tag: &str) -> Self {
        let envelope = &invite.envelope;
        let mut local = envelope.to.clone();
        local.params.set("tag", Some(local_tag));
        let id = DialogId {
            call_id: envelope.call_id.clone(),
            local_tag: local_tag.to_owned(),
            remote_tag: envelope.from_tag().unwrap_or_default().to_owned(),
        };
        Self {
            id,
            local,
            remote: envelope.from.clone(),
            remote_target: contact_of(&invite.headers).unwrap_or_else(|| envelope.from.uri.clone()),
            route_set: invite.headers.routes(&HeaderName::RecordRoute).unwrap_or_default(),
            local_sequence: 0,
            remote_sequence: Some(envelope.cseq.sequence),
        }
    }

    /// The caller's side (§12.1.2); `None` where the response makes no dialog.
    #[must_use]
    pub fn from_response(invite: &Request, response: &Response) -> Option<Self> {
        let id = DialogId::of_response(response)?;
        let mut route_set = response.headers.routes(&HeaderName::RecordRoute).unwrap_or_default();
        route_set.reverse();
        Some(Self {
            id,
            local: response.envelope.from.clone(),
            remote: response.envelope.to.clone(),
            remote_target: contact_of(&response.headers).unwrap_or_else(|| invite.uri.clone()),
            route_set,
            local_sequence: invite.envelope.cseq.sequence,
            remote_sequence: None,
        })
    }

    /// The 2xx may route otherwise than the provisional response that made the dialog (§13.2.2.4).
    pub fn confirm(&mut self, response: &Response) {
        self.route_set = response.headers.routes(&HeaderName::RecordRoute).unwrap_or_default();
        self.route_set.reverse();
        self.refresh_target(&response.headers);
    }

    /// A target refresh (§12.2): INVITE, UPDATE and their 2xx move where we send.
    pub fn refresh_target(&mut self, headers: &crate::message::Headers) {
        if let Some(target) = contact_of(headers) {
            self.remote_target = target;
        }
    }

    /// The next request of ours.
    #[must_use]
    pub fn request(&mut self, method: Method) -> Request {
        self.local_sequence += 1;
        self.request_numbered(method, self.local_sequence)
    }

    /// The ACK to a 2xx: it has the number of its INVITE.
    #[must_use]
    pub fn ack(&self, invite_sequence: u32) -> Request {
        self.request_numbered(Method::Ack, invite_sequence)
    }

    fn request_numbered(&self, method: Method, sequence: u32) -> Request {
        let (from, to) = (self.local.clone(), self.remote.clone());
        let target = self.remote_target.clone();
        let mut request = Request::new(method, target.clone(), from, to, &self.id.call_id, sequence);
        let mut routes = self.route_set.clone();
        // A strict router of RFC 2543 wants to find itself in the Request-URI (§12.2.1.1).
        if let Some(first) = routes.first()
            && first.uri.as_sip().is_some_and(|uri| uri.param("lr").is_none())
        {
            let first = routes.remove(0);
            routes.push(NameAddr::new(target));
            request.uri = first.uri;
        }
        for route in routes {
            request.headers.push(HeaderName::Route, route.to_string());
        }
        request
    }

    /// Whether a request of theirs comes in order (§12.2.2). Gaps are allowed, steps back are not.
    pub fn takes_in_order(&mut self, request: &Request) -> bool {
        let sequence = request.envelope.cseq.sequence;
        if self.remote_sequence.is_some_and(|last| sequence <= last) {
            return false;
        }
        self.remote_sequence = Some(sequence);
        true
    }

    /// Where a request goes first.
    #[must_use]
    pub fn next_hop(&self) -> &Uri {
        self.route_set.first().map_or(&self.remote_target, |route| &route.uri)
    }
}

fn contact_of(headers: &crate::message::Headers) -> Option<Uri> {
    match headers.contacts().ok()? {
        crate::message::Contacts::List(list) => list.into_iter().next().map(|contact| contact.uri),
        crate::message::Contacts::Any => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Message, parse};

    fn invite() -> Request {
        let text = "INVITE sip:bob@biloxi.example.com SIP/2.0\r\n\
            Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\n\
            From: <sip:alice@atlanta.example.com>;tag=a\r\nTo: <sip:bob@biloxi.example.com>\r\n\
            Call-ID: c\r\nCSeq: 7 INVITE\r\nContact: <sip:alice@192.0.2.1>\r\n\
            Record-Route: <sip:p2.example.com;lr>, <sip:p1.example.com;lr>\r\nContent-Length: 0\r\n\r\n";
        match parse(text.as_bytes()).unwrap() {
            Message::Request(request) => request,
            Message::Response(_) => panic!(),
        }
    }

    fn routes(request: &Request) -> Vec<&str> {
        request.headers.all(&HeaderName::Route).collect()
    }

    #[test]
    fn the_callee_routes_forward_and_the_caller_backward() {
        let mut callee = Dialog::from_invite(&invite(), "b");
        let bye = callee.request(Method::Bye);
        assert_eq!(bye.uri.to_string(), "sip:alice@192.0.2.1");
        assert_eq!(routes(&bye), ["<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>"]);
        assert_eq!((bye.envelope.from_tag(), bye.envelope.to_tag()), (Some("b"), Some("a")));
        assert_eq!(bye.envelope.cseq.sequence, 1);

        let mut response = invite().respond_tagged(200, "b");
        response.headers.push(HeaderName::Contact, "<sip:bob@192.0.2.9>");
        response.headers.push(HeaderName::RecordRoute, "<sip:p2.example.com;lr>, <sip:p1.example.com;lr>");
        let mut caller = Dialog::from_response(&invite(), &response).unwrap();
        let bye = caller.request(Method::Bye);
        assert_eq!(routes(&bye), ["<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>"]);
        assert_eq!(bye.uri.to_string(), "sip:bob@192.0.2.9");
        assert_eq!((bye.envelope.cseq.sequence, caller.ack(7).envelope.cseq.sequence), (8, 7));
        assert_eq!(caller.next_hop().to_string(), "sip:p1.example.com;lr");
    }

    #[test]
    fn a_strict_router_finds_itself_in_the_request_uri() {
        let mut dialog = Dialog::from_invite(&invite(), "b");
        dialog.route_set[0] = NameAddr::new(Uri::parse("sip:old.example.com").unwrap());
        let bye = dialog.request(Method::Bye);
        assert_eq!(bye.uri.to_string(), "sip:old.example.com");
        assert_eq!(routes(&bye), ["<sip:p1.example.com;lr>", "<sip:alice@192.0.2.1>"]);
    }

    #[test]
    fn what_comes_out_of_order_is_not_taken() {
        let mut dialog = Dialog::from_invite(&invite(), "b");
        let mut request = invite();
        assert!(!dialog.takes_in_order(&request));
        request.envelope.cseq.sequence = 12;
        assert!(dialog.takes_in_order(&request));
        request.envelope.cseq.sequence = 11;
        assert!(!dialog.takes_in_order(&request));
    }
}
