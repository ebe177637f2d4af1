//! A call of theirs until we answer: ringing, reliably where they can (RFC 3262), and the 2xx that waits for its turn.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::body::{SDP, sdp};
use super::call::{Call, Fate, Phase};
use super::sending::{ALLOW, SUPPORTED, user_of};
use super::session::Session;
use super::{CallId, Ended, Endpoint, Event, OrderError, PeerName};
use crate::Flow;
use crate::dialog::{Dialog, SessionTimer, TooBrief};
use crate::message::{HeaderName, Request, Response};
use crate::transaction::{Retransmission, ServerId};

pub(super) struct Incoming {
    pub(super) server: ServerId,
    invite: Request,
    pub(super) dialog: Dialog,
    flow: Flow,
    timer: SessionTimer,
    /// They can acknowledge provisional responses.
    reliable: bool,
    rseq: u32,
    unacknowledged: Option<Provisional>,
    waiting: VecDeque<Response>,
    accepted: Option<(Response, Vec<u8>)>,
    /// The last provisional response is said again from time to time, or a proxy gives up (§13.3.1.1).
    repeat: Option<(Response, Instant)>,
    /// Who calls may be gone without our knowing: nothing says so while it rings.
    ring_until: Instant,
}

struct Provisional {
    response: Response,
    rseq: u32,
    retransmission: Retransmission,
    until: Instant,
}

const REPEAT_EVERY: Duration = Duration::from_secs(60);

impl Incoming {
    pub(super) fn deadline(&self) -> Option<Instant> {
        let provisional = self.unacknowledged.as_ref().map(|one| one.retransmission.at.min(one.until));
        let repeat = self.repeat.as_ref().map(|(_, at)| *at);
        [provisional, repeat, Some(self.ring_until)].into_iter().flatten().min()
    }

    /// A response within the dialog that this call is, or would be.
    pub(super) fn response(&self, status: u16) -> Response {
        self.invite.respond_tagged(status, &self.dialog.id.local_tag)
    }
}

impl Endpoint {
    pub(super) fn on_invite(
        &mut self,
        server: ServerId,
        invite: Request,
        flow: Flow,
        peers: Vec<PeerName>,
        now: Instant,
    ) {
        let tag = self.tokens.tag();
        if self.calls.len() >= self.config.most_calls {
            let full = invite.respond_tagged(503, &tag).with(HeaderName::RetryAfter, "10");
            return self.answer_finally(server, full, now);
        }
        let timer = match self.config.session.answer(&invite.headers, now) {
            Ok(timer) => timer,
            Err(TooBrief(least)) => {
                let refusal = invite.respond_tagged(422, &tag).with(HeaderName::MinSe, least.as_secs().to_string());
                return self.answer_finally(server, refusal, now);
            }
        };
        let id = CallId(self.next_id());
        let dialog = Dialog::from_invite(&invite, &tag);
        let offer = sdp(&invite.headers, &invite.body);
        // Our first reliable response to an INVITE without an offer would have to carry one (§13.2.1).
        let reliable = (invite.headers.lists(&HeaderName::Supported, "100rel") && offer.is_some())
            || invite.headers.lists(&HeaderName::Require, "100rel");
        let event = Event::Incoming { call: id, offer, invite: Box::new(invite.clone()), flow, peers };
        self.events.push_back(event);
        self.invites.insert(server, id);
        let name = dialog.id.clone();
        let incoming = Incoming {
            server,
            invite,
            dialog,
            flow,
            timer,
            reliable,
            rseq: self.tokens.below(1 << 16) + 1,
            unacknowledged: None,
            waiting: VecDeque::new(),
            accepted: None,
            repeat: None,
            ring_until: now + self.config.ring_at_most,
        };
        let mut call = Call::new(Phase::Ringing(Box::new(incoming)));
        self.remember_dialog(id, &mut call, &name);
        self.keep_call(id, call);
    }

    /// Tells the caller that it rings (180), or lets him hear something first (183 with SDP).
    ///
    /// # Errors
    /// [`OrderError`], unless the call is theirs and not answered.
    pub fn ring(&mut self, id: CallId, status: u16, early: Option<Vec<u8>>, now: Instant) -> Result<(), OrderError> {
        self.order(id, now, |endpoint, call| {
            let Phase::Ringing(incoming) = &mut call.phase else { return Err(OrderError::WrongState) };
            if incoming.accepted.is_some() || !(101..200).contains(&status) {
                return Err(OrderError::WrongState);
            }
            let mut response = incoming.response(status);
            endpoint.describe_us(&mut response, incoming);
            response.set_body(SDP, early.unwrap_or_default());
            if incoming.reliable {
                incoming.rseq += 1;
                response.headers.push(HeaderName::Require, "100rel");
                response.headers.push(HeaderName::RSeq, incoming.rseq.to_string());
                incoming.waiting.push_back(response);
                endpoint.say_next_provisional(incoming, now);
            } else {
                endpoint.transactions.respond(incoming.server, &response, now);
                incoming.repeat = Some((response, now + REPEAT_EVERY));
            }
            Ok(Fate::Stays)
        })
    }

    /// Answers a call, with our answer to their offer, or with our offer if they made none.
    ///
    /// # Errors
    /// [`OrderError`], unless the call is theirs and not answered.
    pub fn accept(&mut self, id: CallId, body: Vec<u8>, now: Instant) -> Result<(), OrderError> {
        self.order(id, now, |endpoint, call| {
            let Phase::Ringing(incoming) = &mut call.phase else { return Err(OrderError::WrongState) };
            if incoming.accepted.is_some() {
                return Err(OrderError::WrongState);
            }
            let mut response = incoming.response(200);
            endpoint.describe_us(&mut response, incoming);
            // It runs from the answer on, not from the first ring.
            if let Ok(timer) = endpoint.config.session.answer(&incoming.invite.headers, now) {
                incoming.timer = timer;
            }
            incoming.timer.put_on_answer(&mut response.headers);
            response.set_body(SDP, body.clone());
            incoming.accepted = Some((response, body));
            incoming.repeat = None;
            Ok(endpoint.answer_if_possible(call, now))
        })
    }

    /// Refuses a call.
    ///
    /// # Errors
    /// [`OrderError`], unless the call is theirs and not answered.
    pub fn reject(&mut self, id: CallId, status: u16, now: Instant) -> Result<(), OrderError> {
        self.order(id, now, |endpoint, call| {
            let Phase::Ringing(incoming) = &mut call.phase else { return Err(OrderError::WrongState) };
            if !(300..700).contains(&status) {
                return Err(OrderError::WrongState);
            }
            let refusal = incoming.response(status);
            endpoint.answer_finally(incoming.server, refusal, now);
            Ok(Fate::Ends)
        })
    }

    fn describe_us(&self, response: &mut Response, incoming: &Incoming) {
        for value in incoming.invite.headers.all(&HeaderName::RecordRoute) {
            response.headers.push(HeaderName::RecordRoute, value);
        }
        let contact = self.contact(user_of(&incoming.invite.uri).as_deref(), incoming.flow);
        response.headers.push(HeaderName::Contact, contact);
        response.headers.push(HeaderName::Allow, ALLOW);
        response.headers.push(HeaderName::Supported, SUPPORTED.join(", "));
    }

    /// One reliable provisional response at a time.
    fn say_next_provisional(&mut self, incoming: &mut Incoming, now: Instant) {
        if incoming.unacknowledged.is_some() {
            return;
        }
        let Some(response) = incoming.waiting.pop_front() else { return };
        self.transactions.respond(incoming.server, &response, now);
        let timers = self.transactions.timers();
        incoming.unacknowledged = Some(Provisional {
            rseq: response.headers.rseq().ok().flatten().unwrap_or_default(),
            response,
            retransmission: Retransmission::start(timers.t1, now),
            until: now + timers.patience(),
        });
    }

    pub(super) fn on_prack(&mut self, call: &mut Call, server: ServerId, prack: &Request, now: Instant) -> Fate {
        let Phase::Ringing(incoming) = &mut call.phase else { return Fate::Stays };
        let rack = prack.headers.rack().ok().flatten();
        let is_ours = incoming.unacknowledged.as_ref().is_some_and(|provisional| {
            rack.is_some_and(|rack| rack.rseq == provisional.rseq && rack.cseq == incoming.invite.envelope.cseq)
        });
        if !is_ours {
            self.answer_finally(server, prack.respond(481), now);
            return Fate::Stays;
        }
        incoming.unacknowledged = None;
        // A further offer may come in a PRACK; we make our changes after the answer.
        let status = if prack.body.is_empty() { 200 } else { 488 };
        self.answer_finally(server, prack.respond(status), now);
        self.say_next_provisional(incoming, now);
        self.answer_if_possible(call, now)
    }

    pub(super) fn incoming_timeout(&mut self, id: CallId, call: &mut Call, now: Instant) -> Fate {
        let Phase::Ringing(incoming) = &mut call.phase else { return Fate::Stays };
        if incoming.ring_until <= now {
            let refusal = incoming.response(480);
            self.answer_finally(incoming.server, refusal, now);
            return self.ended(id, Ended::Unanswered);
        }
        let longest = self.transactions.timers().patience();
        if let Some(provisional) = &mut incoming.unacknowledged {
            if provisional.until <= now {
                // Who asks for reliability and does not acknowledge is gone (RFC 3262 §3).
                let refusal = incoming.response(504);
                self.answer_finally(incoming.server, refusal, now);
                return self.ended(id, Ended::Unconfirmed);
            }
            if provisional.retransmission.is_due(longest, now) {
                self.transactions.respond(incoming.server, &provisional.response, now);
            }
        }
        if let Some((response, at)) = &mut incoming.repeat
            && *at <= now
        {
            *at = now + REPEAT_EVERY;
            self.transactions.respond(incoming.server, response, now);
        }
        Fate::Stays
    }

    /// The 2xx, unless a reliable provisional response is still to be acknowledged (RFC 3262 §5).
    fn answer_if_possible(&mut self, call: &mut Call, now: Instant) -> Fate {
        let Phase::Ringing(incoming) = &mut call.phase else { return Fate::Stays };
        if incoming.unacknowledged.is_some() || !incoming.waiting.is_empty() {
            return Fate::Stays;
        }
        let Some((response, body)) = incoming.accepted.take() else { return Fate::Stays };
        let way = self.way_to(&incoming.dialog, incoming.flow);
        let mut session = Session::new(incoming.dialog.clone(), way, user_of(&incoming.invite.uri), false);
        session.policy = self.config.session;
        session.timer = Some(incoming.timer);
        session.local_sdp = body;
        session.note_peer(&incoming.invite.headers);
        let (server, is_offerless) = (incoming.server, sdp(&incoming.invite.headers, &incoming.invite.body).is_none());
        self.await_ack(&mut session, server, response, is_offerless, now);
        call.phase = Phase::Talking(Box::new(session));
        Fate::Stays
    }
}
