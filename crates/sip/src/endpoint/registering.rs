//! The endpoint's registrations: it sends what [`crate::registration`] makes, and keeps the deadlines.

use std::time::{Duration, Instant};

use super::sending::{Purpose, user_of};
use super::{Due, Endpoint, Event, RegistrationId};
use crate::message::{Request, Response};
use crate::registration::{Outcome, Registration, RegistrationOrder, RegistrationState};
use crate::{Transmit, Transport};

pub(super) struct Kept {
    registration: Registration,
    scheduled: Option<Instant>,
    /// When the NAT between us and the trunk is to be reminded (RFC 5626 §4.4).
    remind_at: Instant,
}

/// Shorter than any NAT forgets a UDP flow; streams are kept longer.
fn remind_every(transport: Transport) -> Duration {
    Duration::from_secs(if transport.is_reliable() { 90 } else { 25 })
}

impl Endpoint {
    /// Registers, and keeps the registration up. `state` is what was kept of it before a restart.
    pub fn register(
        &mut self,
        order: RegistrationOrder,
        state: Option<RegistrationState>,
        now: Instant,
    ) -> RegistrationId {
        let id = RegistrationId(self.next_id());
        let contact = self.config.advertised.contact(user_of(&order.address_of_record).as_deref(), order.flow);
        let registration = Registration::new(order, contact, state, &mut self.tokens, now);
        self.registrations.insert(id, Kept { registration, scheduled: None, remind_at: now });
        self.registration_due(id, now);
        self.settle(now);
        id
    }

    /// Takes a registration back; [`Event::Unregistered`] follows.
    pub fn unregister(&mut self, id: RegistrationId, now: Instant) {
        if let Some(kept) = self.registrations.get_mut(&id) {
            kept.registration.leave(now);
            self.registration_due(id, now);
            self.settle(now);
        }
    }

    /// What must survive a restart. It changes with every request, so keep it at each [`Event::Registered`].
    #[must_use]
    pub fn registration_state(&self, id: RegistrationId, now: Instant) -> Option<RegistrationState> {
        self.registrations.get(&id).map(|kept| kept.registration.state(now))
    }

    /// Sends what is due, and notes when the next is.
    pub(super) fn registration_due(&mut self, id: RegistrationId, now: Instant) {
        let Some(kept) = self.registrations.get_mut(&id) else { return };
        if let Some(at) = kept.scheduled.take() {
            self.deadlines.remove(&(at, Due::Registration(id)));
        }
        if kept.registration.deadline().is_some_and(|at| at <= now) {
            let request = kept.registration.request(&mut self.tokens);
            let flow = kept.registration.flow();
            self.send(request, flow, Purpose::Register(id), now);
            return;
        }
        let mut next = kept.registration.deadline();
        if kept.registration.is_registered(now) {
            let flow = kept.registration.flow();
            if kept.remind_at <= now {
                kept.remind_at = now + remind_every(flow.transport);
                self.transmits.push_back(Transmit { flow, bytes: b"\r\n\r\n".to_vec(), close: false });
            }
            next = next.map(|at| at.min(kept.remind_at));
        }
        kept.scheduled = next;
        if let Some(at) = next {
            self.deadlines.insert((at, Due::Registration(id)));
        }
    }

    pub(super) fn register_answered(
        &mut self,
        id: RegistrationId,
        request: &Request,
        response: &Response,
        now: Instant,
    ) {
        let Some(kept) = self.registrations.get_mut(&id) else { return };
        let outcome = kept.registration.answered(request, response, &mut self.tokens, now);
        self.register_came_to(id, outcome, now);
    }

    pub(super) fn register_unanswered(&mut self, id: RegistrationId, now: Instant) {
        let Some(kept) = self.registrations.get_mut(&id) else { return };
        let outcome = kept.registration.unanswered(&mut self.tokens, now);
        self.register_came_to(id, outcome, now);
    }

    fn register_came_to(&mut self, id: RegistrationId, outcome: Outcome, now: Instant) {
        match outcome {
            Outcome::Again => {}
            Outcome::Registered(lasts) => self.events.push_back(Event::Registered { registration: id, lasts }),
            Outcome::Failed(status, _) => self.events.push_back(Event::Unregistered { registration: id, status }),
            Outcome::Gone => {
                self.events.push_back(Event::Unregistered { registration: id, status: 200 });
                if let Some(Kept { scheduled: Some(at), .. }) = self.registrations.remove(&id) {
                    self.deadlines.remove(&(at, Due::Registration(id)));
                }
            }
        }
        self.registration_due(id, now);
    }
}
