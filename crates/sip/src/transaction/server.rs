//! The server's two machines: INVITE (§17.2.1 with RFC 6026) and the others (§17.2.2). Pure, as the client's are.

use std::time::{Duration, Instant};

use super::timers::{Retransmission, Timers};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing but provisional responses yet.
    Open,
    /// Refused, or a non-INVITE that was answered.
    Completed,
    /// Refused, and the ACK is there.
    Confirmed,
    /// RFC 6026: agreed to. The layer above repeats the 2xx until the ACK comes.
    Accepted,
    Terminated,
}

/// What becomes of an ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ack {
    /// It belonged to the transaction.
    Absorbed,
    /// It is for the dialog.
    Deliver,
}

#[derive(Debug)]
pub(crate) struct Machine {
    is_invite: bool,
    is_reliable: bool,
    state: State,
    /// G
    retransmission: Option<Retransmission>,
    /// H, I, J or L
    ends_at: Option<Instant>,
}

impl Machine {
    pub(crate) fn start(is_invite: bool, is_reliable: bool, timers: &Timers, now: Instant) -> Self {
        Self {
            is_invite,
            is_reliable,
            state: State::Open,
            retransmission: None,
            // The client of a non-INVITE has given up by then (RFC 4320): an answer would be of no use.
            ends_at: (!is_invite).then(|| now + timers.patience()),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Terminated
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let retransmission = self.retransmission.map(|retransmission| retransmission.at);
        [retransmission, self.ends_at].into_iter().flatten().min()
    }

    /// The request came again; whether the last response is to be sent again.
    pub(crate) fn on_repeat(&self) -> bool {
        matches!(self.state, State::Open | State::Completed)
    }

    /// The layer above answers; whether it may.
    pub(crate) fn on_answer(&mut self, status: u16, timers: &Timers, now: Instant) -> bool {
        match (self.state, status) {
            (State::Open, 100..=199) => true,
            (State::Accepted, 200..=299) => true,
            (State::Open, 200..=299) if self.is_invite => {
                self.state = State::Accepted;
                self.ends_at = Some(now + timers.patience());
                true
            }
            (State::Open, _) => {
                self.state = State::Completed;
                if self.is_invite {
                    self.retransmission = (!self.is_reliable).then(|| Retransmission::start(timers.t1, now));
                    self.ends_at = Some(now + timers.patience());
                } else {
                    self.linger(timers.patience(), now);
                }
                true
            }
            _ => false,
        }
    }

    pub(crate) fn on_ack(&mut self, timers: &Timers, now: Instant) -> Ack {
        match self.state {
            State::Accepted => Ack::Deliver,
            State::Completed => {
                self.state = State::Confirmed;
                self.retransmission = None;
                self.linger(timers.t4, now);
                Ack::Absorbed
            }
            _ => Ack::Absorbed,
        }
    }

    /// Whether the last response is to be sent again.
    pub(crate) fn on_time(&mut self, timers: &Timers, now: Instant) -> bool {
        if self.ends_at.is_some_and(|at| at <= now) {
            self.finish();
            return false;
        }
        self.retransmission.as_mut().is_some_and(|retransmission| retransmission.is_due(timers.t2, now))
    }

    pub(crate) fn finish(&mut self) {
        self.state = State::Terminated;
        self.retransmission = None;
        self.ends_at = None;
    }

    fn linger(&mut self, duration: Duration, now: Instant) {
        if self.is_reliable {
            self.finish();
        } else {
            self.ends_at = Some(now + duration);
        }
    }
}
