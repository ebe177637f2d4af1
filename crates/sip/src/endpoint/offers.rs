//! Offers while a call goes on (§14, RFC 3311): hold, another codec, another address. One at a time: what meets another is
//! told 491, and we try again after a while.

use std::time::Instant;

use super::body::{Content, SDP, content, sdp};
use super::call::{Call, Fate, Phase};
use super::screening::unreadable;
use super::sending::Purpose;
use super::session::{Session, glare_wait};
use super::{CallId, Endpoint, Event, OrderError};
use crate::Flow;
use crate::dialog::{SessionPolicy, TooBrief};
use crate::message::{HeaderName, Method, Request, Response};
use crate::transaction::ServerId;

/// An offer or a refresh of ours.
pub(super) enum OurOffer {
    None,
    /// Asked, and not answered.
    UnderWay {
        method: Method,
        body: Vec<u8>,
    },
    /// It met theirs, or something else was unfinished; it is made again then.
    Waiting {
        body: Vec<u8>,
        until: Option<Instant>,
    },
}

impl OurOffer {
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Waiting { until, .. } => *until,
            Self::None | Self::UnderWay { .. } => None,
        }
    }

    pub(super) fn is_under_way(&self) -> bool {
        matches!(self, Self::UnderWay { .. })
    }
}

/// An offer of theirs that waits for our answer.
pub(super) struct Offered {
    server: ServerId,
    request: Request,
}

impl Endpoint {
    /// Offers other media: hold, resume, another address. [`Event::OfferAnswered`] or [`Event::OfferRefused`] follows, unless
    /// the call ends first.
    ///
    /// # Errors
    /// [`OrderError::Pending`] while an offer of ours is open or one of theirs waits for an answer.
    pub fn offer(&mut self, id: CallId, body: Vec<u8>, now: Instant) -> Result<(), OrderError> {
        self.order(id, now, |endpoint, call| {
            let Phase::Talking(session) = &mut call.phase else { return Err(OrderError::WrongState) };
            if !matches!(session.our_offer, OurOffer::None) || session.offered.is_some() {
                return Err(OrderError::Pending);
            }
            if session.unconfirmed.is_some() {
                // Not before they have our answer to their own INVITE.
                session.our_offer = OurOffer::Waiting { body, until: None };
            } else {
                endpoint.make_offer(id, session, body, now);
            }
            Ok(Fate::Stays)
        })
    }

    /// Answers their offer, or makes ours where they asked for one.
    ///
    /// # Errors
    /// [`OrderError::WrongState`] if there is none.
    pub fn answer_offer(&mut self, id: CallId, body: Vec<u8>, now: Instant) -> Result<(), OrderError> {
        self.order(id, now, |endpoint, call| {
            let Phase::Talking(session) = &mut call.phase else { return Err(OrderError::WrongState) };
            let Some(Offered { server, request }) = session.offered.take() else { return Err(OrderError::WrongState) };
            let mut response = request.respond(200);
            endpoint.describe_session(&mut response, session);
            if let Ok(timer) = session.policy.answer(&request.headers, now) {
                timer.put_on_answer(&mut response.headers);
                session.timer = Some(timer);
            }
            response.set_body(SDP, body.clone());
            session.local_sdp = body;
            if request.method == Method::Invite {
                let is_offerless = sdp(&request.headers, &request.body).is_none();
                endpoint.await_ack(session, server, response, is_offerless, now);
            } else {
                endpoint.answer_finally(server, response, now);
            }
            Ok(Fate::Stays)
        })
    }

    /// Refuses their offer; the media stay as they are.
    ///
    /// # Errors
    /// [`OrderError::WrongState`] if there is none.
    pub fn refuse_offer(&mut self, id: CallId, status: u16, now: Instant) -> Result<(), OrderError> {
        self.order(id, now, |endpoint, call| {
            let Phase::Talking(session) = &mut call.phase else { return Err(OrderError::WrongState) };
            let Some(Offered { server, request }) = session.offered.take() else { return Err(OrderError::WrongState) };
            let status = if (300..700).contains(&status) { status } else { 488 };
            endpoint.answer_finally(server, request.respond(status), now);
            Ok(Fate::Stays)
        })
    }

    fn make_offer(&mut self, id: CallId, session: &mut Session, body: Vec<u8>, now: Instant) {
        let mut invite = self.in_dialog(session, Method::Invite);
        self.propose_session(session, &mut invite);
        invite.set_body(SDP, body.clone());
        session.our_offer = OurOffer::UnderWay { method: Method::Invite, body };
        self.send(invite, session.way, Purpose::Offer(id), now);
    }

    /// The time of an offer that had to wait has come.
    pub(super) fn offer_again(&mut self, id: CallId, session: &mut Session, now: Instant) {
        let OurOffer::Waiting { body, until } = &mut session.our_offer else { return };
        if session.offered.is_some() || session.unconfirmed.is_some() {
            *until = None;
            return;
        }
        let body = std::mem::take(body);
        self.make_offer(id, session, body, now);
    }

    /// They have confirmed what they asked for; now we may ask.
    pub(super) fn offer_if_wanted(&mut self, id: CallId, session: &mut Session, now: Instant) {
        if matches!(session.our_offer, OurOffer::Waiting { until: None, .. }) {
            self.offer_again(id, session, now);
        }
    }

    /// A re-INVITE or UPDATE of theirs.
    pub(super) fn on_offer(
        &mut self,
        id: CallId,
        session: &mut Session,
        server: ServerId,
        request: &Request,
        flow: Flow,
        now: Instant,
    ) {
        let is_update = request.method == Method::Update;
        let changes_nothing = is_update && matches!(content(&request.headers, &request.body), Content::None);
        if session.our_offer.is_under_way() && !changes_nothing {
            return self.answer_finally(server, request.respond(491), now);
        }
        if session.offered.is_some() {
            let wait = self.tokens.below(10).to_string();
            return self.answer_finally(server, request.respond(500).with(HeaderName::RetryAfter, wait), now);
        }
        if let Some(refusal) = unreadable(request) {
            return self.answer_finally(server, refusal, now);
        }
        let timer = match session.policy.answer(&request.headers, now) {
            Ok(timer) => timer,
            Err(TooBrief(least)) => {
                let refusal = request.respond(422).with(HeaderName::MinSe, least.as_secs().to_string());
                return self.answer_finally(server, refusal, now);
            }
        };
        // A new INVITE says as much as the ACK that was lost.
        session.unconfirmed = None;
        session.note_peer(&request.headers);
        session.dialog.refresh_target(&request.headers);
        session.way = self.way_to(&session.dialog, flow);
        if changes_nothing {
            let mut response = request.respond(200);
            self.describe_session(&mut response, session);
            timer.put_on_answer(&mut response.headers);
            session.timer = Some(timer);
            return self.answer_finally(server, response, now);
        }
        let offer = sdp(&request.headers, &request.body);
        session.offered = Some(Offered { server, request: request.clone() });
        if !is_update {
            self.invites.insert(server, id);
        }
        self.events.push_back(Event::Offer { call: id, offer });
    }

    /// Their offer comes to nothing, because the call ends or they took it back.
    pub(super) fn withdraw_offered(&mut self, session: &mut Session, now: Instant) {
        if let Some(Offered { server, request }) = session.offered.take() {
            self.answer_finally(server, request.respond(487), now);
        }
    }

    /// What they say to an offer or refresh of ours.
    #[expect(clippy::too_many_arguments, reason = "what came, and to what")]
    pub(super) fn offer_answered(
        &mut self,
        id: CallId,
        call: &mut Call,
        request: &Request,
        response: &Response,
        flow: Flow,
        is_refresh: bool,
        now: Instant,
    ) -> Fate {
        let Phase::Talking(session) = &mut call.phase else { return Fate::Stays };
        if response.is_success() && request.method == Method::Invite && !session.our_offer.is_under_way() {
            self.acknowledge_again(session, response);
            return Fate::Stays;
        }
        let OurOffer::UnderWay { method, body } = std::mem::replace(&mut session.our_offer, OurOffer::None) else {
            return Fate::Stays;
        };
        let purpose = if is_refresh { Purpose::Refresh(id) } else { Purpose::Offer(id) };
        match response.status {
            200..=299 => {
                session.dialog.refresh_target(&response.headers);
                session.way = self.way_to(&session.dialog, flow);
                session.timer = session.policy.agreed(&response.headers, now);
                if method == Method::Invite {
                    self.acknowledge(session, request);
                }
                if !is_refresh {
                    session.local_sdp = body;
                    let answer = sdp(&response.headers, &response.body);
                    self.events.push_back(Event::OfferAnswered { call: id, answer });
                }
            }
            // The dialog is gone, or they are (§12.2.1.2).
            408 | 481 => return self.lost(id, session, now),
            491 if !is_refresh => {
                let (least, most) = glare_wait(session.we_called);
                let until = now + self.tokens.between(least, most);
                session.our_offer = OurOffer::Waiting { body, until: Some(until) };
            }
            _ => {
                if let Some(again) = self.changed_offer(session, request, response) {
                    session.our_offer = OurOffer::UnderWay { method, body };
                    self.send(again, session.way, purpose, now);
                } else if !is_refresh {
                    self.events.push_back(Event::OfferRefused { call: id, status: response.status });
                } else if let Some(timer) = &mut session.timer {
                    timer.look_again(now);
                }
            }
        }
        Fate::Stays
    }

    fn changed_offer(&mut self, session: &mut Session, request: &Request, response: &Response) -> Option<Request> {
        let mut again = if response.status == 422 {
            let least = response.headers.seconds(&HeaderName::MinSe).ok().flatten()?;
            if least <= session.policy.least {
                return None;
            }
            session.policy = SessionPolicy { interval: session.policy.interval.max(least), least };
            let mut again = request.clone();
            session.policy.propose(&mut again.headers, None);
            again
        } else {
            let credentials = session.credentials.clone();
            self.proved(request, response, credentials.as_ref(), &mut session.proofs)?
        };
        session.dialog.local_sequence += 1;
        again.envelope.cseq.sequence = session.dialog.local_sequence;
        Some(again)
    }
}
