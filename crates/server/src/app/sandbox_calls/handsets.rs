//! Calls that handsets of the sandbox make to numbers of the platform: whoever holds such a handset types, and reads what is
//! said. In: what it does. Out: what happened, in order, for as long as the process lives.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use offhook_domain::{E164, Timestamp, pii};
use offhook_voice::host::Arrival;
use offhook_voice::line::LineEnd;
use offhook_voice::text_line::{TextPeer, Told, text_line};
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use crate::app::App;

/// More calls of handsets are not remembered: the oldest that are over go first.
const MOST: usize = 1_000;
/// An answer to what was said has come when so long nothing followed.
const PAUSE: Duration = Duration::from_millis(300);

/// Something that a handset heard of its call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Heard {
    /// From 0.
    pub place: usize,
    pub at: Timestamp,
    /// `ringing`, `answered`, `says`, `said`, `hushed`, `pressed`, `transferred`, `refused` or `ended`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What was said or pressed, where it was transferred to, or why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What a handset does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Does {
    Says(String),
    Presses(String),
    HangsUp,
}

/// One call of a handset.
pub struct HandsetCall {
    pub id: String,
    pub from: E164,
    pub to: E164,
    does: mpsc::UnboundedSender<Does>,
    log: Mutex<Vec<Heard>>,
    /// How long the log is, and whether the call is over.
    news: watch::Sender<(usize, bool)>,
}

/// All calls of this process's handsets. Cheap to clone.
#[derive(Clone, Default)]
pub struct HandsetCalls {
    calls: Arc<Mutex<HashMap<String, Arc<HandsetCall>>>>,
}

impl HandsetCalls {
    /// Calls a number of the platform. `pace` is how many characters the agent says in a second; none: all at once.
    #[must_use]
    pub fn call(&self, app: &App, from: E164, to: E164, pace: Option<u32>) -> Option<Arc<HandsetCall>> {
        let (line, peer) = text_line(pace);
        let (does, orders) = mpsc::unbounded_channel();
        let id = format!("hcl_{:032x}", rand::random::<u128>());
        let call = Arc::new(HandsetCall {
            id,
            from: from.clone(),
            to: to.clone(),
            does,
            log: Mutex::default(),
            news: watch::Sender::new((0, false)),
        });
        let arrival =
            Arrival { from: pii::phone(from.to_string()), to: to.to_string(), trunks: Vec::new(), over: "sandbox" };
        if !app.wakes.take_call(arrival, Box::new(line)) {
            return None;
        }
        self.remember(call.clone());
        app.turns.spawn(hold(app.clone(), call.clone(), peer, orders));
        Some(call)
    }

    /// The call with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Arc<HandsetCall>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn remember(&self, call: Arc<HandsetCall>) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() >= MOST {
            calls.retain(|_, call| !call.is_over());
        }
        calls.insert(call.id.clone(), call);
    }
}

impl HandsetCall {
    /// Has the handset do something; false where its call is over.
    pub fn does(&self, does: Does) -> bool {
        !self.is_over() && self.does.send(does).is_ok()
    }

    #[must_use]
    pub fn is_over(&self) -> bool {
        self.news.borrow().1
    }

    /// What it heard from a place on.
    #[must_use]
    pub fn heard(&self, from: usize) -> Vec<Heard> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).iter().skip(from).cloned().collect()
    }

    /// What it heard from a place on, once there is something; nothing where the call is over and all was heard.
    pub async fn next(&self, from: usize) -> Vec<Heard> {
        let mut news = self.news.subscribe();
        // The sender lives as long as this does.
        let _ = news.wait_for(|(length, over)| *length > from || *over).await;
        self.heard(from)
    }

    /// Waits until it is over.
    pub async fn over(&self) {
        // The sender lives as long as this does.
        let _ = self.news.subscribe().wait_for(|(_, over)| *over).await;
    }

    /// Waits until the agent has said something behind a place and then paused; until it has said nothing for as long as
    /// `patience`; or until the call is over.
    pub async fn next_words(&self, from: usize, patience: Duration) {
        let mut news = self.news.subscribe();
        loop {
            let (length, over) = *news.borrow_and_update();
            if over {
                return;
            }
            let heard = self.heard(from);
            let spoken = heard.iter().any(|one| one.kind == "said");
            let speaks = heard.last().is_some_and(|last| last.kind == "says");
            let changed = news.wait_for(|(now, over)| *now > length || *over);
            let quiet = if spoken && !speaks { PAUSE } else { patience };
            if tokio::time::timeout(quiet, changed).await.is_err() && !speaks {
                return;
            }
        }
    }

    fn note(&self, at: Timestamp, kind: &'static str, text: Option<String>) {
        let length = {
            let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            let place = log.len();
            log.push(Heard { place, at, kind, text });
            log.len()
        };
        self.news.send_replace((length, kind == "ended"));
    }
}

async fn hold(app: App, call: Arc<HandsetCall>, mut peer: TextPeer, mut orders: mpsc::UnboundedReceiver<Does>) {
    loop {
        let told = tokio::select! {
            told = peer.next() => told,
            Some(does) = orders.recv() => {
                match does {
                    Does::Says(text) => peer.types(&text),
                    Does::Presses(keys) => keys.chars().for_each(|key| peer.press(key)),
                    Does::HangsUp => {
                        peer.end(LineEnd::TheyHungUp);
                        break;
                    }
                }
                continue;
            }
        };
        let (kind, text) = match told {
            Some(Told::Ringing) => ("ringing", None),
            Some(Told::Answered) => ("answered", None),
            Some(Told::Says(text)) => ("says", Some(text)),
            Some(Told::Said) => ("said", None),
            Some(Told::Hushed) => ("hushed", None),
            Some(Told::Pressed(keys)) => ("pressed", Some(keys)),
            Some(Told::Transferred(to)) => ("transferred", Some(to)),
            Some(Told::Refused(why)) => {
                call.note(app.now(), "refused", Some(why.status().to_string()));
                break;
            }
            Some(Told::HungUp) | None => break,
        };
        call.note(app.now(), kind, text);
    }
    call.note(app.now(), "ended", None);
}
