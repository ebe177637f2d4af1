//! A disk that fills up under load, on SQLite: what can't be kept is refused, what was accepted is not lost, and all
//! goes on when there is room again.

use std::time::Duration;

use serde_json::json;

use crate::cast::{Cast, Conversation, text};
use crate::client::Client;
use crate::database::Database;
use crate::ledger_of_deeds::{Deeds, Outcome, Pair, Text};
use crate::load::{Load, Manners};
use crate::private_disk::PrivateDisk;
use crate::process::{Launch, Offhook};
use crate::reckoning::{Lateness, reckon};
use crate::vitals;
use crate::waiting::{answers, wait_until};

const MEGABYTES: u32 = 48;
const NUMBERS: usize = 3;
/// How long an idle server on a full disk is watched.
const WATCHED: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_loses_nothing() {
    let database = Database::sqlite();
    let disk = PrivateDisk::under(&database, MEGABYTES);
    let mut offhook = Offhook::launch(&database, Launch { before: disk.enter(), ..Launch::default() }).await;
    let client = offhook.client();
    let mut cast = Cast::of_plain_numbers(&client, NUMBERS).await;
    let deeds = Deeds::default();

    let load = Load::start(vec![client.clone()], &cast, &deeds, Manners::Fails);
    wait_until("there is something to lose", || deeds.count_done() > 200).await;
    disk.fill();
    answers(&client, "/readyz", 503).await;
    is_refused(&client, &mut cast, &deeds).await;
    for path in ["/healthz", "/v1/numbers", "/v1/conversations", "/v1/webhooks/deliveries"] {
        let answer = client.get(path).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.json);
    }
    load.stop().await;
    is_calm(&offhook).await;

    disk.make_room();
    goes_on(&client, &cast, &deeds).await;
    offhook.stop().await;
    at_home(&database, &disk, &cast, &deeds).await;
}

/// A crash in the middle of it, and a start while the disk is still full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_on_a_full_disk_is_recovered_from() {
    let database = Database::sqlite();
    let disk = PrivateDisk::under(&database, MEGABYTES);
    let mut offhook = Offhook::launch(&database, Launch { before: disk.enter(), ..Launch::default() }).await;
    let client = offhook.client();
    let cast = Cast::of_plain_numbers(&client, NUMBERS).await;
    let deeds = Deeds::default();

    let load = Load::start(vec![client.clone()], &cast, &deeds, Manners::Anything);
    wait_until("there is something to lose", || deeds.count_done() > 100).await;
    disk.fill();
    answers(&client, "/readyz", 503).await;
    offhook.kill().await;
    load.stop().await;
    offhook.start_again();
    answers(&client, "/healthz", 200).await;
    answers(&client, "/readyz", 503).await;
    answers(&client, "/v1/conversations", 200).await;

    disk.make_room();
    goes_on(&client, &cast, &deeds).await;
    offhook.stop().await;
    at_home(&database, &disk, &cast, &deeds).await;
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

/// A conversation of its own tries again and again, until it has been refused often.
async fn is_refused(client: &Client, cast: &mut Cast, deeds: &Deeds) {
    let pair = Pair { number: cast.numbers[0].digits.clone(), handset: "+14152019999".to_owned() };
    cast.conversations.push(Conversation { pair: pair.clone(), pause: 50, both_ways: false, home: 0 });
    let mut refused = 0;
    while refused < 50 {
        let body = format!("out {:05} {} {}", deeds.count_sent(&pair), pair.number, pair.handset);
        let message = json!({"from_number": pair.number, "to_number": pair.handset, "body": body});
        let answer = client.post("/v1/messages", &message).await.unwrap();
        let outcome = if answer.is_success() {
            // A little room may be left in what the database had taken before.
            Outcome::Done(text(&answer.json["id"]))
        } else {
            assert_eq!((answer.status, &answer.json["error"]["code"]), (500, &json!("INTERNAL_ERROR")), "{answer:?}");
            refused += 1;
            Outcome::Refused
        };
        deeds.sent(&pair, Text { body, outcome });
    }
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

/// With room again, and nobody's help.
async fn goes_on(client: &Client, cast: &Cast, deeds: &Deeds) {
    answers(client, "/readyz", 200).await;
    let done = deeds.count_done();
    let load = Load::start(vec![client.clone()], cast, deeds, Manners::Fails);
    wait_until("changes are accepted again", || deeds.count_done() > done + 100).await;
    load.stop().await;
}

/// The whole reckoning, on a disk that everybody can look at.
async fn at_home(database: &Database, disk: &PrivateDisk, cast: &Cast, deeds: &Deeds) {
    disk.copy_out();
    database.let_time_pass().await;
    let offhook = Offhook::start(database).await;
    reckon(&mut [offhook], database, cast, deeds, Lateness::Never).await;
}
