//! Requests of ours: what each is for, by which way it goes, and what comes back.

use std::time::Instant;

use super::call::Fate;
use super::{CallId, Endpoint, Event, PingId, RegistrationId};
use crate::dialog::Dialog;
use crate::digest::{Credentials, Session as Proofs};
use crate::message::{HeaderName, Method, NameAddr, Params, Request, Response, SipUri, Uri, Via};
use crate::nat::may_follow;
use crate::transaction::{ClientId, ServerId};
use crate::{Flow, Transport};

/// What we can do.
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY";
/// The extensions that we know.
pub(super) const SUPPORTED: [&str; 2] = ["100rel", "timer"];

/// What a request of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Begins a call.
    Invite(CallId),
    /// Was to begin a call that is no longer wanted.
    Abandoned,
    /// Changes the media of a call.
    Offer(CallId),
    /// Keeps a call alive.
    Refresh(CallId),
    /// Hands a call over.
    Refer(CallId),
    /// Ends a call.
    Bye,
    /// Nothing depends on the answer.
    Courtesy,
    Register(RegistrationId),
    Ping(PingId),
}

/// A request of ours that may still be answered.
pub(super) struct Asked {
    pub(super) purpose: Purpose,
    /// Without our Via.
    pub(super) request: Request,
    pub(super) flow: Flow,
    /// For those that are not part of a call any more.
    pub(super) proofs: Option<(Credentials, Proofs)>,
}

impl Endpoint {
    /// Sends a request.
    pub(super) fn send(&mut self, request: Request, flow: Flow, purpose: Purpose, now: Instant) -> ClientId {
        let mut request = request;
        if !request.headers.has(&HeaderName::UserAgent) {
            request.headers.push(HeaderName::UserAgent, self.config.product.clone());
        }
        let via = self.via(flow);
        let client = self.transactions.request(request.clone(), via, flow, now);
        self.asked.insert(client, Asked { purpose, request, flow, proofs: None });
        client
    }

    pub(super) fn via(&mut self, flow: Flow) -> Via {
        let us = self.config.advertised.address(flow.local, flow.remote.ip());
        let mut params = Params::default();
        params.set("branch", Some(&self.tokens.branch()));
        params.set("rport", None);
        Via { transport: flow.transport.as_str().to_owned(), host: us.ip().into(), port: Some(us.port()), params }
    }

    /// Our Contact, as whoever is on this flow reaches us.
    pub(super) fn contact(&self, user: Option<&str>, flow: Flow) -> String {
        NameAddr::new(self.config.advertised.contact(user, flow)).to_string()
    }

    /// Answers a request of theirs for good.
    pub(super) fn answer_finally(&mut self, server: ServerId, mut response: Response, now: Instant) {
        response.headers.push(HeaderName::Server, self.config.product.clone());
        self.transactions.respond(server, &response, now);
        self.invites.remove(&server);
    }

    /// The flow to a dialog's next hop. An address is followed; what names a host, or an address that we could not reach
    /// (theirs behind a NAT), is reached the way we hear it.
    pub(super) fn way_to(&self, dialog: &Dialog, heard: Flow) -> Flow {
        let Some(uri) = dialog.next_hop().as_sip() else { return heard };
        let Some(ip) = uri.host.ip() else { return heard };
        if !may_follow(ip, heard) || (heard.transport.is_reliable() && ip == heard.remote.ip()) {
            return heard;
        }
        let transport = transport_of(uri, heard.transport);
        let local = if transport == heard.transport && heard.local.is_ipv4() == ip.is_ipv4() {
            Some(heard.local)
        } else {
            let fits =
                |(known, at): &&(Transport, std::net::SocketAddr)| *known == transport && at.is_ipv4() == ip.is_ipv4();
            self.config.listeners.iter().find(fits).map(|(_, at)| *at)
        };
        let Some(local) = local else { return heard };
        let port = uri.port.unwrap_or(transport.default_port());
        Flow { transport, local, remote: std::net::SocketAddr::new(ip, port) }
    }

    /// A stream is gone: what is still to be said on it goes to where its other side can be reached anew, if anywhere.
    pub(super) fn leave_stream(&mut self, flow: Flow) {
        if !flow.transport.is_reliable() {
            return;
        }
        for call in self.calls.values_mut() {
            if let super::call::Phase::Talking(session) = &mut call.phase
                && session.way == flow
                && let Some(uri) = session.dialog.next_hop().as_sip()
            {
                let port = uri.port.unwrap_or(flow.transport.default_port());
                let followed = uri.host.ip().filter(|ip| may_follow(*ip, flow) && ip.is_ipv4() == flow.local.is_ipv4());
                let ip = followed.unwrap_or(flow.remote.ip());
                session.way.remote = std::net::SocketAddr::new(ip, port);
            }
        }
    }

    /// The same request once more with an answer to the challenge; `None` if that makes no sense.
    pub(super) fn proved(
        &mut self,
        request: &Request,
        response: &Response,
        credentials: Option<&Credentials>,
        proofs: &mut Proofs,
    ) -> Option<Request> {
        if !matches!(response.status, 401 | 407) || !proofs.challenged(request, response) {
            return None;
        }
        let mut again = request.clone();
        again.envelope.cseq.sequence += 1;
        proofs.authorize(&mut again, credentials?, &mut self.tokens);
        Some(again)
    }

    /// An answer to a request of ours.
    pub(super) fn on_response(&mut self, client: ClientId, response: &Response, flow: Flow, now: Instant) {
        let Some(asked) = self.asked.get(&client) else { return };
        let (purpose, request) = (asked.purpose, asked.request.clone());
        match purpose {
            Purpose::Invite(id) if self.calls.contains_key(&id) => {
                self.with_call(id, |endpoint, call| {
                    endpoint.invite_answered(id, call, client, &request, response, flow, now)
                });
            }
            Purpose::Invite(_) | Purpose::Abandoned => self.abandoned_answered(client, &request, response, flow, now),
            _ if response.is_provisional() => {}
            Purpose::Offer(id) | Purpose::Refresh(id) => {
                let is_refresh = matches!(purpose, Purpose::Refresh(_));
                if self.calls.contains_key(&id) {
                    self.with_call(id, |endpoint, call| {
                        endpoint.offer_answered(id, call, &request, response, flow, is_refresh, now)
                    });
                } else if response.is_success() && request.method == Method::Invite {
                    // The call ended meanwhile; the answer must be confirmed all the same.
                    self.confirm_stray(&request, response, flow, now);
                }
            }
            Purpose::Refer(id) => {
                self.with_call(id, |endpoint, call| endpoint.refer_answered(id, call, &request, response, now));
            }
            Purpose::Bye => self.bye_answered(client, &request, response, now),
            Purpose::Courtesy => {}
            Purpose::Register(id) => self.register_answered(id, &request, response, now),
            Purpose::Ping(ping) => self.events.push_back(Event::Pong { ping, status: Some(response.status) }),
        }
    }

    /// No answer to a request of ours: as if it were this one (§8.1.3.1).
    pub(super) fn on_silence(&mut self, client: ClientId, status: u16, now: Instant) {
        let Some(asked) = self.asked.get(&client) else { return };
        let (purpose, request, flow) = (asked.purpose, asked.request.clone(), asked.flow);
        match purpose {
            Purpose::Register(id) => self.register_unanswered(id, now),
            Purpose::Ping(ping) => self.events.push_back(Event::Pong { ping, status: None }),
            Purpose::Abandoned | Purpose::Bye | Purpose::Courtesy => {}
            Purpose::Invite(id) => self.with_call(id, |endpoint, call| {
                if endpoint.is_current(call, client) {
                    endpoint.attempt_failed(id, call, status, crate::message::reason_phrase(status), Vec::new(), now)
                } else {
                    Fate::Stays
                }
            }),
            Purpose::Offer(_) | Purpose::Refresh(_) | Purpose::Refer(_) => {
                self.on_response(client, &request.respond(status), flow, now);
            }
        }
    }

    fn bye_answered(&mut self, client: ClientId, request: &Request, response: &Response, now: Instant) {
        let Some(asked) = self.asked.get_mut(&client) else { return };
        let flow = asked.flow;
        let Some((credentials, mut proofs)) = asked.proofs.take() else { return };
        if let Some(again) = self.proved(request, response, Some(&credentials), &mut proofs) {
            self.send(again, flow, Purpose::Bye, now);
        }
    }
}

fn transport_of(uri: &SipUri, otherwise: Transport) -> Transport {
    match uri.param("transport").map(str::to_ascii_lowercase).as_deref() {
        Some("udp") => Transport::Udp,
        Some("tcp") if !uri.secure => Transport::Tcp,
        Some("tls" | "tcp") => Transport::Tls,
        _ if uri.secure => Transport::Tls,
        // The default for sip: is UDP; on an encrypted call nothing is sent in the clear for want of a parameter.
        None if otherwise == Transport::Tls => Transport::Tls,
        None => Transport::Udp,
        Some(_) => otherwise,
    }
}

/// Whom a request is for, as a Contact's user part.
pub(super) fn user_of(uri: &Uri) -> Option<String> {
    uri.as_sip().and_then(SipUri::user_text)
}
