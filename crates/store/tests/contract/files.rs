//! One SQLite file: one process, durable, free again when the store is closed.

use std::process::{Command, Stdio};

use offhook_store::{OpenSqliteError, Sql, Store, StoreError, Tx};

use crate::engines::Database;
use crate::fixtures::{kept, put};

/// Tells the child of `a_second_process_is_refused` what to open.
const OPEN: &str = "CONTRACT_OPEN";

#[tokio::test]
async fn what_was_answered_is_there_after_a_reopening() {
    let database = Database::sqlite();
    for n in 0..10 {
        let store = database.open_migrated().await;
        store.write(async move |tx: &mut Tx| put(tx, &format!("opening {n}"), "1").await).await.unwrap();
        assert_eq!(kept(&store).await.len(), n + 1);
    }
}

#[tokio::test]
async fn closing_waits_for_what_is_queued() {
    let database = Database::sqlite();
    let store = database.open_migrated().await;
    for n in 0..100 {
        let writer = store.clone();
        let write =
            tokio::spawn(
                async move { writer.write(async move |tx: &mut Tx| put(tx, &format!("{n}"), "1").await).await },
            );
        tokio::task::yield_now().await;
        write.abort();
        drop(write.await);
    }
    drop(store);
    let reopened = database.open().await;
    let before = kept(&reopened).await;
    drop(reopened);
    assert_eq!(kept(&database.open().await).await, before);
}

#[tokio::test]
async fn a_second_opening_is_refused_with_the_reason() {
    let database = Database::sqlite();
    let _first = database.open_migrated().await;
    let second = Store::open_sqlite(&database.file(), 1).err().expect("one opening per file");
    assert!(matches!(second, OpenSqliteError::InUse { .. }));
    let text = second.to_string();
    assert!(text.contains("offhook.db is in use by another process"), "{text}");
    assert!(text.contains("use PostgreSQL"), "{text}");
}

/// Another process, not only another opening: this test runs itself once more as the other one.
#[tokio::test]
async fn a_second_process_is_refused() {
    if let Some(path) = std::env::var_os(OPEN) {
        let error = Store::open_sqlite(path.as_ref(), 1).err().expect("it is in use");
        assert!(matches!(error, OpenSqliteError::InUse { .. }), "{error}");
        return;
    }
    let database = Database::sqlite();
    let _first = database.open_migrated().await;
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "files::a_second_process_is_refused"])
        .env(OPEN, database.file())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn a_lock_left_by_a_dead_process_does_not_matter() {
    let database = Database::sqlite();
    std::fs::write(database.file().with_extension("lock"), "").unwrap();
    database.open_migrated().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_named() {
    let database = Database::sqlite();
    let missing = database.file().join("nowhere").join("offhook.db");
    let error = Store::open_sqlite(&missing, 1).err().expect("there is no such folder");
    assert!(error.to_string().contains("nowhere/offhook"), "{error}");

    std::fs::write(database.file(), "this is no database, but long enough to look like one".repeat(100)).unwrap();
    let error = Store::open_sqlite(&database.file(), 1).err().expect("not a database");
    assert!(error.to_string().contains("offhook.db: file is not a database"), "{error}");
}

/// Commits reach the disk before anybody hears of them, and readers don't wait for the writer.
#[tokio::test]
async fn the_file_is_kept_safely() {
    let database = Database::sqlite();
    let store = database.open_migrated().await;
    let pragma = async |name: &'static str| -> (String, String) {
        let read = async move |tx: &mut Tx| -> Result<String, StoreError> { tx.one(Sql(name), []).await?.take() };
        (store.read(read).await.unwrap(), store.write(read).await.unwrap())
    };
    let texts = |text: &str| (text.to_owned(), text.to_owned());
    assert_eq!(pragma("SELECT CAST(synchronous AS TEXT) FROM pragma_synchronous").await, texts("2"), "FULL");
    assert_eq!(pragma("SELECT journal_mode FROM pragma_journal_mode").await, texts("wal"));
}
