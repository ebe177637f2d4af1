//! A load that is refused now and then: what a 5xx said did not happen, and what a 409 or a cut left open, are kept
//! apart.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::RngExt;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::client::{Answer, Client, Cut};
use crate::ledger_of_deeds::{Deeds, Pair, Text};
use crate::load::{Cast, text};

/// Bodies of texts that were answered with a 5xx: nothing may be known of them.
#[derive(Clone, Default)]
pub struct Refused(Arc<Mutex<Vec<String>>>);

impl Refused {
    pub fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Numbers that send and handsets that text.
pub struct Load {
    stop: watch::Sender<bool>,
    workers: JoinSet<()>,
}

impl Load {
    pub fn start(client: &Client, cast: &Cast, deeds: &Deeds, refused: &Refused) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut workers = JoinSet::new();
        for pair in &cast.pairs {
            for is_out in [true, false] {
                let worker = Worker { client: client.clone(), deeds: deeds.clone(), refused: refused.clone() };
                workers.spawn(worker.run(pair.clone(), is_out, stopped.clone()));
            }
        }
        Self { stop, workers }
    }

    pub async fn stop(mut self) {
        self.stop.send(true).unwrap();
        while let Some(ended) = self.workers.join_next().await {
            ended.unwrap();
        }
    }
}

struct Worker {
    client: Client,
    deeds: Deeds,
    refused: Refused,
}

impl Worker {
    async fn run(self, pair: Pair, is_out: bool, stopped: watch::Receiver<bool>) {
        while !*stopped.borrow() {
            let pause = rand::rng().random_range(10..60);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let kind = if is_out { "out" } else { "in" };
            // The times of both loads order them; a process has one count of them.
            let body = format!("{kind} {:09} {} {}", turn(), pair.number, pair.handset);
            let outcome = if is_out { self.send(&pair, &body).await } else { self.text(&pair, &body).await };
            let accepted = match outcome {
                Ok(answer) if answer.status == 200 => Some(text(&answer.json["id"])),
                Ok(answer) if answer.status == 409 => {
                    assert_eq!(answer.json["error"]["code"], "OUTCOME_UNKNOWN", "{answer:?}");
                    None
                }
                Ok(answer) => {
                    let code = &answer.json["error"]["code"];
                    assert_eq!((answer.status, code), (500, &json!("INTERNAL_ERROR")), "{answer:?}");
                    self.refused.0.lock().unwrap().push(body);
                    continue;
                }
                Err(Cut) => None,
            };
            let text = Text { body, answered: accepted };
            if is_out { self.deeds.sent(&pair, text) } else { self.deeds.texted(&pair, text) }
        }
    }

    async fn send(&self, pair: &Pair, body: &str) -> Result<Answer, Cut> {
        let message = json!({"from_number": pair.number, "to_number": pair.handset, "body": body});
        self.client.post("/v1/messages", &message).await
    }

    async fn text(&self, pair: &Pair, body: &str) -> Result<Answer, Cut> {
        let message = json!({"from": pair.handset, "to": pair.number, "body": body, "media_urls": []});
        self.client.post("/sandbox/messages", &message).await
    }
}

fn turn() -> u64 {
    static TURNS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    TURNS.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}
