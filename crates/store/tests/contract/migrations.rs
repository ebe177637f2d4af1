//! The schema comes up to date once, whoever starts at the same time, and never under the wrong program.

use std::time::Duration;

use offhook_store::{Sql, Store, StoreError, Tx, migrate};
use tokio::task::JoinSet;

use crate::engines::{Database, connect};
use crate::fixtures::one;

const STEPS: Sql = Sql("SELECT COUNT(*) FROM schema_migrations");

on_both_engines!(a_second_migration_does_nothing, async |store| {
    let steps: i64 = one(&store, STEPS).await;
    assert!(steps > 0);
    assert_eq!(migrate(&store).await.unwrap(), 0);
    assert_eq!(one::<i64>(&store, STEPS).await, steps);
});

on_both_engines!(an_edited_step_is_refused, async |store| {
    let edit = Sql("UPDATE schema_migrations SET checksum = 'edited' WHERE version = 1");
    store.write(async move |tx: &mut Tx| tx.change(edit, []).await).await.unwrap();
    let error = migrate(&store).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)));
    assert!(error.to_string().contains("migration 1 was edited after it ran here"), "{error}");
});

on_both_engines!(a_newer_schema_is_refused, async |store| {
    let add = Sql("INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, 'from the future', 'x')");
    store.write(async move |tx: &mut Tx| tx.change(add, []).await).await.unwrap();
    let error = migrate(&store).await.unwrap_err();
    assert!(error.to_string().contains("schema version 9999, which this Offhook does not know"), "{error}");
});

/// Eight nodes start on an empty database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_together_migrate_once_on_postgres() {
    let database = Database::postgres().await;
    let mut nodes = JoinSet::new();
    for _ in 0..8 {
        let store = database.open().await;
        nodes.spawn(async move { migrate(&store).await });
    }
    let mut steps: Vec<usize> = nodes.join_all().await.into_iter().map(Result::unwrap).collect();
    steps.sort_unstable();
    assert!(steps[7] > 0);
    assert_eq!(steps[..7], [0; 7]);
}

/// Another node's migration takes longer than any other wait may: far longer than all tries together.
#[tokio::test]
async fn a_migration_waits_for_another_nodes_as_long_as_it_takes() {
    let database = Database::postgres().await;
    let operator = connect(database.url()).await;
    operator.batch_execute("SELECT pg_advisory_lock(7203511)").await.unwrap();
    let url = format!("{}?options=-c%20lock_timeout%3D10ms", database.url());
    let store = Store::open_postgres(&url, 2).await.unwrap();
    let (steps, ()) = tokio::join!(migrate(&store), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        operator.batch_execute("SELECT pg_advisory_unlock(7203511)").await.unwrap();
    });
    assert!(steps.unwrap() > 0);
}

// A step that fails leaves nothing behind: all steps are one transaction.
on_both_engines!(the_schema_is_changed_whole_or_not_at_all, async |store| {
    let half = async |tx: &mut Tx| -> Result<(), StoreError> {
        tx.change(Sql("CREATE TABLE half_done (id TEXT PRIMARY KEY)"), []).await?;
        Err(StoreError::Corrupt("on purpose".to_owned()))
    };
    store.write(half).await.unwrap_err();
    let look = async |tx: &mut Tx| tx.rows(Sql("SELECT id FROM half_done"), []).await.map(drop);
    assert!(matches!(store.read(look).await, Err(StoreError::Statement(_))));
});
