//! Many transactions at once: all that were answered are kept, and none that was not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use offhook_store::engine::IntoValue;
use offhook_store::{Sql, Store, StoreError, Tx};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::engines::Database;
use crate::fixtures::{APPEND, PUT, VALUE, kept, one, put, value};

const COUNT: Sql = Sql("SELECT COUNT(*) FROM settings");

on_both_engines!(a_thousand_writers_at_once_are_all_kept, async |store| {
    store.write(async |tx: &mut Tx| put(tx, "tally", "").await).await.unwrap();
    let mut writers = JoinSet::new();
    for n in 0..1000 {
        let store = store.clone();
        writers.spawn(async move {
            let work = async move |tx: &mut Tx| {
                put(tx, &format!("writer {n}"), "1").await?;
                tx.change(APPEND, ["|".into_value(), "tally".into_value()]).await
            };
            store.write(work).await
        });
    }
    for changed in writers.join_all().await {
        assert_eq!(changed.unwrap(), 1);
    }
    assert_eq!(one::<i64>(&store, COUNT).await, 1001);
    assert_eq!(value(&store, "tally").await.map(|tally| tally.len()), Some(1000), "an update was lost");
});

// On SQLite these share commits; a neighbour's failure must not touch anybody else's work.
on_both_engines!(neighbours_of_failed_transactions_are_kept, async |store| {
    store.write(async |tx: &mut Tx| put(tx, "taken", "1").await).await.unwrap();
    let mut writers = JoinSet::new();
    for n in 0..400_usize {
        let store = store.clone();
        writers.spawn(async move { (n, store.write(async move |tx: &mut Tx| work(tx, n).await).await.is_ok()) });
    }
    let mut expected = vec!["taken".to_owned()];
    for (n, kept) in writers.join_all().await {
        assert_eq!(kept, n % 4 == 0, "writer {n}");
        if kept {
            expected.push(format!("writer {n:03}"));
        }
    }
    expected.sort();
    assert_eq!(kept(&store).await, expected);

    async fn work(tx: &mut Tx, n: usize) -> Result<(), StoreError> {
        put(tx, &format!("writer {n:03}"), "1").await?;
        match n % 4 {
            1 => put(tx, "taken", "again").await,
            2 => Err(StoreError::Corrupt("on purpose".to_owned())),
            3 => panic!("on purpose"),
            _ => Ok(()),
        }
    }
});

on_both_engines!(readers_never_see_half_a_transaction, async |store| {
    let (writer, reader) = (store.clone(), store);
    let writing = tokio::spawn(async move {
        for n in 0..100 {
            let pair = async move |tx: &mut Tx| {
                put(tx, &format!("left {n}"), "1").await?;
                tx.rows(VALUE, ["x".into_value()]).await?;
                put(tx, &format!("right {n}"), "1").await
            };
            writer.write(pair).await.unwrap();
        }
    });
    while !writing.is_finished() {
        assert_eq!(one::<i64>(&reader, COUNT).await % 2, 0);
    }
    writing.await.unwrap();
    assert_eq!(one::<i64>(&reader, COUNT).await, 200);
});

on_both_engines!(who_was_answered_is_seen_by_every_later_read, async |store| {
    let mut writers = JoinSet::new();
    for n in 0..50 {
        let store = store.clone();
        writers.spawn(async move {
            let name = format!("writer {n}");
            let written = name.clone();
            store.write(async move |tx: &mut Tx| put(tx, &written, "1").await).await.unwrap();
            assert_eq!(value(&store, &name).await.as_deref(), Some("1"));
        });
    }
    writers.join_all().await;
});

/// Two transactions that take two rows in opposite order: one is chosen to die, and is run again.
#[tokio::test]
async fn a_deadlock_is_run_again_on_postgres() {
    let store = Database::postgres().await.open_migrated().await;
    let setup = async |tx: &mut Tx| {
        put(tx, "a", "").await?;
        put(tx, "b", "").await
    };
    store.write(setup).await.unwrap();
    let runs = Arc::new(AtomicU32::new(0));
    let both_hold_one = Arc::new(Barrier::new(2));
    let (one, other) = tokio::join!(
        lock_both(&store, "a", "b", &runs, &both_hold_one),
        lock_both(&store, "b", "a", &runs, &both_hold_one)
    );
    one.unwrap();
    other.unwrap();
    assert!(runs.load(Ordering::Relaxed) > 2, "they never met");
    assert_eq!(value(&store, "a").await.as_deref(), Some("||"));
    assert_eq!(value(&store, "b").await.as_deref(), Some("||"));
}

async fn lock_both(
    store: &Store,
    first: &'static str,
    second: &'static str,
    runs: &Arc<AtomicU32>,
    both_hold_one: &Arc<Barrier>,
) -> Result<(), StoreError> {
    let (runs, both_hold_one) = (runs.clone(), both_hold_one.clone());
    let work = async move |tx: &mut Tx| {
        let run = runs.fetch_add(1, Ordering::Relaxed);
        tx.change(APPEND, ["|".into_value(), first.into_value()]).await?;
        if run < 2 {
            both_hold_one.wait().await;
        }
        tx.change(APPEND, ["|".into_value(), second.into_value()]).await.map(drop)
    };
    store.write(work).await
}

/// Two transactions that both find a key free: the slower one is run again, and finds it taken.
#[tokio::test]
async fn a_taken_key_is_run_again_on_postgres() {
    let store = Database::postgres().await.open_migrated().await;
    let both_looked = Arc::new(Barrier::new(2));
    let runs = Arc::new(AtomicU32::new(0));
    let get_or_put = || {
        let (both_looked, runs) = (both_looked.clone(), runs.clone());
        async move |tx: &mut Tx| -> Result<&'static str, StoreError> {
            let found = tx.row(VALUE, ["key".into_value()]).await?;
            if runs.fetch_add(1, Ordering::Relaxed) < 2 {
                both_looked.wait().await;
            }
            if found.is_some() {
                return Ok("found");
            }
            tx.run(PUT, ["key".into_value(), "1".into_value()]).await?;
            Ok("put")
        }
    };
    let (one, other) = tokio::join!(store.write(get_or_put()), store.write(get_or_put()));
    let mut outcomes = [one.unwrap(), other.unwrap()];
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["found", "put"]);
}

#[tokio::test]
async fn a_serialization_failure_is_run_again_on_postgres() {
    const STRICT: Sql = Sql("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE");
    let store = Database::postgres().await.open_migrated().await;
    store.write(async |tx: &mut Tx| put(tx, "tally", "").await).await.unwrap();
    let mut writers = JoinSet::new();
    let runs = Arc::new(AtomicU32::new(0));
    for _ in 0..3 {
        let (store, runs) = (store.clone(), runs.clone());
        writers.spawn(async move {
            let work = async move |tx: &mut Tx| {
                runs.fetch_add(1, Ordering::Relaxed);
                tx.run(STRICT, []).await?;
                let tally: String = tx.one(VALUE, ["tally".into_value()]).await?.take()?;
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                let set = Sql("UPDATE settings SET value = $1 WHERE name = 'tally'");
                tx.change(set, [format!("{tally}|").into_value()]).await
            };
            store.write(work).await
        });
    }
    for outcome in writers.join_all().await {
        outcome.unwrap();
    }
    assert_eq!(value(&store, "tally").await.as_deref(), Some("|||"));
    assert!(runs.load(Ordering::Relaxed) > 3, "they never met");
}

#[tokio::test]
async fn a_clash_that_stays_is_given_up() {
    let store = Database::postgres().await.open_migrated().await;
    store.write(async |tx: &mut Tx| put(tx, "taken", "1").await).await.unwrap();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let work = async move |tx: &mut Tx| {
        counted.fetch_add(1, Ordering::Relaxed);
        put(tx, "taken", "2").await
    };
    assert!(matches!(store.write(work).await, Err(StoreError::Clash(_))));
    assert_eq!(runs.load(Ordering::Relaxed), 5);
}
