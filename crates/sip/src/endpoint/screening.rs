//! What is looked at before a request is taken (§8.2): who asks, whether we do what is asked, and whether we understand it.

use std::time::Instant;

use super::Endpoint;
use super::body::{Content, SDP, content};
use super::gate::{PeerName, Strangers};
use super::sending::{ALLOW, SUPPORTED};
use crate::Flow;
use crate::digest::Verdict;
use crate::message::{HeaderName, Method, Request, Response, Uri};
use crate::transaction::ServerId;

/// Who asks.
enum Caller {
    Let(Vec<PeerName>),
    Refused(Box<Response>),
}

impl Endpoint {
    /// Whether anybody there may expect an answer at all.
    pub(super) fn would_answer(&self, flow: Flow) -> bool {
        let source = flow.remote.ip();
        self.config.strangers != Strangers::Ignored || self.gate.vouches_for(source) || self.gate.may_challenge(source)
    }

    /// A request that belongs to no dialog.
    pub(super) fn request_outside(&mut self, server: ServerId, request: Request, flow: Flow, now: Instant) {
        let peers = match self.caller(&request, flow, now) {
            Caller::Let(peers) => peers,
            Caller::Refused(refusal) => return self.answer_finally(server, *refusal, now),
        };
        let refusal = match request.method {
            Method::Invite | Method::Options => {
                self.wrong_scheme(&request).or_else(|| self.unsupported(&request)).or_else(|| unreadable(&request))
            }
            Method::Bye | Method::Update | Method::Prack | Method::Info | Method::Notify => Some(request.respond(481)),
            _ => Some(self.not_allowed(&request)),
        };
        if let Some(refusal) = refusal {
            let tag = self.tokens.tag();
            let tagged = tagged(refusal, &tag);
            return self.answer_finally(server, tagged, now);
        }
        if request.method == Method::Options {
            let tag = self.tokens.tag();
            let answer = tagged(self.capabilities(&request), &tag);
            return self.answer_finally(server, answer, now);
        }
        self.on_invite(server, request, flow, peers, now);
    }

    fn caller(&mut self, request: &Request, flow: Flow, now: Instant) -> Caller {
        let source = flow.remote.ip();
        let peers = self.gate.peers_at(source);
        if !peers.is_empty() {
            return Caller::Let(peers);
        }
        let tag = self.tokens.tag();
        if !self.gate.may_challenge(source) {
            return match self.config.strangers {
                Strangers::Welcome => Caller::Let(Vec::new()),
                Strangers::Refused | Strangers::Ignored => Caller::Refused(Box::new(request.respond_tagged(403, &tag))),
            };
        }
        let gate = &self.gate;
        let verdict = self.guard.judge(request, |username| gate.credentials(source, username), now);
        match verdict {
            Verdict::Known(username) => {
                let peers = self.gate.peers_named(source, &username);
                self.gate.forgive(source);
                Caller::Let(peers)
            }
            Verdict::Unanswered | Verdict::Stale => {
                let mut response = request.respond_tagged(401, &tag);
                self.guard.challenge(&mut response, verdict == Verdict::Stale, &mut self.tokens, now);
                Caller::Refused(Box::new(response))
            }
            Verdict::Wrong => Caller::Refused(Box::new(request.respond_tagged(403, &tag))),
        }
    }

    /// §8.2.2.1
    fn wrong_scheme(&self, request: &Request) -> Option<Response> {
        let is_known = match &request.uri {
            Uri::Sip(_) => true,
            Uri::Other(_) => request.uri.callee().is_some(),
        };
        (!is_known).then(|| request.respond(416))
    }

    /// §8.2.2.3
    pub(super) fn unsupported(&self, request: &Request) -> Option<Response> {
        let required = request.headers.tokens(&HeaderName::Require);
        let unknown = |option: &&str| !SUPPORTED.iter().any(|known| known.eq_ignore_ascii_case(option));
        let unknown: Vec<&str> = required.into_iter().filter(unknown).collect();
        (!unknown.is_empty()).then(|| request.respond(420).with(HeaderName::Unsupported, unknown.join(", ")))
    }

    /// §8.2.1: what we do not do, and what nobody has heard of.
    pub(super) fn not_allowed(&self, request: &Request) -> Response {
        let status = if matches!(request.method, Method::Extension(_)) { 501 } else { 405 };
        request.respond(status).with(HeaderName::Allow, ALLOW)
    }

    /// §11.2
    pub(super) fn capabilities(&self, request: &Request) -> Response {
        request
            .respond(200)
            .with(HeaderName::Allow, ALLOW)
            .with(HeaderName::Accept, SDP)
            .with(HeaderName::AcceptEncoding, "identity")
            .with(HeaderName::Supported, SUPPORTED.join(", "))
    }
}

/// §8.2.3: a body that we can't read, or an answer that they could not.
pub(super) fn unreadable(request: &Request) -> Option<Response> {
    if request.method != Method::Options && matches!(content(&request.headers, &request.body), Content::Unreadable) {
        let refusal = request.respond(415).with(HeaderName::Accept, SDP);
        return Some(refusal.with(HeaderName::AcceptEncoding, "identity"));
    }
    let accepts: Vec<&str> = request.headers.tokens(&HeaderName::Accept);
    let reads_sdp = |range: &&str| {
        let range = range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        range == SDP || range == "application/*" || range == "*/*"
    };
    let is_invite = request.method == Method::Invite;
    (is_invite && request.headers.has(&HeaderName::Accept) && !accepts.iter().any(reads_sdp))
        .then(|| request.respond(406))
}

fn tagged(mut response: Response, tag: &str) -> Response {
    if response.envelope.to.tag().is_none() {
        response.envelope.to.params.set("tag", Some(tag));
    }
    response
}
