//! Tells this node's workers that a commit left work for them. A wake that is lost costs a moment, never the
//! work: every worker also looks for itself.

use std::sync::{Arc, Mutex};

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
    ears: Mutex<Option<Ears>>,
}

/// The other ends, taken once by the workers.
pub struct Ears {
    pub sends: mpsc::UnboundedReceiver<String>,
    pub deliveries: mpsc::UnboundedReceiver<String>,
}

impl Default for Wakes {
    fn default() -> Self {
        let (sends, heard_sends) = mpsc::unbounded_channel();
        let (deliveries, heard_deliveries) = mpsc::unbounded_channel();
        let ears = Ears { sends: heard_sends, deliveries: heard_deliveries };
        Self {
            sends,
            deliveries,
            air: Arc::default(),
            numbers: Notify::new(),
            mails: Notify::new(),
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
        }
    }

    /// The receiving ends; `None` the second time.
    pub fn listen(&self) -> Option<Ears> {
        self.ears.lock().ok()?.take()
    }
}
