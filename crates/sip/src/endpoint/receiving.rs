//! What comes in: bytes, then requests of theirs, and to which call they belong.

use std::time::Instant;

use super::call::{Call, Fate, Phase};
use super::{CallId, Ended, Endpoint, Event};
use crate::dialog::DialogId;
use crate::message::{Framing, HeaderName, Message, Method, Refused, Request, parse};
use crate::transaction::ServerId;
use crate::{Flow, Transmit};

impl Endpoint {
    /// A datagram came.
    pub fn receive(&mut self, flow: Flow, bytes: &[u8], now: Instant) {
        // Nothing but line ends or NULs keeps a NAT open and means nothing.
        if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return;
        }
        self.take(flow, bytes, now);
        self.settle(now);
    }

    /// Bytes came on a stream.
    pub fn receive_stream(&mut self, flow: Flow, bytes: &[u8], now: Instant) {
        self.framers.entry(flow).or_default().push(bytes);
        while let Some(framer) = self.framers.get_mut(&flow) {
            match framer.next_frame() {
                Framing::Message(bytes) => self.take(flow, &bytes, now),
                Framing::Ping => self.transmits.push_back(Transmit { flow, bytes: b"\r\n".to_vec(), close: false }),
                Framing::Unfinished => break,
                Framing::Broken(head) => {
                    self.framers.remove(&flow);
                    let bytes = match parse(&head) {
                        Err(Refused::Answered(refused)) => refused.answer().unwrap_or_default(),
                        _ => Vec::new(),
                    };
                    self.transmits.push_back(Transmit { flow, bytes, close: true });
                }
            }
            self.settle(now);
        }
    }

    fn take(&mut self, flow: Flow, bytes: &[u8], now: Instant) {
        match parse(bytes) {
            Ok(message) => {
                if self.lets_in(&message, flow, now) {
                    self.transactions.receive(message, flow, now);
                }
            }
            Err(refused) => {
                let is_cheap = self.gate.admits(flow.remote.ip(), now);
                if let Refused::Answered(bad) = refused
                    && is_cheap
                    && self.would_answer(flow)
                    && let Some(bytes) = bad.answer()
                {
                    self.transmits.push_back(Transmit { flow, bytes, close: false });
                }
            }
        }
    }

    /// What belongs to something that we began or agreed to is always let in; what does not costs a stranger.
    fn lets_in(&mut self, message: &Message, flow: Flow, now: Instant) -> bool {
        let Message::Request(request) = message else { return true };
        let of_dialog = DialogId::of_request(request).is_some_and(|dialog| self.dialogs.contains_key(&dialog));
        // An ACK or CANCEL without its INVITE comes to nothing by itself.
        if of_dialog || matches!(request.method, Method::Ack | Method::Cancel) {
            return true;
        }
        self.gate.admits(flow.remote.ip(), now) && self.would_answer(flow)
    }

    /// A request of theirs that is no repetition.
    pub(super) fn on_request(&mut self, server: ServerId, request: Request, flow: Flow, now: Instant) {
        let dialog = DialogId::of_request(&request);
        let known = dialog.as_ref().and_then(|dialog| self.dialogs.get(dialog).copied());
        match (dialog, known) {
            (_, Some(id)) => {
                self.with_call(id, |endpoint, call| endpoint.request_in_call(id, call, server, &request, flow, now))
            }
            // Nobody is here under this name (§12.2.2).
            (Some(_), None) if request.method != Method::Options => {
                self.answer_finally(server, request.respond(481), now);
            }
            _ => self.request_outside(server, request, flow, now),
        }
    }

    fn request_in_call(
        &mut self,
        id: CallId,
        call: &mut Call,
        server: ServerId,
        request: &Request,
        flow: Flow,
        now: Instant,
    ) -> Fate {
        if let Some(refusal) = self.unsupported(request) {
            self.answer_finally(server, refusal, now);
            return Fate::Stays;
        }
        let in_order = match &mut call.phase {
            Phase::Calling(outgoing) => outgoing.takes_in_order(request),
            Phase::Ringing(incoming) => incoming.dialog.takes_in_order(request),
            Phase::Talking(session) => session.dialog.takes_in_order(request),
        };
        if !in_order {
            self.answer_finally(server, request.respond(500).because("Out Of Order"), now);
            return Fate::Stays;
        }
        if request.method != Method::Bye && matches!(&call.phase, Phase::Talking(session) if session.closing) {
            // For all that they can see it is over already, but for the BYE that may not be said yet.
            self.answer_finally(server, request.respond(481), now);
            return Fate::Stays;
        }
        match (&request.method, &mut call.phase) {
            (Method::Bye, _) => return self.on_bye(id, call, server, request, now),
            (Method::Options, _) => {
                let answer = self.capabilities(request);
                self.answer_finally(server, answer, now);
            }
            (Method::Info, _) => {
                self.answer_finally(server, request.respond(200), now);
                let content_type = request.headers.content_type().ok().flatten();
                let content_type = content_type.map(|media_type| media_type.essence).unwrap_or_default();
                self.events.push_back(Event::Info { call: id, content_type, body: request.body.clone() });
            }
            (Method::Prack, Phase::Ringing(_)) => return self.on_prack(call, server, request, now),
            (Method::Invite | Method::Update, Phase::Talking(session)) => {
                self.on_offer(id, session, server, request, flow, now);
            }
            // Before the first offer is answered there can't be another (RFC 3311 §5.2); one that changes nothing may.
            (Method::Update, _) if request.body.is_empty() => {
                self.answer_finally(server, request.respond(200), now);
            }
            (Method::Invite | Method::Update, _) => {
                let wait = self.tokens.below(10).to_string();
                self.answer_finally(server, request.respond(500).with(HeaderName::RetryAfter, wait), now);
            }
            (Method::Refer, Phase::Talking(session)) => self.on_refer(id, session, server, request, now),
            (Method::Notify, Phase::Talking(session)) => self.on_notify(id, session, server, request, now),
            (Method::Prack | Method::Notify, _) => self.answer_finally(server, request.respond(481), now),
            _ => {
                let refusal = self.not_allowed(request);
                self.answer_finally(server, refusal, now);
            }
        }
        Fate::Stays
    }

    fn on_bye(&mut self, id: CallId, call: &mut Call, server: ServerId, request: &Request, now: Instant) -> Fate {
        self.answer_finally(server, request.respond(200), now);
        match &mut call.phase {
            Phase::Ringing(incoming) => {
                let refusal = incoming.response(487);
                self.answer_finally(incoming.server, refusal, now);
                self.ended(id, Ended::Cancelled)
            }
            // Only the caller may say BYE before there is an answer (§15).
            Phase::Calling(_) => Fate::Stays,
            Phase::Talking(session) if session.closing => Fate::Ends,
            Phase::Talking(session) => {
                self.withdraw_offered(session, now);
                let reason = request.headers.get(&HeaderName::Reason).map(str::to_owned);
                self.ended(id, Ended::ByThem(reason))
            }
        }
    }

    /// The ACK to a 2xx of ours.
    pub(super) fn on_ack(&mut self, ack: &Request, flow: Flow, now: Instant) {
        let Some(&id) = DialogId::of_request(ack).as_ref().and_then(|dialog| self.dialogs.get(dialog)) else { return };
        self.with_call(id, |endpoint, call| match &mut call.phase {
            Phase::Talking(session) => endpoint.acknowledged(id, session, ack, flow, now),
            _ => Fate::Stays,
        });
    }

    /// They no longer want an answer to their INVITE.
    pub(super) fn on_cancelled(&mut self, server: ServerId, now: Instant) {
        let Some(&id) = self.invites.get(&server) else { return };
        self.with_call(id, |endpoint, call| match &mut call.phase {
            Phase::Ringing(incoming) => {
                let refusal = incoming.response(487);
                endpoint.answer_finally(server, refusal, now);
                endpoint.ended(id, Ended::Cancelled)
            }
            Phase::Talking(session) => {
                endpoint.withdraw_offered(session, now);
                Fate::Stays
            }
            Phase::Calling(_) => Fate::Stays,
        });
    }
}
