//! kill -9 while messages and events are under way, again and again.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::cast::Cast;
use crate::database::Database;
use crate::from_environment;
use crate::ledger_of_deeds::Deeds;
use crate::load::{Load, Manners};
use crate::process::Offhook;
use crate::reckoning::{Lateness, reckon};

const ROUNDS: u32 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_on_sqlite() {
    survive(Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_on_postgres() {
    survive(Database::postgres().await).await;
}

async fn survive(database: Database) {
    let rounds = from_environment("OFFHOOK_FAULT_ROUNDS").unwrap_or(ROUNDS);
    let seed: u64 = from_environment("OFFHOOK_FAULT_SEED").unwrap_or_else(rand::random);
    println!("OFFHOOK_FAULT_SEED={seed} OFFHOOK_FAULT_ROUNDS={rounds}");
    let mut chance = StdRng::seed_from_u64(seed);
    let deeds = Deeds::default();

    let mut offhook = Offhook::start(&database).await;
    let cast = Cast::of_every_kind(&offhook.client()).await;
    let load = Load::start(vec![offhook.client()], &cast, &deeds, Manners::Dies);
    for round in 1..=rounds {
        tokio::time::sleep(Duration::from_millis(chance.random_range(300..2500))).await;
        offhook.kill().await;
        println!("round {round}: killed with {} deeds done", deeds.count());
        offhook.restart().await;
    }
    load.stop().await;
    offhook.kill().await;
    database.let_time_pass().await;
    offhook.restart().await;
    reckon(&mut [offhook], &database, &cast, &deeds, Lateness::Never).await;
}
