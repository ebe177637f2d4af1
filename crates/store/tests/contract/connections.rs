//! PostgreSQL goes away: between transactions, inside one, at the commit. Nothing is half done, nothing is done twice,
//! and the store works again as soon as the server does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use offhook_store::engine::IntoValue;
use offhook_store::{Store, StoreError, Tx};
use offhook_testkit::tcp_proxy::postgres::PostgresWire;
use offhook_testkit::tcp_proxy::{Cut, Cutting, Message, TcpProxy, Verdict, at_first};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use crate::engines::{Database, connect};
use crate::fixtures::{APPEND, VALUE, kept, put, value};

#[tokio::test]
async fn a_server_that_is_not_there_is_told_at_once() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let opened = Store::open_postgres(&format!("postgres://postgres@{closed}/none"), 1).await;
    assert!(matches!(opened.err(), Some(StoreError::Unavailable(_))));
    let opened = Store::open_postgres("not a url", 1).await;
    assert!(matches!(opened.err(), Some(StoreError::Unavailable(_))));
}

/// As a paused machine does: its kernel takes the connection.
#[tokio::test]
async fn a_server_that_takes_a_connection_and_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://postgres@{}/none", silent.local_addr().unwrap());
    assert!(matches!(Store::open_postgres(&url, 1).await.err(), Some(StoreError::Unavailable(_))));
}

/// A node stops, as under SIGSTOP, while it holds a row. The others get it, and the node begins anew when it wakes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_paused_in_a_transaction_loses_it() {
    let database = Database::postgres().await;
    let (paused, other) = (database.open_migrated().await, database.open().await);
    other.write(async |tx: &mut Tx| put(tx, "tally", "").await).await.unwrap();
    let (runs, held) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
    let (counted, tell) = (runs.clone(), held.clone());
    let pausing = async move |tx: &mut Tx| {
        tx.change(APPEND, ["paused|".into_value(), "tally".into_value()]).await?;
        if counted.fetch_add(1, Ordering::Relaxed) == 0 {
            tell.notify_one();
            // The thread itself: nothing of this node goes on.
            std::thread::sleep(Duration::from_secs(8));
        }
        Ok::<_, StoreError>(())
    };
    let pausing = tokio::spawn(async move { paused.write(pausing).await });
    held.notified().await;
    let append = async |tx: &mut Tx| tx.change(APPEND, ["other|".into_value(), "tally".into_value()]).await;
    assert_eq!(other.write(append).await.unwrap(), 1);
    assert!(!pausing.is_finished());
    pausing.await.unwrap().unwrap();
    assert_eq!(value(&other, "tally").await.as_deref(), Some("other|paused|"));
    assert_eq!(runs.load(Ordering::Relaxed), 2);
}

/// The wait for a row that somebody keeps is ended, and the transaction run again.
#[tokio::test]
async fn a_wait_for_another_transaction_ends() {
    let database = Database::postgres().await;
    let store = database.open_migrated().await;
    store.write(async |tx: &mut Tx| put(tx, "tally", "").await).await.unwrap();
    let operator = connect(database.url()).await;
    operator.batch_execute("BEGIN; DELETE FROM settings WHERE name = 'tally'").await.unwrap();
    let again = Arc::new(Notify::new());
    let (runs, tell) = (AtomicU32::new(0), again.clone());
    let work = async move |tx: &mut Tx| {
        if runs.fetch_add(1, Ordering::Relaxed) == 1 {
            tell.notify_one();
        }
        tx.change(APPEND, ["|".into_value(), "tally".into_value()]).await
    };
    let (outcome, ()) = tokio::join!(store.write(work), async {
        again.notified().await;
        operator.batch_execute("ROLLBACK").await.unwrap();
    });
    assert_eq!(outcome.unwrap(), 1);
    assert_eq!(value(&store, "tally").await.as_deref(), Some("|"));
}

/// Somebody keeps a row for good: that is told before whoever asked has lost patience.
#[tokio::test]
async fn a_lock_that_is_never_let_go_is_not_waited_for_again_and_again() {
    let database = Database::postgres().await;
    let store = database.open_migrated().await;
    store.write(async |tx: &mut Tx| put(tx, "tally", "").await).await.unwrap();
    let operator = connect(database.url()).await;
    operator.batch_execute("BEGIN; DELETE FROM settings WHERE name = 'tally'").await.unwrap();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let work = async move |tx: &mut Tx| {
        counted.fetch_add(1, Ordering::Relaxed);
        tx.change(APPEND, ["|".into_value(), "tally".into_value()]).await
    };
    assert!(matches!(store.write(work).await, Err(StoreError::Clash(_))));
    assert_eq!(runs.load(Ordering::Relaxed), 2);
}

/// All places are taken, and more wait for one.
#[tokio::test]
async fn urgent_work_does_not_wait_behind_all_other_work() {
    let database = Database::postgres().await;
    let store = database.open_migrated().await;
    let release = Arc::new(Semaphore::new(0));
    let mut waiting = JoinSet::new();
    for n in 0..50 {
        let (store, release) = (store.clone(), release.clone());
        waiting.spawn(async move {
            let work = async move |tx: &mut Tx| {
                drop(release.acquire().await.unwrap());
                put(tx, &format!("row {n}"), "1").await
            };
            store.write(work).await
        });
    }
    tokio::task::yield_now().await;
    store.urgent(async |tx: &mut Tx| put(tx, "urgent", "1").await).await.unwrap();
    let operator = connect(database.url()).await;
    let rows = operator.query_one("SELECT COUNT(*) FROM settings", &[]).await.unwrap();
    assert_eq!(rows.get::<_, i64>(0), 1, "only the urgent one");
    release.add_permits(1);
    for outcome in waiting.join_all().await {
        outcome.unwrap();
    }
    assert_eq!(kept(&store).await.len(), 51);
}

#[tokio::test]
async fn connections_cut_between_transactions_are_replaced() {
    let database = Database::postgres().await;
    let store = database.open_migrated().await;
    for n in 0..5 {
        store.write(async move |tx: &mut Tx| put(tx, &format!("row {n}"), "1").await).await.unwrap();
        cut_connections(&database).await;
    }
    assert_eq!(kept(&store).await.len(), 5);
}

#[tokio::test]
async fn a_transaction_whose_connection_is_cut_is_run_again() {
    let database = Database::postgres().await;
    let store = database.open_migrated().await;
    let cutter = Arc::new(database);
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let work = async move |tx: &mut Tx| {
        let run = counted.fetch_add(1, Ordering::Relaxed);
        put(tx, &format!("run {run}"), "1").await?;
        tx.rows(VALUE, ["x".into_value()]).await?;
        if run == 0 {
            cut_connections(&cutter).await;
        }
        put(tx, "after", "1").await
    };
    store.write(work).await.unwrap();
    assert_eq!(kept(&store).await, ["after", "run 1"], "the first run left nothing");
    assert_eq!(runs.load(Ordering::Relaxed), 2);
}

/// COMMIT arrives and is done, its answer doesn't arrive: the caller must hear that it was done, and it must not be
/// done again.
#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_found_out() {
    let database = Database::postgres().await;
    let (proxy, store) = behind_a_proxy(&database).await;
    proxy.judge(at_first(is_commit, |_| Verdict::cut_after(Cut::Reset)));
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let work = async move |tx: &mut Tx| {
        let run = counted.fetch_add(1, Ordering::Relaxed);
        put(tx, &format!("run {run}"), "1").await
    };
    store.write(work).await.unwrap();
    assert_eq!(kept(&store).await, ["run 0"]);
}

/// COMMIT doesn't arrive: the transaction is run again.
#[tokio::test]
async fn a_commit_that_never_arrives_is_run_again() {
    let database = Database::postgres().await;
    let (proxy, store) = behind_a_proxy(&database).await;
    proxy.judge(at_first(is_commit, |message| Verdict::cut_before(Cut::Reset, message)));
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let work = async move |tx: &mut Tx| {
        let run = counted.fetch_add(1, Ordering::Relaxed);
        put(tx, &format!("run {run}"), "1").await?;
        tx.rows(VALUE, ["x".into_value()]).await.map(drop)
    };
    store.write(work).await.unwrap();
    assert_eq!(kept(&store).await, ["run 1"]);
}

/// The answer is lost and the server stays away: that is neither a success nor a failure, and says so.
#[tokio::test]
async fn a_commit_that_cannot_be_found_out_is_unknown() {
    let database = Database::postgres().await;
    let (proxy, store) = behind_a_proxy(&database).await;
    let away = Cutting { how: Cut::Reset, kept_back: 0, answered: true, away: true };
    proxy.judge(at_first(is_commit, move |_| Verdict::Cut(away)));
    let outcome = store.write(async |tx: &mut Tx| put(tx, "perhaps", "1").await).await;
    assert!(matches!(outcome, Err(StoreError::Unknown(_))), "{outcome:?}");
    assert_eq!(kept(&database.open().await).await, ["perhaps"]);
}

/// Ends every connection but the one that asks for it, as a restart does.
async fn cut_connections(database: &Database) {
    let operator = connect(database.url()).await;
    let cut = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    operator.simple_query(cut).await.unwrap();
}

/// A proxy in front of a fresh database, and a migrated store behind it.
async fn behind_a_proxy(database: &Database) -> (TcpProxy, Store) {
    let (before, after) = database.url().split_once('@').unwrap();
    let (server, name) = after.split_once('/').unwrap();
    let proxy = TcpProxy::speaking::<PostgresWire>(server).await;
    let store = Store::open_postgres(&format!("{before}@{}/{name}", proxy.address()), 2).await.unwrap();
    offhook_store::migrate(&store).await.unwrap();
    (proxy, store)
}

fn is_commit(message: &Message<'_>) -> bool {
    message.text == "COMMIT"
}
