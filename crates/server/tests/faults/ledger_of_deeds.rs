//! What was asked of the server, in which order, and what it answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// One conversation: our number and somebody's handset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    pub number: String,
    pub handset: String,
}

/// What the server's answers say of something that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was done, under this id.
    Done(String),
    /// Nothing happened.
    Refused,
    /// Nobody knows: no answer came, or one that says so.
    Open,
}

/// A text that was asked for. Its body is its own: the direction, its place and the pair.
#[derive(Debug, Clone)]
pub struct Text {
    pub body: String,
    pub outcome: Outcome,
}

/// A number that was asked for, under a reference of its own.
#[derive(Debug, Clone)]
pub struct Order {
    pub external_id: String,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, Default)]
pub struct Deeds {
    done: Arc<Mutex<Done>>,
}

#[derive(Debug, Default)]
struct Done {
    sent: BTreeMap<Pair, Vec<Text>>,
    texted: BTreeMap<Pair, Vec<Text>>,
    ordered: Vec<Order>,
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

    pub fn ordered(&self, order: Order) {
        self.done.lock().unwrap().ordered.push(order);
    }

    pub fn all_sent(&self) -> BTreeMap<Pair, Vec<Text>> {
        self.done.lock().unwrap().sent.clone()
    }

    pub fn all_texted(&self) -> BTreeMap<Pair, Vec<Text>> {
        self.done.lock().unwrap().texted.clone()
    }

    pub fn count_sent(&self, pair: &Pair) -> usize {
        self.done.lock().unwrap().sent.get(pair).map_or(0, Vec::len)
    }

    pub fn count_texted(&self, pair: &Pair) -> usize {
        self.done.lock().unwrap().texted.get(pair).map_or(0, Vec::len)
    }

    pub fn all_ordered(&self) -> Vec<Order> {
        self.done.lock().unwrap().ordered.clone()
    }

    /// How many texts were answered with success.
    pub fn count_done(&self) -> usize {
        self.tally()[0]
    }

    pub fn count(&self) -> usize {
        self.tally().iter().sum()
    }

    pub fn summary(&self) -> String {
        let [done, refused, open] = self.tally();
        format!("deeds: {done} done, {refused} refused, {open} not known")
    }

    fn tally(&self) -> [usize; 3] {
        let done = self.done.lock().unwrap();
        let texts = done.sent.values().chain(done.texted.values()).flatten().map(|text| &text.outcome);
        let mut tally = [0; 3];
        for outcome in texts.chain(done.ordered.iter().map(|order| &order.outcome)) {
            tally[match outcome {
                Outcome::Done(_) => 0,
                Outcome::Refused => 1,
                Outcome::Open => 2,
            }] += 1;
        }
        tally
    }
}
