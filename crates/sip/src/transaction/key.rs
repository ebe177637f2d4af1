//! By what a message finds its transaction (§17.1.3, §17.2.3).

use crate::message::{Method, Request, Response, Via};

/// What a branch must begin with to be unique by itself. A branch that is nothing but the cookie is not unique at all.
pub(crate) const MAGIC_COOKIE: &str = "z9hG4bK";

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClientKey {
    branch: String,
    method: Method,
}

impl ClientKey {
    pub(super) fn of_request(branch: &str, method: &Method) -> Self {
        Self { branch: branch.to_owned(), method: method.clone() }
    }

    pub(super) fn with_method(&self, method: Method) -> Self {
        Self { branch: self.branch.clone(), method }
    }

    /// What becomes of a CANCEL shows in its INVITE.
    pub(super) fn is_not_cancel(&self) -> bool {
        self.method != Method::Cancel
    }

    pub(super) fn of_response(response: &Response) -> Option<Self> {
        // A response with several Vias went astray: we put only one on our requests (§18.1.2).
        let [via] = &response.envelope.via[..] else { return None };
        Some(Self { branch: via.branch()?.to_owned(), method: response.envelope.cseq.method.clone() })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum ServerKey {
    /// Of a client of RFC 3261.
    Unique { branch: String, sent_by: (String, Option<u16>), method: Method },
    /// Of an older one: Request-URI, From tag, Call-ID, CSeq and the topmost Via together. The To tag is left out: an ACK
    /// has one where its INVITE has none.
    Compared(String, Method),
}

impl ServerKey {
    pub(super) fn of(request: &Request) -> Option<Self> {
        let method = if request.method == Method::Ack { Method::Invite } else { request.method.clone() };
        Self::with_method(request, method)
    }

    /// The INVITE's that a CANCEL means.
    pub(super) fn cancelled_by(cancel: &Request) -> Option<Self> {
        Self::with_method(cancel, Method::Invite)
    }

    fn with_method(request: &Request, method: Method) -> Option<Self> {
        let via = request.envelope.via.first()?;
        Some(match unique_branch(via) {
            Some(branch) => {
                Self::Unique { branch: branch.to_owned(), sent_by: (via.host.to_string(), via.port), method }
            }
            None => {
                let envelope = &request.envelope;
                let tag = envelope.from_tag().unwrap_or_default();
                let compared = format!("{} {tag} {} {} {via}", request.uri, envelope.call_id, envelope.cseq.sequence);
                Self::Compared(compared, method)
            }
        })
    }
}

fn unique_branch(via: &Via) -> Option<&str> {
    via.branch().filter(|branch| branch.len() > MAGIC_COOKIE.len() && branch.starts_with(MAGIC_COOKIE))
}

/// What makes the same request that came on two ways the same (§8.2.2.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct MergeKey {
    call_id: String,
    from_tag: String,
    sequence: u32,
    method: Method,
}

impl MergeKey {
    /// Only requests outside of dialogs can be merged.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let envelope = &request.envelope;
        if envelope.to_tag().is_some() {
            return None;
        }
        Some(Self {
            call_id: envelope.call_id.clone(),
            from_tag: envelope.from_tag()?.to_owned(),
            sequence: envelope.cseq.sequence,
            method: request.method.clone(),
        })
    }
}
