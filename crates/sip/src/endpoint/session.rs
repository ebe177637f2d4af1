//! A call that is answered: its ACKs, its session timer, and its end.

use std::time::{Duration, Instant};

use super::body::{SDP, sdp};
use super::call::{Call, Fate, Phase};
use super::offers::{Offered, OurOffer};
use super::referral::{OurWish, TheirWish};
use super::sending::{ALLOW, Purpose, SUPPORTED};
use super::{CallId, Ended, Endpoint, Event};
use crate::Flow;
use crate::dialog::{Dialog, SessionPolicy, SessionTimer};
use crate::digest::{Credentials, Session as Proofs};
use crate::message::{HeaderName, Headers, Method, Request, Response};
use crate::transaction::{Retransmission, ServerId};

pub(super) struct Session {
    pub(super) dialog: Dialog,
    /// The way to them.
    pub(super) way: Flow,
    /// The user part of our Contact.
    user: Option<String>,
    /// Who made the Call-ID waits longer after a glare (§14.1).
    pub(super) we_called: bool,
    pub(super) credentials: Option<Credentials>,
    pub(super) proofs: Proofs,
    pub(super) policy: SessionPolicy,
    pub(super) timer: Option<SessionTimer>,
    /// What we last said of our media.
    pub(super) local_sdp: Vec<u8>,
    takes_update: bool,
    /// A 2xx of ours that they have not confirmed.
    pub(super) unconfirmed: Option<Unconfirmed>,
    /// Our ACK to their last 2xx, for when that comes again.
    last_ack: Option<(u32, Vec<u8>)>,
    /// We have hung up; but the callee may say BYE only when the caller has confirmed the answer (§15).
    pub(super) closing: bool,
    pub(super) our_offer: OurOffer,
    pub(super) offered: Option<Offered>,
    pub(super) our_wish: Option<OurWish>,
    pub(super) their_wish: Option<TheirWish>,
}

/// A 2xx to an INVITE, said again until the ACK comes, on a stream as well (§13.3.1.4).
pub(super) struct Unconfirmed {
    server: ServerId,
    response: Response,
    is_offerless: bool,
    retransmission: Retransmission,
    until: Instant,
}

impl Session {
    pub(super) fn new(dialog: Dialog, way: Flow, user: Option<String>, we_called: bool) -> Self {
        Self {
            dialog,
            way,
            user,
            we_called,
            credentials: None,
            proofs: Proofs::default(),
            policy: SessionPolicy::default(),
            timer: None,
            local_sdp: Vec::new(),
            takes_update: false,
            unconfirmed: None,
            last_ack: None,
            closing: false,
            our_offer: OurOffer::None,
            offered: None,
            our_wish: None,
            their_wish: None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        [
            self.unconfirmed.as_ref().map(|one| one.retransmission.at.min(one.until)),
            self.timer.as_ref().map(SessionTimer::deadline),
            self.our_offer.deadline(),
            self.our_wish.as_ref().map(|wish| wish.until),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What their INVITE or 2xx says they can do.
    pub(super) fn note_peer(&mut self, headers: &Headers) {
        if headers.has(&HeaderName::Allow) {
            self.takes_update = headers.lists(&HeaderName::Allow, "UPDATE");
        }
    }
}

impl Endpoint {
    /// The next request within a dialog, with our Contact and what was proved before.
    pub(super) fn in_dialog(&mut self, session: &mut Session, method: Method) -> Request {
        let refreshes_target = matches!(method, Method::Invite | Method::Update | Method::Refer | Method::Notify);
        let mut request = session.dialog.request(method);
        if refreshes_target {
            let contact = self.contact(session.user.as_deref(), session.way);
            request.headers.push(HeaderName::Contact, contact);
            request.headers.push(HeaderName::Allow, ALLOW);
            request.headers.push(HeaderName::Supported, SUPPORTED.join(", "));
        }
        if let Some(credentials) = &session.credentials {
            session.proofs.authorize(&mut request, credentials, &mut self.tokens);
        }
        request
    }

    /// A 2xx within a dialog says who and what we are.
    pub(super) fn describe_session(&self, response: &mut Response, session: &Session) {
        let contact = self.contact(session.user.as_deref(), session.way);
        response.headers.push(HeaderName::Contact, contact);
        response.headers.push(HeaderName::Allow, ALLOW);
        response.headers.push(HeaderName::Supported, SUPPORTED.join(", "));
    }

    /// Sends a 2xx to an INVITE and says it again until it is confirmed.
    pub(super) fn await_ack(
        &mut self,
        session: &mut Session,
        server: ServerId,
        response: Response,
        is_offerless: bool,
        now: Instant,
    ) {
        self.answer_finally(server, response.clone(), now);
        let timers = self.transactions.timers();
        session.unconfirmed = Some(Unconfirmed {
            server,
            response,
            is_offerless,
            retransmission: Retransmission::start(timers.t1, now),
            until: now + timers.patience(),
        });
    }

    /// Confirms a 2xx to an INVITE of ours.
    pub(super) fn acknowledge(&mut self, session: &mut Session, invite: &Request) {
        let sequence = invite.envelope.cseq.sequence;
        let mut ack = session.dialog.ack(sequence);
        // §13.2.2.4: with the same proofs as the INVITE.
        for name in [HeaderName::Authorization, HeaderName::ProxyAuthorization] {
            for value in invite.headers.all(&name) {
                ack.headers.push(name.clone(), value);
            }
        }
        ack.envelope.via.push(self.via(session.way));
        let bytes = ack.to_bytes();
        self.transactions.transmit(session.way, bytes.clone());
        session.last_ack = Some((sequence, bytes));
    }

    /// Their 2xx came again; whether it was this one's.
    pub(super) fn acknowledge_again(&mut self, session: &Session, response: &Response) -> bool {
        let is_ours = response.envelope.to_tag() == Some(&session.dialog.id.remote_tag);
        if let (true, Some((sequence, bytes))) = (is_ours, &session.last_ack)
            && *sequence == response.envelope.cseq.sequence
        {
            self.transactions.transmit(session.way, bytes.clone());
        }
        is_ours
    }

    pub(super) fn acknowledged(
        &mut self,
        id: CallId,
        session: &mut Session,
        ack: &Request,
        flow: Flow,
        now: Instant,
    ) -> Fate {
        let is_awaited = session
            .unconfirmed
            .as_ref()
            .is_some_and(|one| one.response.envelope.cseq.sequence == ack.envelope.cseq.sequence);
        if !is_awaited {
            return Fate::Stays;
        }
        if session.way.remote != flow.remote {
            session.way = self.way_to(&session.dialog, flow);
        }
        if session.closing {
            self.say_bye(session, None, now);
            return Fate::Ends;
        }
        let is_offerless = session.unconfirmed.take().is_some_and(|one| one.is_offerless);
        let answer = if is_offerless { sdp(&ack.headers, &ack.body) } else { None };
        self.events.push_back(Event::Confirmed { call: id, answer });
        self.offer_if_wanted(id, session, now);
        Fate::Stays
    }

    pub(super) fn session_timeout(&mut self, id: CallId, call: &mut Call, now: Instant) -> Fate {
        let Phase::Talking(session) = &mut call.phase else { return Fate::Stays };
        let longest = self.transactions.timers().t2;
        if let Some(one) = &mut session.unconfirmed {
            if one.until <= now {
                self.say_bye(session, None, now);
                return if session.closing { Fate::Ends } else { self.ended(id, Ended::Unconfirmed) };
            }
            if one.retransmission.is_due(longest, now) {
                self.transactions.respond(one.server, &one.response, now);
            }
        }
        if session.closing {
            // Nothing but the ACK is waited for.
            session.timer = None;
            session.our_offer = OurOffer::None;
            session.our_wish = None;
            return Fate::Stays;
        }
        if session.our_wish.as_ref().is_some_and(|wish| wish.until <= now) {
            session.our_wish = None;
            self.events.push_back(Event::Transfer { call: id, status: 408, is_final: true });
        }
        if session.our_offer.deadline().is_some_and(|at| at <= now) {
            self.offer_again(id, session, now);
        }
        if let Some(timer) = session.timer.filter(|timer| timer.deadline() <= now) {
            if !timer.we_refresh() {
                self.say_bye(session, Some("SIP;cause=408;text=\"Session Expired\""), now);
                return self.ended(id, Ended::Lost);
            }
            self.refresh(id, session, now);
        }
        Fate::Stays
    }

    /// Says that the session goes on: with UPDATE, where they know it, or with the media as they are.
    fn refresh(&mut self, id: CallId, session: &mut Session, now: Instant) {
        if session.our_offer.is_under_way() || session.offered.is_some() || session.unconfirmed.is_some() {
            // Something that refreshes as well is under way; if not, there is half the interval left for it.
            if let Some(timer) = &mut session.timer {
                timer.look_again(now);
            }
            return;
        }
        let method = if session.takes_update { Method::Update } else { Method::Invite };
        let mut request = self.in_dialog(session, method.clone());
        self.propose_session(session, &mut request);
        if method == Method::Invite {
            request.set_body(SDP, session.local_sdp.clone());
        }
        if let Some(timer) = &mut session.timer {
            timer.wait_for_refresh(now);
        }
        session.our_offer = OurOffer::UnderWay { method, body: session.local_sdp.clone() };
        self.send(request, session.way, Purpose::Refresh(id), now);
    }

    /// The interval as it was agreed, and that we go on refreshing it if we do.
    pub(super) fn propose_session(&self, session: &Session, request: &mut Request) {
        let interval = session.timer.as_ref().map_or(session.policy.interval, SessionTimer::interval);
        let refresher = session.timer.as_ref().map(SessionTimer::refresher_as_uac);
        SessionPolicy { interval, ..session.policy }.propose(&mut request.headers, refresher);
    }

    /// Hangs up. What they say to it matters only if they want to know who we are.
    pub(super) fn say_bye(&mut self, session: &mut Session, reason: Option<&str>, now: Instant) {
        self.withdraw_offered(session, now);
        let mut bye = self.in_dialog(session, Method::Bye);
        if let Some(reason) = reason {
            bye.headers.push(HeaderName::Reason, reason);
        }
        let client = self.send(bye, session.way, Purpose::Bye, now);
        if let (Some(credentials), Some(asked)) = (session.credentials.clone(), self.asked.get_mut(&client)) {
            asked.proofs = Some((credentials, session.proofs.clone()));
        }
    }

    /// They are gone: nothing is agreed any more, but if somebody is there after all, he shall know (§12.2.1.2).
    pub(super) fn lost(&mut self, id: CallId, session: &mut Session, now: Instant) -> Fate {
        self.say_bye(session, None, now);
        self.ended(id, Ended::Lost)
    }
}

/// After how long a glare is tried again (§14.1).
pub(super) fn glare_wait(we_called: bool) -> (Duration, Duration) {
    if we_called {
        (Duration::from_millis(2100), Duration::from_secs(4))
    } else {
        (Duration::ZERO, Duration::from_secs(2))
    }
}
