//! A carrier that does to each text what the test wants, and brings what the test wants.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use offhook_carriers::{AvailableNumber, BuyError, Carrier, CarrierError, NumberOrder, NumberSearch, Submission};
use offhook_domain::message::{Failure, SendOutcome};
use offhook_domain::{E164, PurchaseId};
use tokio::sync::Notify;

/// What becomes of one text.
#[derive(Debug, Clone)]
pub enum Turn {
    /// Taken, under this id.
    Take(&'static str),
    /// It answers when the test says so, [`ScriptedCarrier::may_answer`].
    Wait,
    /// Its answer is lost.
    Lose,
    Panic,
}

/// Takes every text under an id of its own, unless its receiver has turns left.
pub struct ScriptedCarrier {
    name: &'static str,
    takes_media: bool,
    turns: Mutex<HashMap<String, VecDeque<Turn>>>,
    /// Receivers for which it never answers.
    silent: Mutex<Vec<String>>,
    taken: Mutex<Vec<Submission>>,
    /// Whether it takes nothing for the moment.
    is_down: AtomicBool,
    /// Rung by the test: those that wait are answered.
    pub may_answer: Notify,
}

impl ScriptedCarrier {
    /// The carrier of the numbers of these tests.
    pub fn new() -> Arc<Self> {
        Self::named("sandbox")
    }

    /// A carrier of the numbers of these tests that has texts alone.
    pub fn without_media() -> Arc<Self> {
        Self::named_without_media("sandbox")
    }

    pub fn named_without_media(name: &'static str) -> Arc<Self> {
        Arc::new(Self { takes_media: false, ..Self::idle(name) })
    }

    pub fn named(name: &'static str) -> Arc<Self> {
        Arc::new(Self::idle(name))
    }

    fn idle(name: &'static str) -> Self {
        Self {
            name,
            takes_media: true,
            turns: Mutex::default(),
            silent: Mutex::default(),
            taken: Mutex::default(),
            is_down: AtomicBool::new(false),
            may_answer: Notify::new(),
        }
    }

    /// What becomes of the next texts to this receiver.
    pub fn next(&self, receiver: &str, turns: impl IntoIterator<Item = Turn>) {
        self.turns.lock().unwrap().entry(receiver.to_owned()).or_default().extend(turns);
    }

    /// Texts to receivers that begin so are never answered.
    pub fn is_silent_for(&self, beginning: &str) {
        self.silent.lock().unwrap().push(beginning.to_owned());
    }

    /// Has it take nothing for the moment, or take texts again.
    pub fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
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

    fn takes_media(&self, _: &str) -> bool {
        self.takes_media
    }

    async fn send(&self, submission: &Submission) -> SendOutcome {
        let number = {
            let mut taken = self.taken.lock().unwrap();
            taken.push(submission.clone());
            taken.len()
        };
        if self.is_down.load(Ordering::SeqCst) {
            return SendOutcome::NotTaken(Failure::new("30022", "the carrier is down"));
        }
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
            Some(Turn::Lose) => return SendOutcome::Unknown(Failure::new("30001", "the answer was lost")),
            Some(Turn::Panic) => panic!("a mistake in the carrier's code"),
        };
        SendOutcome::Accepted { carrier_message_id: id }
    }
}
