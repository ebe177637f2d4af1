//! Messages on their way through statuses, in memory.
//!
//! In: messages as they were read, and what is heard of them. Out: the steps that led to, for the caller to write. Where
//! another transaction was faster, the same is heard of the message as it stands then. Never here: the store.

use std::collections::HashMap;

use offhook_domain::message::{Failure, MessageStatus, ReceiptStatus};
use offhook_domain::{MessageId, Timestamp};
use offhook_store::outcomes::{Flight, KeptReceipt, StatusMove};

/// A message on its way through statuses, in memory.
pub struct Moving {
    /// As it was read.
    pub flight: Flight,
    /// Where it is now.
    pub status: MessageStatus,
    pub steps: Vec<Step>,
    /// All that led to the steps, or to none.
    told: Vec<Told>,
}

pub struct Step {
    pub to: MessageStatus,
    pub failure: Option<Failure>,
    delivered_at: Option<Timestamp>,
    pub refunds: bool,
}

/// What is heard of a message.
#[derive(Debug, Clone)]
pub enum Told {
    Receipt(ReceiptStatus, Option<Failure>, Timestamp),
    /// The carrier does not have it, and never will.
    Refused(Failure),
    /// Nobody knows whether the carrier has it.
    Lost(Failure),
}

impl Moving {
    pub fn new(flight: Flight) -> Self {
        Self { status: flight.status, flight, steps: Vec::new(), told: Vec::new() }
    }

    /// The same, told of a message that stands elsewhere by now.
    pub fn again(self, flight: Flight) -> Self {
        let mut again = Self::new(flight);
        self.told.into_iter().for_each(|told| again.hear(told));
        again
    }

    pub fn receive(&mut self, receipt: &KeptReceipt) {
        self.hear(Told::Receipt(receipt.status, receipt.failure.clone(), receipt.at));
    }

    pub fn hear(&mut self, told: Told) {
        use MessageStatus::{Delivered, Failed, Queued, Unconfirmed};
        let step = match &told {
            Told::Receipt(status, failure, at) => self.status.after_receipt(*status).map(|to| Step {
                to,
                failure: failure.clone(),
                delivered_at: (to == Delivered).then_some(*at),
                refunds: false,
            }),
            Told::Refused(failure) if matches!(self.status, Queued | Unconfirmed) => {
                Some(Step { to: Failed, failure: Some(failure.clone()), delivered_at: None, refunds: true })
            }
            Told::Lost(failure) if self.status == Queued => {
                Some(Step { to: Unconfirmed, failure: Some(failure.clone()), delivered_at: None, refunds: false })
            }
            Told::Refused(_) | Told::Lost(_) => None,
        };
        self.told.push(told);
        if let Some(step) = step {
            self.status = step.to;
            self.steps.push(step);
        }
    }

    /// From where it was read to where it is now.
    pub fn whole(&self) -> StatusMove<'_> {
        let last = self.steps.last();
        StatusMove {
            message: &self.flight.id,
            from: self.flight.status,
            to: self.status,
            failure: last.and_then(|step| step.failure.as_ref()),
            delivered_at: last.and_then(|step| step.delivered_at),
        }
    }
}

/// Messages in the order they first came up, each once.
#[derive(Default)]
pub struct Group {
    pub all: Vec<Moving>,
    places: HashMap<MessageId, usize>,
}

impl Group {
    pub fn of(&mut self, flight: Flight) -> &mut Moving {
        let place = *self.places.entry(flight.id.clone()).or_insert(self.all.len());
        if place == self.all.len() {
            self.all.push(Moving::new(flight));
        }
        &mut self.all[place]
    }
}
