//! The client's two machines: INVITE (§17.1.1 with RFC 6026) and the others (§17.1.2). Pure: what happened and `now` in, what
//! is to be done out.

use std::time::{Duration, Instant};

use super::timers::{Retransmission, Timers};

/// What a machine wants done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ToDo {
    /// Send the request once more.
    pub(crate) resend: bool,
    /// Send the ACK that belongs to the transaction.
    pub(crate) ack: bool,
    /// The response is news to the layer above.
    pub(crate) deliver: bool,
    /// There was no answer, and there will be none.
    pub(crate) timed_out: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Calling, or Trying.
    Asking,
    Proceeding,
    Completed,
    /// RFC 6026: an INVITE that was agreed to, perhaps by several.
    Accepted,
    Terminated,
}

#[derive(Debug)]
pub(crate) struct Machine {
    is_invite: bool,
    is_reliable: bool,
    state: State,
    /// A or E
    retransmission: Option<Retransmission>,
    /// B, C, D, F, K or M
    ends_at: Option<Instant>,
}

impl Machine {
    pub(crate) fn start(is_invite: bool, is_reliable: bool, timers: &Timers, now: Instant) -> Self {
        Self {
            is_invite,
            is_reliable,
            state: State::Asking,
            retransmission: (!is_reliable).then(|| Retransmission::start(timers.t1, now)),
            ends_at: Some(now + timers.patience()),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Terminated
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let retransmission = self.retransmission.map(|retransmission| retransmission.at);
        [retransmission, self.ends_at].into_iter().flatten().min()
    }

    pub(crate) fn on_response(&mut self, status: u16, timers: &Timers, now: Instant) -> ToDo {
        let nothing = ToDo::default();
        match (self.state, status) {
            (State::Asking | State::Proceeding, 100..=199) => {
                self.state = State::Proceeding;
                if self.is_invite {
                    self.retransmission = None;
                    self.ends_at = Some(now + timers.c);
                } else if self.retransmission.is_some() {
                    self.retransmission = Some(Retransmission::start(timers.t2, now));
                }
                ToDo { deliver: true, ..nothing }
            }
            (State::Asking | State::Proceeding, 200..=299) if self.is_invite => {
                self.rest(State::Accepted, timers.patience(), now);
                ToDo { deliver: true, ..nothing }
            }
            (State::Asking | State::Proceeding, _) => {
                let lingers = if self.is_invite { timers.d() } else { timers.t4 };
                self.rest(State::Completed, if self.is_reliable { Duration::ZERO } else { lingers }, now);
                ToDo { deliver: true, ack: self.is_invite, ..nothing }
            }
            (State::Accepted, 200..=299) => ToDo { deliver: true, ..nothing },
            (State::Completed, 300..) if self.is_invite => ToDo { ack: true, ..nothing },
            _ => nothing,
        }
    }

    pub(crate) fn on_time(&mut self, timers: &Timers, now: Instant) -> ToDo {
        if self.ends_at.is_some_and(|at| at <= now) {
            let timed_out = matches!(self.state, State::Asking | State::Proceeding);
            self.finish();
            return ToDo { timed_out, ..ToDo::default() };
        }
        let longest = if self.is_invite { Duration::MAX } else { timers.t2 };
        let resend = self.retransmission.as_mut().is_some_and(|retransmission| retransmission.is_due(longest, now));
        ToDo { resend, ..ToDo::default() }
    }

    /// §9.1: after a CANCEL the answer must come soon, or is not waited for.
    pub(crate) fn on_cancel(&mut self, timers: &Timers, now: Instant) {
        if self.state == State::Proceeding {
            self.ends_at = Some(now + timers.patience());
        }
    }

    pub(crate) fn is_proceeding(&self) -> bool {
        self.state == State::Proceeding
    }

    pub(crate) fn awaits_answer(&self) -> bool {
        matches!(self.state, State::Asking | State::Proceeding)
    }

    pub(crate) fn finish(&mut self) {
        self.state = State::Terminated;
        self.retransmission = None;
        self.ends_at = None;
    }

    fn rest(&mut self, state: State, lingers: Duration, now: Instant) {
        if lingers.is_zero() {
            return self.finish();
        }
        self.state = state;
        self.retransmission = None;
        self.ends_at = Some(now + lingers);
    }
}
