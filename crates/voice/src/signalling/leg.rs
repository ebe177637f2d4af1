//! One call's signalling, as whoever leads the call has it. In: orders, which never wait. Out: events, in order. A leg that is
//! dropped hangs up.

use offhook_sip::endpoint::{CallId, Ended};
use tokio::sync::mpsc;

use super::desk::Order;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegEvent {
    /// It rings, or something is to be heard before it is answered.
    Progress { status: u16, answer: Option<Vec<u8>> },
    /// Ours was answered.
    Answered { answer: Option<Vec<u8>> },
    /// Theirs stands: they have our answer. With their answer where the offer was ours.
    Confirmed { answer: Option<Vec<u8>> },
    /// They want the media otherwise. To be answered with [`LegOrder::AnswerOffer`] or [`LegOrder::RefuseOffer`].
    Offer { offer: Option<Vec<u8>> },
    /// They ask for somebody else: taken or refused by order.
    Referred { to: String },
    /// How our transfer goes.
    Transfer { status: u16, is_final: bool },
    /// A key, as old trunks send it.
    Key(char),
    /// Ours came to nothing. The last event.
    Failed { status: u16 },
    /// It is over. The last event.
    Ended(Ended),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegOrder {
    Ring,
    Accept(Vec<u8>),
    Reject(u16),
    AnswerOffer(Vec<u8>),
    RefuseOffer(u16),
    /// Hand them over: a URI.
    Transfer(String),
    /// We call whom they ask for, and tell them how it goes; from 200 on that is the last word.
    AcceptReferral,
    ReportReferral(u16),
    RefuseReferral(u16),
    HangUp,
    /// Nobody leads the call any more: it is hung up, or refused so that another server may take it.
    Drop,
}

/// One call.
pub struct Leg {
    id: CallId,
    orders: mpsc::UnboundedSender<Order>,
    events: mpsc::UnboundedReceiver<LegEvent>,
}

impl Leg {
    pub(super) fn new(
        id: CallId,
        orders: mpsc::UnboundedSender<Order>,
        events: mpsc::UnboundedReceiver<LegEvent>,
    ) -> Self {
        Self { id, orders, events }
    }

    /// What happens next; after the last event, or when signalling has stopped, that it is over. Cancel safe.
    pub async fn next(&mut self) -> LegEvent {
        self.events.recv().await.unwrap_or(LegEvent::Ended(Ended::Lost))
    }

    /// Has something done. What makes no sense any more is not done.
    pub fn order(&self, order: LegOrder) {
        let _ = self.orders.send(Order::Leg(self.id, order));
    }
}

impl Drop for Leg {
    fn drop(&mut self) {
        self.order(LegOrder::Drop);
    }
}
