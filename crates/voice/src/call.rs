//! A call, from its first ring to its end: one straight function, whatever it goes over and whoever answers it.
//!
//! In: how it is to be led, a line, and who is told. Out: what was told, in order, and in the end exactly one
//! [`Ended`](crate::host::Ended).

mod conversation;
mod notes;

use std::sync::Arc;
use std::time::Duration;

use offhook_domain::call::EndReason;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::Instrument;

use crate::answering_party::AnsweringParty;
use crate::host::{CallHost, Ended, Job};
use crate::line::{Line, LineEnd, LineEvent, LineOrder};
use crate::timeline::Mark;
use conversation::Conversation;
use notes::Notes;

/// A line that does not say what became of a call within the time it may ring gets so much longer.
const LINE_MAY_TAKE: Duration = Duration::from_secs(5);
/// After our answer, for the other side to confirm it.
const CONFIRMATION: Duration = Duration::from_secs(40);

/// Who called whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// They called us.
    Theirs,
    /// We call them.
    Ours,
}

/// How a call is told from outside to end: the reason, once there is one.
pub type Stop = watch::Receiver<Option<EndReason>>;

/// Leads a call. Returns when it is over and the host knows.
pub async fn run_call(job: Job, origin: Origin, mut line: Box<dyn Line>, host: Arc<dyn CallHost>, mut stop: Stop) {
    let id = job.plan.call.clone();
    let (notes, keeping) = notes::begin(id.clone(), host);
    let leading = async move {
        let mut notes = notes;
        notes.mark(Mark::Began);
        line.prepare(&job.plan);
        let connected = match origin {
            Origin::Theirs => answer(&mut *line, &mut stop, &mut notes).await,
            Origin::Ours => ring(&mut *line, job.plan.ring_for, &mut stop, &mut notes).await,
        };
        let answered = Instant::now();
        let recording = job.plan.recording.is_some();
        let (reason, talked) = match connected {
            Err(reason) => (reason, Duration::ZERO),
            Ok(()) => {
                notes.answered();
                let party = AnsweringParty::of(origin, &job.plan);
                let conversation = Conversation::begin(job, party, &mut *line, &mut notes, answered);
                let reason = match conversation.hold(&mut stop).await {
                    // Somebody of the agent's side hung up.
                    EndReason::Canceled => EndReason::AgentHangup,
                    reason => reason,
                };
                (reason, answered.elapsed())
            }
        };
        hang_up(&mut *line).await;
        notes.mark(Mark::Over(reason.as_str().to_owned()));
        notes.end(Ended { reason, talked, recorded: recording && !talked.is_zero() });
    };
    let span = tracing::info_span!("call", call.id = %id, outbound = origin == Origin::Ours);
    tokio::join!(leading.instrument(span), keeping);
}

/// Takes their call.
async fn answer(line: &mut dyn Line, stop: &mut Stop, notes: &mut Notes) -> Result<(), EndReason> {
    line.order(LineOrder::Answer);
    connect(line, Instant::now() + CONFIRMATION, EndReason::ConnectionLost, stop, notes).await
}

/// Waits for them to take ours.
async fn ring(line: &mut dyn Line, ring_for: Duration, stop: &mut Stop, notes: &mut Notes) -> Result<(), EndReason> {
    connect(line, Instant::now() + ring_for + LINE_MAY_TAKE, EndReason::NoAnswer, stop, notes).await
}

async fn connect(
    line: &mut dyn Line,
    until: Instant,
    late: EndReason,
    stop: &mut Stop,
    notes: &mut Notes,
) -> Result<(), EndReason> {
    loop {
        let event = tokio::select! {
            biased;
            reason = stopped(stop) => return Err(reason),
            event = line.next() => event,
            () = sleep_until(until) => return Err(late),
        };
        match event {
            LineEvent::Ringing => notes.rings(),
            LineEvent::Answered => return Ok(()),
            LineEvent::Mark(mark) => notes.mark(mark),
            LineEvent::Over(why) => return Err(before_answer(&why)),
            // Early media is not listened to.
            LineEvent::Turn(_) | LineEvent::Key(_) | LineEvent::Transferred | LineEvent::TransferFailed => {}
        }
    }
}

/// Waits until it is told to end.
async fn stopped(stop: &mut Stop) -> EndReason {
    match stop.wait_for(Option::is_some).await.map(|reason| *reason) {
        Ok(Some(reason)) => reason,
        // Nobody is there any more who could tell it to.
        _ => std::future::pending().await,
    }
}

/// Whatever became of it, nothing is left of the line. A line that does not let go is dropped.
async fn hang_up(line: &mut dyn Line) {
    if line.is_over() {
        return;
    }
    line.order(LineOrder::HangUp);
    let until = Instant::now() + LINE_MAY_TAKE;
    loop {
        tokio::select! {
            event = line.next() => if matches!(event, LineEvent::Over(_)) { return },
            () = sleep_until(until) => return,
        }
    }
}

fn before_answer(why: &LineEnd) -> EndReason {
    match why {
        LineEnd::Busy => EndReason::Busy,
        LineEnd::NoAnswer => EndReason::NoAnswer,
        LineEnd::Rejected => EndReason::Rejected,
        LineEnd::Unknown => EndReason::InvalidNumber,
        LineEnd::TheyGaveUp | LineEnd::TheyHungUp => EndReason::UserHangup,
        LineEnd::WeHungUp => EndReason::Canceled,
        LineEnd::Unreachable(_) => EndReason::Failed,
        LineEnd::Lost => EndReason::ConnectionLost,
    }
}

/// Why a call that stood is over when its line is.
fn after_answer(why: &LineEnd) -> EndReason {
    match why {
        LineEnd::Lost => EndReason::ConnectionLost,
        LineEnd::Unreachable(_) => EndReason::Failed,
        LineEnd::WeHungUp => EndReason::AgentHangup,
        _ => EndReason::UserHangup,
    }
}
