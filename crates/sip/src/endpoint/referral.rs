//! Handing calls over (RFC 3515, RFC 4488): REFER both ways, and the NOTIFYs that tell how it goes.

use std::time::{Duration, Instant};

use super::call::{Call, Fate, Phase};
use super::sending::Purpose;
use super::session::Session;
use super::{CallId, Endpoint, Event, OrderError};
use crate::message::{HeaderName, Method, NameAddr, Request, Response, Uri, reason_phrase};
use crate::transaction::ServerId;

/// How long a subscription to a transfer lasts that tells nothing.
const PATIENCE: Duration = Duration::from_secs(180);
const SIPFRAG: &str = "message/sipfrag;version=2.0";

/// We asked them to call somebody.
pub(super) struct OurWish {
    pub(super) until: Instant,
}

/// They asked us to call somebody.
pub(super) struct TheirWish {
    /// Waits for our answer; afterwards it wants to know how it goes.
    open: Option<(ServerId, Request)>,
    /// Which REFER it was.
    sequence: u32,
    /// They do not want to be told (RFC 4488).
    silent: bool,
}

fn refer_sub() -> HeaderName {
    HeaderName::Extension("Refer-Sub".to_owned())
}

impl Endpoint {
    /// Asks them to call somebody else instead (a blind transfer; with `Replaces` in the URI, an attended one).
    /// [`Event::Transfer`] tells how it goes.
    ///
    /// # Errors
    /// [`OrderError::Pending`] while another transfer is under way.
    pub fn transfer(&mut self, id: CallId, target: &Uri, now: Instant) -> Result<(), OrderError> {
        self.order(id, now, |endpoint, call| {
            let Phase::Talking(session) = &mut call.phase else { return Err(OrderError::WrongState) };
            if session.our_wish.is_some() {
                return Err(OrderError::Pending);
            }
            let mut refer = endpoint.in_dialog(session, Method::Refer);
            refer.headers.push(HeaderName::ReferTo, NameAddr::new(target.clone()).to_string());
            let us = NameAddr::new(session.dialog.local.uri.clone()).to_string();
            refer.headers.push(HeaderName::ReferredBy, us);
            session.our_wish = Some(OurWish { until: now + PATIENCE });
            endpoint.send(refer, session.way, Purpose::Refer(id), now);
            Ok(Fate::Stays)
        })
    }

    pub(super) fn refer_answered(
        &mut self,
        id: CallId,
        call: &mut Call,
        request: &Request,
        response: &Response,
        now: Instant,
    ) -> Fate {
        let Phase::Talking(session) = &mut call.phase else { return Fate::Stays };
        if response.is_success() {
            if response.headers.get(&refer_sub()).is_some_and(|value| value.eq_ignore_ascii_case("false")) {
                session.our_wish = None;
                self.events.push_back(Event::Transfer { call: id, status: response.status, is_final: true });
            }
            return Fate::Stays;
        }
        let credentials = session.credentials.clone();
        if let Some(mut again) = self.proved(request, response, credentials.as_ref(), &mut session.proofs) {
            session.dialog.local_sequence += 1;
            again.envelope.cseq.sequence = session.dialog.local_sequence;
            self.send(again, session.way, Purpose::Refer(id), now);
            return Fate::Stays;
        }
        session.our_wish = None;
        self.events.push_back(Event::Transfer { call: id, status: response.status, is_final: true });
        // 408 and 481 end the call (§12.2.1.2), but for a REFER that a proxy would not pass on it is not worth it: the
        // session timer finds out whether they are there.
        Fate::Stays
    }

    pub(super) fn on_notify(
        &mut self,
        id: CallId,
        session: &mut Session,
        server: ServerId,
        request: &Request,
        now: Instant,
    ) {
        let event = request.headers.get(&HeaderName::Event).unwrap_or_default();
        if !event.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("refer") {
            return self.answer_finally(server, request.respond(489).with(HeaderName::AllowEvents, "refer"), now);
        }
        let Some(wish) = &mut session.our_wish else {
            return self.answer_finally(server, request.respond(481), now);
        };
        let Some(status) = sipfrag_status(&request.body) else {
            return self.answer_finally(server, request.respond(400).because("Bad sipfrag"), now);
        };
        let state = request.headers.get(&HeaderName::SubscriptionState).unwrap_or_default().to_ascii_lowercase();
        let is_final = status >= 200 || state.starts_with("terminated");
        if is_final {
            session.our_wish = None;
        } else {
            wish.until = now + PATIENCE;
        }
        self.answer_finally(server, request.respond(200), now);
        self.events.push_back(Event::Transfer { call: id, status, is_final });
    }

    pub(super) fn on_refer(
        &mut self,
        id: CallId,
        session: &mut Session,
        server: ServerId,
        request: &Request,
        now: Instant,
    ) {
        if session.their_wish.is_some() {
            return self.answer_finally(server, request.respond(491), now);
        }
        let Ok(Some(refer_to)) = request.headers.refer_to() else {
            return self.answer_finally(server, request.respond(400).because("Missing Refer-To"), now);
        };
        let silent = request.headers.get(&refer_sub()).is_some_and(|value| value.eq_ignore_ascii_case("false"));
        let sequence = request.envelope.cseq.sequence;
        session.their_wish = Some(TheirWish { open: Some((server, request.clone())), sequence, silent });
        let referred_by = request.headers.get(&HeaderName::ReferredBy).map(str::to_owned);
        self.events.push_back(Event::Referred { call: id, refer_to: Box::new(refer_to), referred_by });
    }

    /// Says that we will call whom they want. Tell them how it goes with [`Self::report_referral`].
    ///
    /// # Errors
    /// [`OrderError::WrongState`] if they want nothing.
    pub fn accept_referral(&mut self, id: CallId, now: Instant) -> Result<(), OrderError> {
        self.order(id, now, |endpoint, call| {
            let Phase::Talking(session) = &mut call.phase else { return Err(OrderError::WrongState) };
            let Some(TheirWish { open, silent, .. }) = &mut session.their_wish else {
                return Err(OrderError::WrongState);
            };
            let Some((server, request)) = open.take() else { return Err(OrderError::WrongState) };
            let mut response = request.respond(202);
            let silent = *silent;
            if silent {
                response.headers.push(refer_sub(), "false");
                session.their_wish = None;
            }
            endpoint.describe_session(&mut response, session);
            endpoint.answer_finally(server, response, now);
            if !silent {
                endpoint.notify(session, 100, now);
            }
            Ok(Fate::Stays)
        })
    }

    /// Says that we won't.
    ///
    /// # Errors
    /// [`OrderError::WrongState`] if they want nothing.
    pub fn refuse_referral(&mut self, id: CallId, status: u16, now: Instant) -> Result<(), OrderError> {
        self.order(id, now, |endpoint, call| {
            let Phase::Talking(session) = &mut call.phase else { return Err(OrderError::WrongState) };
            let open = session.their_wish.as_mut().and_then(|wish| wish.open.take());
            let Some((server, request)) = open else { return Err(OrderError::WrongState) };
            session.their_wish = None;
            let status = if (300..700).contains(&status) { status } else { 603 };
            endpoint.answer_finally(server, request.respond(status), now);
            Ok(Fate::Stays)
        })
    }

    /// Tells them how the call goes that they wanted; from 200 on that is the last word.
    ///
    /// # Errors
    /// [`OrderError::WrongState`] if there is nobody to tell.
    pub fn report_referral(&mut self, id: CallId, status: u16, now: Instant) -> Result<(), OrderError> {
        self.order(id, now, |endpoint, call| {
            let Phase::Talking(session) = &mut call.phase else { return Err(OrderError::WrongState) };
            if session.their_wish.as_ref().is_none_or(|wish| wish.open.is_some()) {
                return Err(OrderError::WrongState);
            }
            endpoint.notify(session, status, now);
            Ok(Fate::Stays)
        })
    }

    fn notify(&mut self, session: &mut Session, status: u16, now: Instant) {
        let Some(sequence) = session.their_wish.as_ref().map(|wish| wish.sequence) else { return };
        let mut notify = self.in_dialog(session, Method::Notify);
        notify.headers.push(HeaderName::Event, format!("refer;id={sequence}"));
        let state = if status >= 200 {
            session.their_wish = None;
            "terminated;reason=noresource"
        } else {
            "active;expires=180"
        };
        notify.headers.push(HeaderName::SubscriptionState, state);
        notify.set_body(SIPFRAG, format!("SIP/2.0 {status} {}\r\n", reason_phrase(status)));
        self.send(notify, session.way, Purpose::Courtesy, now);
    }
}

/// The status line that a NOTIFY carries.
fn sipfrag_status(body: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(body).ok()?.lines().next()?;
    let status = line.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()?;
    (100..700).contains(&status).then_some(status)
}
