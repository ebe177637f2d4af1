//! The schema comes up to date once, whoever starts at the same time, and never under the wrong program.

use offhook_store::{Sql, StoreError, Tx, migrate};
use tokio::task::JoinSet;

use crate::engines::Database;
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
