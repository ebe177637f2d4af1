//! A call of ours until it is answered: targets one after the other, early dialogs, reliable provisional responses, a
//! challenge, an interval that was too small, and forks that answer when another has already.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::body::{SDP, sdp};
use super::call::{Call, Fate, Phase};
use super::sending::{ALLOW, Purpose, SUPPORTED, user_of};
use super::session::Session;
use super::targets::in_order;
use super::{CallId, CallOrder, Endpoint, Event, OrderError, Target};
use crate::Flow;
use crate::dialog::{Dialog, SessionPolicy};
use crate::digest::Session as Proofs;
use crate::message::{Contacts, HeaderName, Method, NameAddr, RAck, Request, Response, reason_phrase};
use crate::transaction::ClientId;

pub(super) struct Outgoing {
    order: CallOrder,
    targets: VecDeque<Target>,
    pub(super) attempt: Attempt,
    policy: SessionPolicy,
    ring_until: Instant,
}

/// One INVITE to one target.
pub(super) struct Attempt {
    pub(super) client: ClientId,
    flow: Flow,
    proofs: Proofs,
    /// How often it was changed and sent again.
    changes: u32,
    heard: bool,
    pass_over_at: Option<Instant>,
    early: Vec<Early>,
}

struct Early {
    dialog: Dialog,
    last_rseq: Option<u32>,
}

/// Who keeps demanding something else is not followed for ever.
const MOST_CHANGES: u32 = 4;

impl Outgoing {
    pub(super) fn deadline(&self) -> Option<Instant> {
        let pass_over = self.attempt.pass_over_at.filter(|_| !self.targets.is_empty());
        [Some(self.ring_until), pass_over].into_iter().flatten().min()
    }

    pub(super) fn takes_in_order(&mut self, request: &Request) -> bool {
        let tag = request.envelope.from_tag().unwrap_or_default();
        let early = self.attempt.early.iter_mut().find(|early| early.dialog.id.remote_tag == tag);
        early.is_none_or(|early| early.dialog.takes_in_order(request))
    }
}

impl Endpoint {
    /// Calls somebody.
    ///
    /// # Errors
    /// [`OrderError::NoTarget`] if there is nowhere to call.
    pub fn place_call(&mut self, mut order: CallOrder, now: Instant) -> Result<CallId, OrderError> {
        let targets = in_order(std::mem::take(&mut order.targets), &mut self.tokens);
        let mut targets: VecDeque<Target> = targets.into();
        let first = targets.pop_front().ok_or(OrderError::NoTarget)?;
        let id = CallId(self.next_id());
        let policy = self.config.session;
        let attempt = self.attempt(id, &order, &first, policy, now);
        let ring_until = now + order.ring_for;
        let outgoing = Outgoing { order, targets, attempt, policy, ring_until };
        self.keep_call(id, Call::new(Phase::Calling(Box::new(outgoing))));
        self.settle(now);
        Ok(id)
    }

    fn attempt(
        &mut self,
        id: CallId,
        order: &CallOrder,
        target: &Target,
        policy: SessionPolicy,
        now: Instant,
    ) -> Attempt {
        let mut from = order.from.clone();
        from.params.set("tag", Some(&self.tokens.tag()));
        // Each target gets a call of its own, so that what comes late from one can't be taken for another's.
        let call_id = self.tokens.call_id();
        let mut invite = Request::new(Method::Invite, target.uri.clone(), from, order.to.clone(), &call_id, 1);
        let contact = self.contact(user_of(&order.from.uri).as_deref(), target.flow);
        invite.headers.push(HeaderName::Contact, contact);
        invite.headers.push(HeaderName::Allow, ALLOW);
        invite.headers.push(HeaderName::Supported, SUPPORTED.join(", "));
        policy.propose(&mut invite.headers, None);
        for (name, value) in &order.headers {
            invite.headers.push(name.clone(), value.clone());
        }
        invite.set_body(SDP, order.offer.clone());
        let client = self.send(invite, target.flow, Purpose::Invite(id), now);
        Attempt {
            client,
            flow: target.flow,
            proofs: Proofs::default(),
            changes: 0,
            heard: false,
            pass_over_at: Some(now + self.config.first_response_within),
            early: Vec::new(),
        }
    }

    pub(super) fn is_current(&self, call: &Call, client: ClientId) -> bool {
        matches!(&call.phase, Phase::Calling(outgoing) if outgoing.attempt.client == client)
    }

    pub(super) fn outgoing_timeout(&mut self, id: CallId, call: &mut Call, now: Instant) -> Fate {
        let Phase::Calling(outgoing) = &mut call.phase else { return Fate::Stays };
        if outgoing.ring_until <= now {
            self.abandon(outgoing.attempt.client, now);
            return self.failed(id, 408, "Rang Too Long", Vec::new());
        }
        if outgoing.attempt.pass_over_at.is_some_and(|at| at <= now) {
            outgoing.attempt.pass_over_at = None;
            if !outgoing.targets.is_empty() {
                self.abandon(outgoing.attempt.client, now);
                return self.attempt_failed(id, call, 408, reason_phrase(408), Vec::new(), now);
            }
        }
        Fate::Stays
    }

    /// An answer to the INVITE of a call, whatever has become of the call meanwhile.
    #[expect(clippy::too_many_arguments, reason = "what came, and to what")]
    pub(super) fn invite_answered(
        &mut self,
        id: CallId,
        call: &mut Call,
        client: ClientId,
        invite: &Request,
        response: &Response,
        flow: Flow,
        now: Instant,
    ) -> Fate {
        match &mut call.phase {
            Phase::Talking(session) => {
                if response.is_success() && !self.acknowledge_again(session, response) {
                    self.confirm_stray(invite, response, flow, now);
                }
                Fate::Stays
            }
            Phase::Calling(outgoing) if outgoing.attempt.client == client => match response.status {
                100..=199 => self.progressed(id, call, invite, response, flow, now),
                200..=299 => self.answered(id, call, invite, response, flow, now),
                _ => self.refused(id, call, invite, response, now),
            },
            _ => Fate::Stays,
        }
    }

    fn progressed(
        &mut self,
        id: CallId,
        call: &mut Call,
        invite: &Request,
        response: &Response,
        flow: Flow,
        now: Instant,
    ) -> Fate {
        let Phase::Calling(outgoing) = &mut call.phase else { return Fate::Stays };
        outgoing.attempt.heard = true;
        outgoing.attempt.pass_over_at = None;
        if response.status == 100 {
            return Fate::Stays;
        }
        let mut is_news = true;
        let mut made = None;
        if let Some(dialog) = Dialog::from_response(invite, response) {
            let early = &mut outgoing.attempt.early;
            let at = early.iter().position(|known| known.dialog.id == dialog.id).unwrap_or_else(|| {
                made = Some(dialog.id.clone());
                early.push(Early { dialog, last_rseq: None });
                early.len() - 1
            });
            let early = &mut early[at];
            let is_reliable = response.headers.lists(&HeaderName::Require, "100rel");
            if let (true, Ok(Some(rseq))) = (is_reliable, response.headers.rseq()) {
                // In order, or not at all (RFC 3262 §4).
                is_news = early.last_rseq.is_none_or(|last| rseq == last.wrapping_add(1));
                if is_news {
                    early.last_rseq = Some(rseq);
                    let mut prack = early.dialog.request(Method::Prack);
                    let rack = RAck { rseq, cseq: response.envelope.cseq.clone() };
                    prack.headers.push(HeaderName::RAck, rack.to_string());
                    if let Some(credentials) = &outgoing.order.credentials {
                        outgoing.attempt.proofs.authorize(&mut prack, credentials, &mut self.tokens);
                    }
                    let way = self.way_to(&early.dialog, flow);
                    self.send(prack, way, Purpose::Courtesy, now);
                }
            }
        }
        if let Some(dialog) = made {
            self.remember_dialog(id, call, &dialog);
        }
        if is_news {
            let answer = sdp(&response.headers, &response.body);
            self.events.push_back(Event::Progress { call: id, status: response.status, answer });
        }
        Fate::Stays
    }

    fn answered(
        &mut self,
        id: CallId,
        call: &mut Call,
        invite: &Request,
        response: &Response,
        flow: Flow,
        now: Instant,
    ) -> Fate {
        let Phase::Calling(outgoing) = &mut call.phase else { return Fate::Stays };
        let Some(mut dialog) = Dialog::from_response(invite, response) else {
            return self.failed(id, 500, "The Answer Has No Tag", Vec::new());
        };
        let early = outgoing.attempt.early.iter().find(|early| early.dialog.id == dialog.id);
        if let Some(early) = early {
            dialog.local_sequence = early.dialog.local_sequence.max(dialog.local_sequence);
            dialog.remote_sequence = early.dialog.remote_sequence;
        }
        let way = self.way_to(&dialog, flow);
        let mut session = Session::new(dialog, way, user_of(&outgoing.order.from.uri), true);
        session.credentials = outgoing.order.credentials.clone();
        session.proofs = outgoing.attempt.proofs.clone();
        session.local_sdp = outgoing.order.offer.clone();
        session.policy = outgoing.policy;
        session.note_peer(&response.headers);
        session.timer = session.policy.agreed(&response.headers, now);
        self.acknowledge(&mut session, invite);
        let answered = Event::Answered {
            call: id,
            answer: sdp(&response.headers, &response.body),
            headers: Box::new(response.headers.clone()),
        };
        self.events.push_back(answered);
        let dialog = session.dialog.id.clone();
        call.phase = Phase::Talking(Box::new(session));
        self.remember_dialog(id, call, &dialog);
        Fate::Stays
    }

    fn refused(&mut self, id: CallId, call: &mut Call, invite: &Request, response: &Response, now: Instant) -> Fate {
        let Phase::Calling(outgoing) = &mut call.phase else { return Fate::Stays };
        if outgoing.attempt.changes < MOST_CHANGES
            && let Some(again) = self.changed(outgoing, invite, response)
        {
            let attempt = &mut outgoing.attempt;
            attempt.changes += 1;
            attempt.early.clear();
            attempt.heard = false;
            attempt.pass_over_at = Some(now + self.config.first_response_within);
            attempt.client = self.send(again, attempt.flow, Purpose::Invite(id), now);
            return Fate::Stays;
        }
        let elsewhere = match response.headers.contacts() {
            Ok(Contacts::List(list)) if (300..400).contains(&response.status) => list,
            _ => Vec::new(),
        };
        self.attempt_failed(id, call, response.status, &response.reason, elsewhere, now)
    }

    /// What makes a refused INVITE worth sending again: a proof, or a longer interval.
    fn changed(&mut self, outgoing: &mut Outgoing, invite: &Request, response: &Response) -> Option<Request> {
        if response.status == 422 {
            let least = response.headers.seconds(&HeaderName::MinSe).ok().flatten()?;
            if least <= outgoing.policy.interval || least > Duration::from_secs(86_400) {
                return None;
            }
            outgoing.policy = SessionPolicy { interval: least, least };
            let mut again = invite.clone();
            again.envelope.cseq.sequence += 1;
            outgoing.policy.propose(&mut again.headers, None);
            return Some(again);
        }
        let credentials = outgoing.order.credentials.clone();
        self.proved(invite, response, credentials.as_ref(), &mut outgoing.attempt.proofs)
    }

    /// This target was in vain; the next one may not be.
    pub(super) fn attempt_failed(
        &mut self,
        id: CallId,
        call: &mut Call,
        status: u16,
        reason: &str,
        elsewhere: Vec<NameAddr>,
        now: Instant,
    ) -> Fate {
        let Phase::Calling(outgoing) = &mut call.phase else { return Fate::Stays };
        // What another server of the same trunk may do better. A refusal by the callee is no such thing.
        let is_the_servers_fault = matches!(status, 408 | 430 | 500 | 502 | 503 | 504);
        let next = if is_the_servers_fault { outgoing.targets.pop_front() } else { None };
        let Some(target) = next else { return self.failed(id, status, reason, elsewhere) };
        for dialog in call.dialogs.drain(..) {
            self.dialogs.remove(&dialog);
        }
        outgoing.attempt = self.attempt(id, &outgoing.order, &target, outgoing.policy, now);
        Fate::Stays
    }

    fn failed(&mut self, call: CallId, status: u16, reason: &str, elsewhere: Vec<NameAddr>) -> Fate {
        self.events.push_back(Event::Failed { call, status, reason: reason.to_owned(), elsewhere });
        Fate::Ends
    }

    /// An INVITE that is no longer wanted: taken back as soon as that is allowed, hung up if it is answered all the same.
    pub(super) fn abandon(&mut self, client: ClientId, now: Instant) {
        if let Some(asked) = self.asked.get_mut(&client) {
            asked.purpose = Purpose::Abandoned;
        }
        self.transactions.cancel(client, now);
    }

    pub(super) fn abandoned_answered(
        &mut self,
        client: ClientId,
        invite: &Request,
        response: &Response,
        flow: Flow,
        now: Instant,
    ) {
        if response.is_provisional() {
            self.transactions.cancel(client, now);
        } else if response.is_success() {
            self.confirm_stray(invite, response, flow, now);
        }
    }

    /// A 2xx that nobody waits for any more: confirmed, and hung up at once (§13.2.2.4).
    pub(super) fn confirm_stray(&mut self, invite: &Request, response: &Response, flow: Flow, now: Instant) {
        let Some(dialog) = Dialog::from_response(invite, response) else { return };
        let way = self.way_to(&dialog, flow);
        let mut session = Session::new(dialog, way, user_of(&invite.envelope.from.uri), true);
        self.acknowledge(&mut session, invite);
        self.say_bye(&mut session, None, now);
    }
}
