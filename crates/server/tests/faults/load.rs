//! Who keeps the servers busy: our numbers that send, handsets that text back, a buyer.
//!
//! Every other text is sent under an `Idempotency-Key` and repeated until it is answered with success, so that it must be
//! there once; the others are asked for once, and their answer must be true.

use std::collections::VecDeque;
use std::time::Duration;

use rand::RngExt;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cast::{Cast, Conversation, text};
use crate::client::{Answer, Client, NoAnswer};
use crate::ledger_of_deeds::{Deeds, Order, Outcome, Text};

/// After a failure: how often to ask whether a server is ready again.
const LOOK: Duration = Duration::from_millis(50);
const BUYERS_PAUSE: u64 = 40;
/// Numbers that the buyer keeps before it gives the oldest up.
const KEPT: usize = 3;
/// One in so many requests of a conversation goes to another node than most.
const ASTRAY: usize = 4;

/// What a server may do while it is being broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    /// It is killed: no answer, or a true one.
    Dies,
    /// Its database goes away: it always answers, if only that nothing happened or that it does not know.
    Fails,
    /// It may be killed, paused or cut off.
    Anything,
}

impl Manners {
    fn allow(self, outcome: &Result<Answer, NoAnswer>) -> bool {
        match outcome {
            Ok(answer) if answer.says_nothing_happened() || answer.status == 409 => self != Self::Dies,
            Ok(answer) => answer.is_success(),
            Err(NoAnswer::Cut) => self != Self::Fails,
            Err(NoAnswer::Silence) => self == Self::Anything,
        }
    }
}

pub struct Load {
    stop: watch::Sender<bool>,
    workers: JoinSet<()>,
}

impl Load {
    /// Begins, at the doors of one server or of several nodes; behind the deeds that are done, where there are any.
    pub fn start(doors: Vec<Client>, cast: &Cast, deeds: &Deeds, manners: Manners) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut workers = JoinSet::new();
        let worker = Worker { doors, turned: 0, deeds: deeds.clone(), stopped, manners };
        for conversation in &cast.conversations {
            workers.spawn(worker.clone().send(conversation.clone()));
            if conversation.both_ways {
                workers.spawn(worker.clone().text(conversation.clone()));
            }
        }
        workers.spawn(worker.buy());
        Self { stop, workers }
    }

    pub async fn stop(mut self) {
        self.stop.send(true).unwrap();
        while let Some(ended) = self.workers.join_next().await {
            ended.unwrap();
        }
    }
}

#[derive(Clone)]
struct Worker {
    doors: Vec<Client>,
    /// How often a door was found shut: each time the next one becomes the usual one.
    turned: usize,
    deeds: Deeds,
    stopped: watch::Receiver<bool>,
    manners: Manners,
}

impl Worker {
    /// Our number sends to the handset, one after the other.
    async fn send(mut self, Conversation { pair, pause, home, .. }: Conversation) {
        for n in self.deeds.count_sent(&pair).. {
            if self.is_over(pause).await {
                return;
            }
            let body = format!("out {n:05} {} {}", pair.number, pair.handset);
            let message = json!({"from_number": pair.number, "to_number": pair.handset, "body": body});
            let key = (n % 2 == 0).then(|| format!("send {body}"));
            let outcome = self.ask("/v1/messages", &message, key.as_deref(), home, n).await;
            self.deeds.sent(&pair, Text { body, outcome });
        }
    }

    /// The handset texts our number, one after the other.
    async fn text(mut self, Conversation { pair, pause, home, .. }: Conversation) {
        for n in self.deeds.count_texted(&pair).. {
            if self.is_over(pause).await {
                return;
            }
            let body = format!("in {n:05} {} {}", pair.number, pair.handset);
            let message = json!({"from": pair.handset, "to": pair.number, "body": body, "media_urls": []});
            let outcome = self.ask("/sandbox/messages", &message, None, home, n).await;
            self.deeds.texted(&pair, Text { body, outcome });
        }
    }

    /// Asks for something; under a key, again and again until it is done.
    async fn ask(&mut self, path: &str, body: &Value, key: Option<&str>, home: usize, n: usize) -> Outcome {
        let mut open = false;
        loop {
            let outcome = self.door(home, n).post_once(path, body, key).await;
            assert!(self.manners.allow(&outcome), "{outcome:?} to {body}");
            match outcome {
                Ok(answer) if answer.is_success() => return Outcome::Done(text(&answer.json["id"])),
                Ok(answer) => open |= !answer.says_nothing_happened(),
                Err(_) => open = true,
            }
            self.wait_until_back().await;
            if key.is_none() || *self.stopped.borrow() {
                break;
            }
        }
        if open { Outcome::Open } else { Outcome::Refused }
    }

    /// Numbers come and go.
    async fn buy(mut self) {
        let mut held = VecDeque::new();
        for n in self.deeds.all_ordered().len().. {
            if self.is_over(BUYERS_PAUSE).await {
                return;
            }
            let external_id = format!("buy {n}");
            let order = json!({"areaCode": "206", "externalId": external_id});
            let answer = self.door(n, 0).post_once("/v1/numbers", &order, Some(&external_id)).await;
            let full = answer.as_ref().is_ok_and(|answer| answer.status == 400);
            // A lost answer of the carrier is a 409 at all times.
            let unknown = answer.as_ref().is_ok_and(|answer| answer.status == 409);
            assert!(full || unknown || self.manners.allow(&answer), "{answer:?}");
            let outcome = match answer {
                Ok(answer) if answer.is_success() => {
                    held.push_back(text(&answer.json["id"]));
                    Outcome::Done(text(&answer.json["id"]))
                }
                Ok(answer) if full || answer.says_nothing_happened() => Outcome::Refused,
                _ => Outcome::Open,
            };
            let done = matches!(outcome, Outcome::Done(_));
            self.deeds.ordered(Order { external_id, outcome });
            if !done && !full {
                self.wait_until_back().await;
            }
            if (full || held.len() > KEPT)
                && let Some(number) = held.pop_front()
            {
                self.give_up(&number, n).await;
            }
        }
    }

    /// Releases a number, with as many tries as it takes.
    async fn give_up(&mut self, number: &str, n: usize) {
        let path = format!("/v1/numbers/{number}");
        loop {
            let answer = self.door(n, 0).delete(&path).await;
            let released_before = answer.as_ref().is_ok_and(|answer| answer.status == 400);
            assert!(released_before || self.manners.allow(&answer), "{answer:?}");
            if released_before || answer.is_ok_and(|answer| answer.is_success()) || *self.stopped.borrow() {
                return;
            }
            self.wait_until_back().await;
        }
    }

    /// Most of what belongs together comes in at one door, and some of it at the next.
    fn door(&self, home: usize, n: usize) -> &Client {
        let astray = usize::from(n % ASTRAY == ASTRAY - 1);
        &self.doors[(home + self.turned + astray) % self.doors.len()]
    }

    /// Waits until somebody is ready, and goes to the next door from then on.
    async fn wait_until_back(&mut self) {
        self.turned += 1;
        while !*self.stopped.borrow() {
            for door in &self.doors {
                if door.get("/readyz").await.is_ok_and(|answer| answer.status == 200) {
                    return;
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn is_over(&self, pause: u64) -> bool {
        let pause = rand::rng().random_range(pause / 3..pause * 5 / 3);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        *self.stopped.borrow()
    }
}
