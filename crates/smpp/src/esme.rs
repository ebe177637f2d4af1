//! Our side of one connection to a message centre, from the bind to its end.
//!
//! In: bytes that came, messages to submit, answers to what was brought, and the time. Out: bytes to write, [`Event`]s, and
//! when to look at it again. It knows of each submission whether the peer can have it. Never here: sockets and clocks.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::frame::{Frame, FrameReader, Garbage};
use crate::pdu::{Bind, Body, Message, Mode, Pdu, command};
use crate::status::Status;

/// Sequence numbers end here, and begin again.
const LAST_SEQUENCE: u32 = 0x7FFF_FFFF;
/// Submissions whose answers are overdue and still awaited, at most.
const MOST_LATE: usize = 10_000;

/// How a session behaves.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    pub bind: Bind,
    /// Submissions on their way at the same time.
    pub window: usize,
    /// How long an answer may take.
    pub response_timeout: Duration,
    /// After how much silence the peer is asked whether it is there.
    pub enquire_every: Duration,
    /// Things the peer brought and that are not answered yet; more are turned away for the moment.
    pub most_arrived: usize,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Bound {
        system_id: String,
    },
    /// The answer to a submission. `late`: after [`Event::Overdue`].
    Answered {
        token: u64,
        status: Status,
        message_id: String,
        late: bool,
    },
    /// The answer to a submission did not come in time; the peer may have it.
    Overdue {
        token: u64,
    },
    /// The peer brings something, and waits for [`Esme::answer`].
    Arrived {
        request: Request,
        message: Box<Message>,
    },
    /// Something that came made no sense, and was answered so.
    Malformed {
        command_id: u32,
    },
    /// The peer took leave, or answered ours: nothing more is to be submitted, and the connection can be closed once
    /// [`Esme::output`] is written.
    Unbound,
}

/// A request of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    sequence: u32,
    is_data: bool,
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error(transparent)]
    Garbage(#[from] Garbage),
    #[error("the bind was refused: {0}")]
    BindRefused(Status),
    #[error("the bind was not answered")]
    BindUnanswered,
    #[error("the peer does not answer")]
    Silent,
}

/// A submission that a connection took with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    pub token: u64,
    /// Whether all of it was written, so that the peer may have it.
    pub was_written: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Binding,
    Bound,
    /// We took leave.
    Leaving,
    Over,
}

/// A submission without its answer.
#[derive(Debug, Clone, Copy)]
struct Asked {
    token: u64,
    /// Where its last octet stands in all that was ever put out.
    end: u64,
    due: Instant,
}

/// One session.
#[derive(Debug)]
pub struct Esme {
    settings: SessionSettings,
    state: State,
    reader: FrameReader,
    out: Vec<u8>,
    written: u64,
    next_sequence: u32,
    /// By sequence number.
    asked: BTreeMap<u32, Asked>,
    late: VecDeque<(u32, u64)>,
    arrived: usize,
    heard_at: Instant,
    /// When the bind's answer is due, or that of the last `enquire_link`, or that of our leave.
    due: Option<Instant>,
    /// The `enquire_link` or `unbind` that is not answered yet, and where its last octet stands.
    probe: Option<(u32, u64)>,
    proven: u64,
    events: VecDeque<Event>,
}

impl Esme {
    /// A session that begins with its bind.
    #[must_use]
    pub fn new(settings: SessionSettings, now: Instant) -> Self {
        let bind = settings.bind.clone();
        let due = Some(now + settings.response_timeout);
        let mut session = Self {
            settings,
            state: State::Binding,
            reader: FrameReader::default(),
            out: Vec::new(),
            written: 0,
            next_sequence: 1,
            asked: BTreeMap::new(),
            late: VecDeque::new(),
            arrived: 0,
            heard_at: now,
            due,
            probe: None,
            proven: 0,
            events: VecDeque::new(),
        };
        session.ask(Body::Bind(bind));
        session
    }

    /// What is to be written now.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        &self.out
    }

    /// Tells that the first `count` octets of [`output`](Self::output) were written.
    pub fn wrote(&mut self, count: usize) {
        self.out.drain(..count.min(self.out.len()));
        self.written += count as u64;
    }

    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    #[must_use]
    pub fn mode(&self) -> Mode {
        self.settings.bind.mode
    }

    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.state == State::Bound
    }

    /// How many octets were ever put out.
    #[must_use]
    pub fn put_out(&self) -> u64 {
        self.written + self.out.len() as u64
    }

    /// How many of them the peer has read for certain: it answered what stood there.
    #[must_use]
    pub fn proven(&self) -> u64 {
        self.proven
    }

    /// Whether the peer is being asked whether it is there.
    #[must_use]
    pub fn is_probing(&self) -> bool {
        self.probe.is_some()
    }

    /// Asks the peer whether it is there, unless it is being asked; its answer proves what it has read.
    pub fn probe(&mut self, now: Instant) {
        if self.state == State::Bound && self.probe.is_none() {
            self.due = Some(now + self.settings.response_timeout);
            let sequence = self.ask(Body::EnquireLink);
            self.probe = Some((sequence, self.put_out()));
        }
    }

    /// How many more submissions the window takes.
    #[must_use]
    pub fn room(&self) -> usize {
        match self.state {
            State::Bound if self.mode().sends() => self.settings.window.saturating_sub(self.asked.len()),
            _ => 0,
        }
    }

    /// Whether nothing waits for an answer, on either side.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.asked.is_empty() && self.arrived == 0 && self.out.is_empty()
    }

    /// Submits a message. What becomes of it is told under the `token`.
    pub fn submit(&mut self, token: u64, message: Message, now: Instant) {
        let sequence = self.ask(Body::SubmitSm(Box::new(message)));
        let end = self.put_out();
        self.asked.insert(sequence, Asked { token, end, due: now + self.settings.response_timeout });
    }

    /// Answers what the peer brought.
    pub fn answer(&mut self, request: Request, status: Status) {
        self.arrived = self.arrived.saturating_sub(1);
        if self.state != State::Over {
            self.respond(request, status);
        }
    }

    /// Takes leave: nothing more is submitted.
    pub fn unbind(&mut self, now: Instant) {
        if matches!(self.state, State::Binding | State::Bound) {
            self.state = State::Leaving;
            self.due = Some(now + self.settings.response_timeout);
            let sequence = self.ask(Body::Unbind);
            self.probe = Some((sequence, self.put_out()));
        }
    }

    /// Takes what came.
    ///
    /// # Errors
    /// [`Broken`]: the connection is of no use any more.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) -> Result<(), Broken> {
        self.reader.push(bytes);
        while let Some(frame) = self.reader.next_frame()? {
            self.heard_at = now;
            self.take(&frame)?;
        }
        Ok(())
    }

    /// When [`tick`](Self::tick) is to be called next, at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        let enquire = self.heard_at + self.settings.enquire_every;
        let quiet = self.due.unwrap_or(enquire);
        // Sequence numbers grow with time but for where they begin again, and then a deadline comes a little late.
        self.asked.values().next().map_or(quiet, |asked| quiet.min(asked.due))
    }

    /// Does what time has brought.
    ///
    /// # Errors
    /// [`Broken`]: the peer is gone.
    pub fn tick(&mut self, now: Instant) -> Result<(), Broken> {
        while let Some((sequence, asked)) = self.asked.first_key_value().map(|(sequence, asked)| (*sequence, *asked)) {
            if asked.due > now {
                break;
            }
            self.asked.remove(&sequence);
            self.late.push_back((sequence, asked.token));
            if self.late.len() > MOST_LATE {
                self.late.pop_front();
            }
            self.events.push_back(Event::Overdue { token: asked.token });
        }
        match (self.state, self.due) {
            (State::Over, _) => {}
            (State::Binding, Some(due)) if due <= now => return Err(Broken::BindUnanswered),
            (State::Leaving, Some(due)) if due <= now => self.end(),
            (State::Bound, Some(due)) if due <= now => return Err(Broken::Silent),
            (State::Bound, None) if self.heard_at + self.settings.enquire_every <= now => {
                self.probe = None;
                self.probe(now);
            }
            _ => {}
        }
        Ok(())
    }

    /// The submissions without an answer, now that the connection is gone.
    #[must_use]
    pub fn lost(&self) -> Vec<Lost> {
        let lost = |asked: &Asked| Lost { token: asked.token, was_written: asked.end <= self.written };
        self.asked.values().map(lost).collect()
    }

    fn take(&mut self, frame: &Frame) -> Result<(), Broken> {
        let pdu = match frame.read() {
            Ok(pdu) => pdu,
            Err(malformed) => {
                self.refuse(frame, malformed.command_id);
                return Ok(());
            }
        };
        if self.state == State::Bound {
            // Whoever says anything is there.
            self.due = None;
        }
        let (status, sequence) = (pdu.status, pdu.sequence);
        match pdu.body {
            Body::BindResp { system_id, .. } if self.state == State::Binding => self.bound(status, system_id)?,
            Body::GenericNack if self.state == State::Binding => return Err(Broken::BindRefused(status)),
            Body::SubmitSmResp { message_id } => self.answered(sequence, status, message_id),
            // It did not understand us; an error it must be, whatever it says.
            Body::GenericNack => {
                let status = if status.is_ok() { Status::RUNKNOWNERR } else { status };
                self.answered(sequence, status, String::new());
            }
            Body::DeliverSm(message) => self.arrive(Request { sequence, is_data: false }, message),
            Body::DataSm(message) => self.arrive(Request { sequence, is_data: true }, message),
            Body::EnquireLink => self.put(&Pdu::response(sequence, Status::ROK, Body::EnquireLinkResp)),
            Body::Unbind => {
                self.put(&Pdu::response(sequence, Status::ROK, Body::UnbindResp));
                self.end();
            }
            Body::EnquireLinkResp => self.probed(sequence),
            Body::UnbindResp if self.state == State::Leaving => {
                self.probed(sequence);
                self.end();
            }
            // It has no answer in SMPP 3.4; so has an outbind.
            Body::AlertNotification | Body::Outbind => {}
            Body::Bind(_) | Body::SubmitSm(_) | Body::Other { .. } if frame.command_id & command::RESPONSE == 0 => {
                self.put(&Pdu::response(sequence, Status::RINVCMDID, Body::GenericNack));
            }
            _ => {}
        }
        Ok(())
    }

    fn probed(&mut self, sequence: u32) {
        if let Some((_, end)) = self.probe.take_if(|(asked, _)| *asked == sequence) {
            self.proven = self.proven.max(end);
        }
    }

    fn bound(&mut self, status: Status, system_id: String) -> Result<(), Broken> {
        if !status.is_ok() {
            return Err(Broken::BindRefused(status));
        }
        self.state = State::Bound;
        self.due = None;
        self.events.push_back(Event::Bound { system_id });
        Ok(())
    }

    fn answered(&mut self, sequence: u32, status: Status, message_id: String) {
        if let Some(asked) = self.asked.remove(&sequence) {
            self.proven = self.proven.max(asked.end);
            self.events.push_back(Event::Answered { token: asked.token, status, message_id, late: false });
        } else if let Some(at) = self.late.iter().position(|(late, _)| *late == sequence)
            && let Some((_, token)) = self.late.remove(at)
        {
            self.events.push_back(Event::Answered { token, status, message_id, late: true });
        }
    }

    fn arrive(&mut self, request: Request, message: Box<Message>) {
        if self.arrived >= self.settings.most_arrived {
            return self.respond(request, Status::RX_T_APPN);
        }
        self.arrived += 1;
        self.events.push_back(Event::Arrived { request, message });
    }

    /// What makes no sense is refused for good, or it would be brought for ever.
    fn refuse(&mut self, frame: &Frame, command_id: u32) {
        self.events.push_back(Event::Malformed { command_id });
        let sequence = frame.sequence;
        match command_id {
            command::DELIVER_SM => self.respond(Request { sequence, is_data: false }, Status::RX_P_APPN),
            command::DATA_SM => self.respond(Request { sequence, is_data: true }, Status::RX_P_APPN),
            id if id & command::RESPONSE == 0 => {
                self.put(&Pdu::response(sequence, Status::RINVCMDLEN, Body::GenericNack));
            }
            _ => {}
        }
    }

    fn respond(&mut self, Request { sequence, is_data }: Request, status: Status) {
        let message_id = String::new();
        let body = if is_data { Body::DataSmResp { message_id } } else { Body::DeliverSmResp { message_id } };
        self.put(&Pdu::response(sequence, status, body));
    }

    fn end(&mut self) {
        if self.state != State::Over {
            self.state = State::Over;
            self.events.push_back(Event::Unbound);
        }
    }

    fn ask(&mut self, body: Body) -> u32 {
        let sequence = self.next_sequence;
        self.next_sequence = if sequence >= LAST_SEQUENCE { 1 } else { sequence + 1 };
        self.put(&Pdu::request(sequence, body));
        sequence
    }

    fn put(&mut self, pdu: &Pdu) {
        pdu.write(&mut self.out);
    }
}

#[cfg(test)]
mod tests;
