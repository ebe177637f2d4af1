//! What was asked of the server, in which order, and what it answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// One conversation: our number and somebody's handset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    pub number: String,
    pub handset: String,
}

/// A text that was asked for. Its body is its own: the direction, its place and the pair.
#[derive(Debug, Clone)]
pub struct Text {
    pub body: String,
    /// The message's id, where the server answered with success.
    pub answered: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub struct Deeds {
    done: Arc<Mutex<Done>>,
}

#[derive(Debug, Default)]
struct Done {
    sent: BTreeMap<Pair, Vec<Text>>,
    texted: BTreeMap<Pair, Vec<Text>>,
}

impl Deeds {
    /// Our number sent to the handset.
    pub fn sent(&self, pair: &Pair, text: Text) {
        self.done.lock().unwrap().sent.entry(pair.clone()).or_default().push(text);
    }

    /// The handset texted our number.
    pub fn texted(&self, pair: &Pair, text: Text) {
        self.done.lock().unwrap().texted.entry(pair.clone()).or_default().push(text);
    }

    pub fn all_sent(&self) -> BTreeMap<Pair, Vec<Text>> {
        self.done.lock().unwrap().sent.clone()
    }

    pub fn all_texted(&self) -> BTreeMap<Pair, Vec<Text>> {
        self.done.lock().unwrap().texted.clone()
    }

    pub fn count(&self) -> usize {
        let done = self.done.lock().unwrap();
        done.sent.values().chain(done.texted.values()).map(Vec::len).sum()
    }
}
