//! A carrier that does to each text what the test wants, and brings what the test wants.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use offhook_carriers::{AvailableNumber, BuyError, Carrier, CarrierError, NumberOrder, NumberSearch, Submission};
use offhook_domain::message::SendOutcome;
use offhook_domain::{E164, PurchaseId};
use tokio::sync::Notify;

/// What becomes of one text.
#[derive(Debug, Clone)]
pub enum Turn {
    /// Taken, under this id.
    Take(&'static str),
    /// It answers when the test says so, [`ScriptedCarrier::may_answer`].
    Wait,
    Panic,
}

/// Takes every text under an id of its own, unless its receiver has turns left.
pub struct ScriptedCarrier {
    name: &'static str,
    turns: Mutex<HashMap<String, VecDeque<Turn>>>,
    /// Receivers for which it never answers.
    silent: Mutex<Vec<String>>,
    taken: Mutex<Vec<Submission>>,
    /// Rung by the test: those that wait are answered.
    pub may_answer: Notify,
}

impl ScriptedCarrier {
    /// The carrier of the numbers of these tests.
    pub fn new() -> Arc<Self> {
        Self::named("sandbox")
    }

    pub fn named(name: &'static str) -> Arc<Self> {
        Arc::new(Self {
            name,
            turns: Mutex::default(),
            silent: Mutex::default(),
            taken: Mutex::default(),
            may_answer: Notify::new(),
        })
    }

    /// What becomes of the next texts to this receiver.
    pub fn next(&self, receiver: &str, turns: impl IntoIterator<Item = Turn>) {
        self.turns.lock().unwrap().entry(receiver.to_owned()).or_default().extend(turns);
    }

    /// Texts to receivers that begin so are never answered.
    pub fn is_silent_for(&self, beginning: &str) {
        self.silent.lock().unwrap().push(beginning.to_owned());
    }

    /// The receivers of the texts handed over so far.
    pub fn asked(&self) -> Vec<String> {
        self.taken.lock().unwrap().iter().map(|submission| submission.to.clone()).collect()
    }
}

#[async_trait]
impl Carrier for ScriptedCarrier {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn search(&self, _: &NumberSearch) -> Result<Vec<AvailableNumber>, CarrierError> {
        panic!("it can't even search")
    }

    async fn buy(&self, _: &NumberOrder) -> Result<(), BuyError> {
        panic!("it can't even sell")
    }

    async fn find_order(&self, _: &PurchaseId) -> Result<Option<E164>, CarrierError> {
        panic!("it can't even look up")
    }

    async fn release(&self, _: &E164, _: Option<&PurchaseId>) -> Result<(), CarrierError> {
        panic!("it can't even take back")
    }

    async fn send(&self, submission: &Submission) -> SendOutcome {
        let number = {
            let mut taken = self.taken.lock().unwrap();
            taken.push(submission.clone());
            taken.len()
        };
        let silent = self.silent.lock().unwrap().iter().any(|beginning| submission.to.starts_with(beginning));
        let turn = self.turns.lock().unwrap().get_mut(&submission.to).and_then(VecDeque::pop_front);
        let id = match turn {
            _ if silent => std::future::pending().await,
            None => format!("SM{number}"),
            Some(Turn::Take(id)) => id.to_owned(),
            Some(Turn::Wait) => {
                self.may_answer.notified().await;
                format!("SM{number}")
            }
            Some(Turn::Panic) => panic!("a mistake in the carrier's code"),
        };
        SendOutcome::Accepted { carrier_message_id: id }
    }
}
