//! A call and the phases it goes through. What is done in each is in `outgoing`, `incoming` and `session`.

use std::time::Instant;

use super::incoming::Incoming;
use super::outgoing::Outgoing;
use super::session::Session;
use super::{CallId, Ended, Endpoint, OrderError};
use crate::dialog::DialogId;

pub(super) struct Call {
    pub(super) phase: Phase,
    /// Under which names its messages come.
    pub(super) dialogs: Vec<DialogId>,
    pub(super) scheduled: Option<Instant>,
}

pub(super) enum Phase {
    /// Ours, not answered yet.
    Calling(Box<Outgoing>),
    /// Theirs, not answered yet.
    Ringing(Box<Incoming>),
    /// Answered.
    Talking(Box<Session>),
}

/// What becomes of a call that was worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Stays,
    Ends,
}

impl Call {
    pub(super) fn new(phase: Phase) -> Self {
        Self { phase, dialogs: Vec::new(), scheduled: None }
    }
}

impl Phase {
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Calling(outgoing) => outgoing.deadline(),
            Self::Ringing(incoming) => incoming.deadline(),
            Self::Talking(session) => session.deadline(),
        }
    }
}

impl Endpoint {
    pub(super) fn call_timeout(&mut self, id: CallId, call: &mut Call, now: Instant) -> Fate {
        match &mut call.phase {
            Phase::Calling(_) => self.outgoing_timeout(id, call, now),
            Phase::Ringing(_) => self.incoming_timeout(id, call, now),
            Phase::Talking(_) => self.session_timeout(id, call, now),
        }
    }

    /// Ends a call, in whatever state it is: CANCEL, a refusal, or BYE.
    ///
    /// # Errors
    /// [`OrderError::Unknown`] if it is over already.
    pub fn hang_up(&mut self, id: CallId, now: Instant) -> Result<(), OrderError> {
        self.order(id, now, |endpoint, call| {
            match &mut call.phase {
                Phase::Calling(outgoing) => {
                    let client = outgoing.attempt.client;
                    endpoint.abandon(client, now);
                }
                Phase::Ringing(incoming) => {
                    let refusal = incoming.response(603);
                    endpoint.answer_finally(incoming.server, refusal, now);
                }
                Phase::Talking(session) if session.unconfirmed.is_some() => {
                    session.closing = true;
                    endpoint.withdraw_offered(session, now);
                    endpoint.ended(id, Ended::ByUs);
                    return Ok(Fate::Stays);
                }
                Phase::Talking(session) => endpoint.say_bye(session, None, now),
            }
            Ok(endpoint.ended(id, Ended::ByUs))
        })
    }

    /// Works on a call for an order, and settles what follows from it.
    pub(super) fn order(
        &mut self,
        id: CallId,
        now: Instant,
        work: impl FnOnce(&mut Self, &mut Call) -> Result<Fate, OrderError>,
    ) -> Result<(), OrderError> {
        let mut result = Err(OrderError::Unknown);
        self.with_call(id, |endpoint, call| {
            if matches!(&call.phase, Phase::Talking(session) if session.closing) {
                return Fate::Stays;
            }
            match work(endpoint, call) {
                Ok(fate) => {
                    result = Ok(());
                    fate
                }
                Err(error) => {
                    result = Err(error);
                    Fate::Stays
                }
            }
        });
        self.settle(now);
        result
    }
}
