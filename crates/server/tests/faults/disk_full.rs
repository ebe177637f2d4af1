//! A disk that fills up under load, on SQLite: what can't be kept is refused, what was accepted is not lost, and all
//! goes on when there is room again.

use std::time::Duration;

use offhook_testkit::webhook_receiver::WebhookReceiver;

use crate::database::Database;
use crate::ledger_of_deeds::Deeds;
use crate::load;
use crate::private_disk::PrivateDisk;
use crate::process::{Launch, Offhook};
use crate::refusals::{Load, Refused};
use crate::waiting::{answers, wait_until};
use crate::{reckoning, vitals};

const MEGABYTES: u32 = 48;
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
