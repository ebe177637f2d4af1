//! A disk that fills up under load, on SQLite: what can't be kept is refused, what was accepted is not lost, and all
//! goes on when there is room again.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use offhook_testkit::webhook_receiver::WebhookReceiver;
use rand::RngExt;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::client::{Answer, Client};
use crate::database::Database;
use crate::ledger_of_deeds::{Deeds, Pair, Text};
use crate::load::{self, Cast, text};
use crate::private_disk::PrivateDisk;
use crate::process::{Launch, Offhook};
use crate::{reckoning, vitals};

const MEGABYTES: u32 = 48;
const WITHIN: Duration = Duration::from_secs(60);
/// How long an idle server on a full disk is watched.
const WATCHED: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_loses_nothing() {
    let database = Database::sqlite();
    let disk = PrivateDisk::under(&database, MEGABYTES);
    let mut offhook = Offhook::launch(&database, Launch { before: disk.enter(), ..Launch::default() }).await;
    let customer = WebhookReceiver::start().await;
    let client = offhook.client();
    let cast = load::prepare(&client, &customer).await;
    let (deeds, refused) = (Deeds::default(), Refused::default());

    let load = Load::start(&client, &cast, &deeds, &refused);
    wait_until("there is something to lose", || deeds.count() > 300).await;
    disk.fill();
    wait_until("changes are refused", || refused.count() > 50).await;
    answers(&client, "/readyz", 503).await;
    for path in ["/healthz", "/v1/numbers", "/v1/conversations", "/v1/webhooks/deliveries"] {
        let answer = client.get(path).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.json);
    }
    load.stop().await;
    is_calm(&offhook).await;

    disk.make_room();
    answers(&client, "/readyz", 200).await;
    let done = deeds.count();
    let load = Load::start(&client, &cast, &deeds, &refused);
    wait_until("changes are accepted again", || deeds.count() > done + 100).await;
    load.stop().await;
    reckoning::wait_until_quiet(&client, &cast, &offhook).await;
    let books = reckoning::Books::read(&client, &cast).await;
    books.check_sent(&deeds);
    books.check_received(&deeds);
    books.check_told(&customer.received());
    books.check_refused(&refused.all());
    offhook.stop().await;
    disk.copy_out();
    reckoning::check_at_rest(&database).await;
    println!("{}, {} refused", books.summary(&deeds, &customer.received()), refused.count());
}

/// A crash in the middle of it, and a start while the disk is still full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_on_a_full_disk_is_recovered_from() {
    let database = Database::sqlite();
    let disk = PrivateDisk::under(&database, MEGABYTES);
    let mut offhook = Offhook::launch(&database, Launch { before: disk.enter(), ..Launch::default() }).await;
    let customer = WebhookReceiver::start().await;
    let client = offhook.client();
    let cast = load::prepare(&client, &customer).await;
    let (deeds, refused) = (Deeds::default(), Refused::default());

    let load = Load::start(&client, &cast, &deeds, &refused);
    wait_until("there is something to lose", || deeds.count() > 100).await;
    disk.fill();
    wait_until("changes are refused", || refused.count() > 50).await;
    load.stop().await;
    offhook.kill().await;
    offhook.start_again();
    answers(&client, "/healthz", 200).await;
    answers(&client, "/readyz", 503).await;
    answers(&client, "/v1/conversations", 200).await;

    disk.make_room();
    answers(&client, "/readyz", 200).await;
    reckoning::wait_until_quiet(&client, &cast, &offhook).await;
    let books = reckoning::Books::read(&client, &cast).await;
    books.check_sent(&deeds);
    books.check_received(&deeds);
    books.check_told(&customer.received());
    books.check_refused(&refused.all());
    offhook.stop().await;
    disk.copy_out();
    reckoning::check_at_rest(&database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_on_a_full_disk_says_why_it_fails() {
    let database = Database::sqlite();
    let disk = PrivateDisk::under(&database, 1);
    disk.fill();
    let mut offhook = Offhook::launch_unready(&database, Launch { before: disk.enter(), ..Launch::default() });
    assert_eq!(offhook.ended().await, Some(1), "{}", offhook.log());
    let log = offhook.log();
    assert!(log.contains("full") || log.contains("No space left"), "{log}");
}

/// An idle server on a full disk neither spins nor fills the next disk with its log.
async fn is_calm(offhook: &Offhook) {
    let lines = || offhook.whole_log().lines().count();
    let (before, busy) = (lines(), vitals::processor_time(offhook.pid()));
    tokio::time::sleep(WATCHED).await;
    let (lines, busy) = (lines() - before, vitals::processor_time(offhook.pid()) - busy);
    println!("idle on a full disk for {WATCHED:?}: {busy:?} of processor time, {lines} lines of log");
    assert!(busy < WATCHED / 2, "{busy:?} of processor time in {WATCHED:?}\n{}", offhook.log());
    let seconds = usize::try_from(WATCHED.as_secs()).unwrap();
    assert!(lines < 25 * seconds, "{lines} lines of log in {WATCHED:?}\n{}", offhook.log());
}

/// Waits until a path answers with this status.
async fn answers(client: &Client, path: &str, status: u16) {
    let deadline = Instant::now() + WITHIN;
    loop {
        let answer = client.get(path).await;
        if answer.as_ref().is_ok_and(|answer| answer.status == status) {
            return;
        }
        assert!(Instant::now() < deadline, "{path} does not answer {status}: {answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + WITHIN;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {WITHIN:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Bodies of texts that were answered with a 5xx: nothing may be known of them.
#[derive(Clone, Default)]
struct Refused(Arc<Mutex<Vec<String>>>);

impl Refused {
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Numbers that send and handsets that text, and take a refusal.
struct Load {
    stop: watch::Sender<bool>,
    workers: JoinSet<()>,
}

impl Load {
    fn start(client: &Client, cast: &Cast, deeds: &Deeds, refused: &Refused) -> Self {
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

    async fn stop(mut self) {
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
            let kind = if is_out { "out" } else { "in" };
            // The times of both loads order them; a process has one count of them.
            let body = format!("{kind} {:09} {} {}", turn(), pair.number, pair.handset);
            let answer = if is_out { self.send(&pair, &body).await } else { self.text(&pair, &body).await };
            match answer.status {
                200 => {
                    let text = Text { body, answered: Some(text(&answer.json["id"])) };
                    if is_out { self.deeds.sent(&pair, text) } else { self.deeds.texted(&pair, text) }
                }
                status => {
                    assert_eq!((status, &answer.json["error"]["code"]), (500, &json!("INTERNAL_ERROR")), "{answer:?}");
                    self.refused.0.lock().unwrap().push(body);
                }
            }
            let pause = rand::rng().random_range(10..60);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn send(&self, pair: &Pair, body: &str) -> Answer {
        let message = json!({"from_number": pair.number, "to_number": pair.handset, "body": body});
        self.post("/v1/messages", &message).await
    }

    async fn text(&self, pair: &Pair, body: &str) -> Answer {
        let message = json!({"from": pair.handset, "to": pair.number, "body": body, "media_urls": []});
        self.post("/sandbox/messages", &message).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.client.post(path, body).await.expect("the server stays up and answers")
    }
}

fn turn() -> u64 {
    static TURNS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    TURNS.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}
