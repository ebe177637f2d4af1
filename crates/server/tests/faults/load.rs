//! Who keeps the server busy: our numbers that send, handsets that text back, a buyer.

use std::time::Duration;

use offhook_testkit::webhook_receiver::WebhookReceiver;
use rand::RngExt;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::client::{Answer, Client, Cut};
use crate::ledger_of_deeds::{Deeds, Pair, Text};

const NUMBERS: usize = 3;
const HANDSETS: usize = 4;
const PAUSE_MILLIS: std::ops::Range<u64> = 10..60;
/// After a cut: how often to ask whether the server is back.
const LOOK: Duration = Duration::from_millis(20);

/// Who takes part.
pub struct Cast {
    pub numbers: Vec<Number>,
    pub pairs: Vec<Pair>,
    /// The webhook's secret.
    pub secret: String,
}

pub struct Number {
    pub id: String,
    pub digits: String,
}

/// Buys the numbers and sets the webhook.
pub async fn prepare(client: &Client, customer: &WebhookReceiver) -> Cast {
    let webhook = client.post("/v1/webhooks", &json!({"url": customer.url()})).await.unwrap().ok();
    let mut numbers = Vec::new();
    for area_code in ["415", "212", "312"].iter().take(NUMBERS) {
        let bought = client.post("/v1/numbers", &json!({"areaCode": area_code})).await.unwrap().ok();
        numbers.push(Number { id: text(&bought["id"]), digits: text(&bought["phoneNumber"]) });
    }
    let handset = |n: usize| format!("+1415201{:04}", 1230 + n);
    let pairs = numbers
        .iter()
        .flat_map(|number| (0..HANDSETS).map(|n| Pair { number: number.digits.clone(), handset: handset(n) }))
        .collect();
    Cast { numbers, pairs, secret: text(&webhook["secret"]) }
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text was expected: {value}")).to_owned()
}

pub struct Load {
    stop: watch::Sender<bool>,
    workers: JoinSet<()>,
}

impl Load {
    pub fn start(client: Client, cast: &Cast, deeds: &Deeds) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut workers = JoinSet::new();
        for pair in &cast.pairs {
            let worker = Worker { client: client.clone(), deeds: deeds.clone(), stopped: stopped.clone() };
            workers.spawn(worker.clone().send(pair.clone()));
            workers.spawn(worker.text(pair.clone()));
        }
        workers.spawn(Worker { client, deeds: deeds.clone(), stopped }.buy());
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
    client: Client,
    deeds: Deeds,
    stopped: watch::Receiver<bool>,
}

impl Worker {
    /// Our number sends to the handset, one after the other.
    async fn send(self, pair: Pair) {
        for n in 0.. {
            if self.is_over().await {
                return;
            }
            let body = format!("out {n:05} {} {}", pair.number, pair.handset);
            let message = json!({"from_number": pair.number, "to_number": pair.handset, "body": body});
            let outcome = self.client.post("/v1/messages", &message).await;
            let answered = self.answered(outcome).await;
            self.deeds.sent(&pair, Text { body, answered });
        }
    }

    /// The handset texts our number, one after the other.
    async fn text(self, pair: Pair) {
        for n in 0.. {
            if self.is_over().await {
                return;
            }
            let body = format!("in {n:05} {} {}", pair.number, pair.handset);
            let message = json!({"from": pair.handset, "to": pair.number, "body": body, "media_urls": []});
            let outcome = self.client.post("/sandbox/messages", &message).await;
            let answered = self.answered(outcome).await;
            self.deeds.texted(&pair, Text { body, answered });
        }
    }

    /// Numbers come and go; what became of them is seen at the end.
    async fn buy(self) {
        for n in 0.. {
            if self.is_over().await {
                return;
            }
            let order = json!({"areaCode": "206"});
            let Ok(answer) = self.client.post_once("/v1/numbers", &order, &format!("buy {n}")).await else {
                self.wait_until_back().await;
                continue;
            };
            assert!([200, 400, 409].contains(&answer.status), "{} {}", answer.status, answer.json);
            if answer.status == 200 && n % 4 != 0 {
                let path = format!("/v1/numbers/{}", text(&answer.json["id"]));
                while self.client.delete(&path).await.is_err() && !*self.stopped.borrow() {
                    self.wait_until_back().await;
                }
            }
        }
    }

    async fn answered(&self, outcome: Result<Answer, Cut>) -> Option<String> {
        match outcome {
            Ok(answer) => Some(text(&answer.ok()["id"])),
            Err(Cut) => {
                self.wait_until_back().await;
                None
            }
        }
    }

    async fn wait_until_back(&self) {
        while !*self.stopped.borrow() && self.client.get("/readyz").await.is_err() {
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn is_over(&self) -> bool {
        let pause = rand::rng().random_range(PAUSE_MILLIS);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        *self.stopped.borrow()
    }
}
