//! PostgreSQL is stopped under load, and comes back: requests are told so, nothing is half done, and Offhook goes on by
//! itself.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::cast::{Cast, REFUSED};
use crate::client::Client;
use crate::cluster::{Cluster, Stop};
use crate::database::{Database, count};
use crate::from_environment;
use crate::ledger_of_deeds::Deeds;
use crate::load::{Load, Manners};
use crate::process::Offhook;
use crate::reckoning::{Lateness, reckon};

/// How long it is away: once shorter and once longer than the store asks after a commit whose answer was lost.
const AWAY: [(Stop, Duration); 2] = [(Stop::Fast, Duration::from_secs(2)), (Stop::Immediate, Duration::from_secs(12))];
/// How long the load runs before, and after.
const AT_WORK: Duration = Duration::from_secs(3);
const TOLD_WITHIN: Duration = Duration::from_secs(20);
const BACK_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_stops_under_load_and_nothing_is_lost_or_doubled() {
    let cluster = Cluster::start();
    let database = Database::in_cluster(&cluster);
    let mut offhook = Offhook::start(&database).await;
    let cast = Cast::of_every_kind(&offhook.client()).await;
    let deeds = Deeds::default();
    let load = Load::start(vec![offhook.client()], &cast, &deeds, Manners::Fails);
    for (how, away) in outages() {
        tokio::time::sleep(AT_WORK).await;
        println!("{how:?} stop for {away:?}, with {} deeds done", deeds.count());
        cluster.stop(how);
        let until = Instant::now() + away;
        wait_for_readiness(&offhook.client(), 503, TOLD_WITHIN).await;
        check_told(&offhook.client(), &cast).await;
        tokio::time::sleep_until(until.into()).await;
        cluster.start_again();
        wait_for_readiness(&offhook.client(), 200, BACK_WITHIN).await;
        wait_for_deeds(&deeds).await;
    }
    tokio::time::sleep(AT_WORK).await;
    load.stop().await;
    offhook.check_runs();
    database.let_time_pass().await;
    reckon(&mut [offhook], &database, &cast, &deeds, Lateness::Never).await;
    // Nothing was known only to a process that died: what a carrier has said is never forgotten.
    let doubtful = "SELECT COUNT(*) FROM messages m JOIN conversations c ON c.id = m.conversation_id
        WHERE c.participant = $1 AND m.status = 'unconfirmed'";
    assert_eq!(count(&database.open().await, doubtful, REFUSED).await, 0);
}

fn outages() -> Vec<(Stop, Duration)> {
    let away = from_environment("OFFHOOK_FAULT_DOWN_SECONDS").map(Duration::from_secs);
    let rounds: usize = from_environment("OFFHOOK_FAULT_ROUNDS").map_or(1, |rounds: usize| rounds.div_ceil(10));
    AWAY.into_iter().cycle().take(AWAY.len() * rounds).map(|(how, short)| (how, away.unwrap_or(short))).collect()
}

async fn wait_for_readiness(client: &Client, status: u16, within: Duration) {
    let deadline = Instant::now() + within;
    loop {
        let answer = client.get("/readyz").await.unwrap();
        if answer.status == status {
            return;
        }
        assert!(Instant::now() < deadline, "/readyz is {} and not {status}", answer.status);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Without a database every request is told so, and the process lives.
async fn check_told(client: &Client, cast: &Cast) {
    assert_eq!(client.get("/healthz").await.unwrap().status, 200);
    let message =
        json!({"from_number": cast.numbers[0].digits, "to_number": "+14155559876", "body": "nobody hears this"});
    let answer = client.post("/v1/messages", &message).await.unwrap();
    assert_eq!((answer.status, &answer.json["error"]["code"]), (500, &json!("INTERNAL_ERROR")), "{}", answer.json);
}

/// Work goes on: more is done than before.
async fn wait_for_deeds(deeds: &Deeds) {
    let (done, deadline) = (deeds.count_done(), Instant::now() + BACK_WITHIN);
    while deeds.count_done() < done + 20 {
        assert!(Instant::now() < deadline, "the server is ready, and does nothing");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
