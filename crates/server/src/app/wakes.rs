//! Tells this node's workers that a commit left work for them. A wake that is lost costs a moment, never the
//! work: every worker also looks for itself.

use std::sync::{Arc, Mutex};

use offhook_domain::CallId;
use offhook_voice::host::Arrival;
use offhook_voice::line::Line;
use tokio::sync::{Notify, mpsc};

/// Which bell to ring once a transaction is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ring {
    /// A message waits on the line of this sending number.
    Send(String),
    /// An event waits for this webhook.
    Deliver(String),
    /// Something is in the sandbox's air.
    Air,
    /// A purchase, a release or a renewal wants looking after.
    Numbers,
    /// A file is to be fetched.
    Media,
    /// A call was kept and is to be placed.
    Place(CallId),
    /// Somebody wants a call to end.
    EndCalls,
    /// SIP trunks changed.
    Trunks,
}

/// What is to be done with calls on this node.
pub enum CallOrder {
    /// Place one that was kept.
    Place(CallId),
    /// Somebody calls.
    Take { arrival: Arrival, line: Box<dyn Line> },
    /// Look which are to be ended.
    End,
}

/// The doorbells of this node's workers.
pub struct Wakes {
    sends: mpsc::UnboundedSender<String>,
    deliveries: mpsc::UnboundedSender<String>,
    /// Something is in the sandbox's air.
    pub air: Arc<Notify>,
    /// A purchase, a release or a renewal wants looking after.
    pub numbers: Notify,
    /// A mail is to be sent.
    pub mails: Notify,
    /// A file is to be fetched.
    pub media: Notify,
    calls: mpsc::UnboundedSender<CallOrder>,
    /// Something was said in a call of this node, or it is over.
    pub told_calls: Notify,
    /// SIP trunks changed.
    pub trunks: Notify,
    ears: Mutex<Option<Ears>>,
}

/// The other ends, taken once by the workers.
pub struct Ears {
    pub sends: mpsc::UnboundedReceiver<String>,
    pub deliveries: mpsc::UnboundedReceiver<String>,
    pub calls: mpsc::UnboundedReceiver<CallOrder>,
}

impl Default for Wakes {
    fn default() -> Self {
        let (sends, heard_sends) = mpsc::unbounded_channel();
        let (deliveries, heard_deliveries) = mpsc::unbounded_channel();
        let (calls, heard_calls) = mpsc::unbounded_channel();
        let ears = Ears { sends: heard_sends, deliveries: heard_deliveries, calls: heard_calls };
        Self {
            sends,
            deliveries,
            air: Arc::default(),
            numbers: Notify::new(),
            mails: Notify::new(),
            media: Notify::new(),
            calls,
            told_calls: Notify::new(),
            trunks: Notify::new(),
            ears: Mutex::new(Some(ears)),
        }
    }
}

impl Wakes {
    /// Rings one bell. Nobody listens in a process that only answers; another node's sweep finds the work.
    pub fn ring(&self, ring: Ring) {
        match ring {
            Ring::Send(line) => drop(self.sends.send(line)),
            Ring::Deliver(webhook) => drop(self.deliveries.send(webhook)),
            Ring::Air => self.air.notify_one(),
            Ring::Numbers => self.numbers.notify_one(),
            Ring::Media => self.media.notify_one(),
            Ring::Place(call) => drop(self.calls.send(CallOrder::Place(call))),
            Ring::EndCalls => drop(self.calls.send(CallOrder::End)),
            Ring::Trunks => self.trunks.notify_one(),
        }
    }

    /// Brings a call to this node's exchange; false where nobody leads calls here.
    pub fn take_call(&self, arrival: Arrival, line: Box<dyn Line>) -> bool {
        self.calls.send(CallOrder::Take { arrival, line }).is_ok()
    }

    /// The receiving ends; `None` the second time.
    pub fn listen(&self) -> Option<Ears> {
        self.ears.lock().ok()?.take()
    }
}
