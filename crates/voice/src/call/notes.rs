//! What a call tells the platform, in order and beside the conversation: a slow database delays nobody who speaks.

use std::sync::Arc;

use offhook_domain::CallId;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::host::{CallHost, Ended};
use crate::timeline::{Mark, Marked, Timeline};
use crate::turn::taking::Turn;

/// The conversation's end.
pub struct Notes {
    to: mpsc::UnboundedSender<Note>,
    timeline: Timeline,
    began: Instant,
    rang: bool,
}

enum Note {
    Rings,
    Answered,
    Said(Turn, Vec<Marked>),
    Marked(Vec<Marked>),
    Ended(Ended),
}

/// Where to note things, and what has them kept: it is done after [`Notes::end`].
pub fn begin(call: CallId, host: Arc<dyn CallHost>) -> (Notes, impl Future<Output = ()> + Send) {
    let (to, notes) = mpsc::unbounded_channel();
    let began = Instant::now();
    (Notes { to, timeline: Timeline::default(), began, rang: false }, keep(call, host, notes))
}

async fn keep(call: CallId, host: Arc<dyn CallHost>, mut notes: mpsc::UnboundedReceiver<Note>) {
    while let Some(note) = notes.recv().await {
        match note {
            Note::Rings => host.rings(&call).await,
            Note::Answered => host.answered(&call).await,
            Note::Said(turn, marks) => host.said(&call, turn, marks).await,
            Note::Marked(marks) => host.marked(&call, marks).await,
            Note::Ended(ended) => host.ended(&call, ended).await,
        }
    }
}

impl Notes {
    pub fn mark(&mut self, mark: Mark) {
        self.timeline.mark(self.began.elapsed(), mark);
    }

    /// Once, however often the network says so.
    pub fn rings(&mut self) {
        if !std::mem::replace(&mut self.rang, true) {
            self.mark(Mark::Ringing);
            self.note(Note::Rings);
        }
    }

    pub fn answered(&mut self) {
        self.mark(Mark::Answered);
        self.note(Note::Answered);
    }

    /// A turn is also when the timeline is kept.
    pub fn said(&mut self, turn: Turn) {
        let marks = self.timeline.take();
        self.note(Note::Said(turn, marks));
    }

    pub fn end(mut self, ended: Ended) {
        let marks = self.timeline.take();
        self.note(Note::Marked(marks));
        self.note(Note::Ended(ended));
    }

    fn note(&self, note: Note) {
        // They are kept until the last of us is gone.
        let _ = self.to.send(note);
    }
}
