//! One transaction: kept whole or not at all, whatever goes wrong in it.

use offhook_store::engine::{IntoValue, Value};
use offhook_store::{Engine, Sql, StoreError, Tx};

use crate::engines::Database;
use crate::fixtures::{APPEND, PUT, Refusal, VALUE, kept, put, value};

on_both_engines!(what_is_written_can_be_read, async |store| {
    store.write(async |tx: &mut Tx| put(tx, "colour", "green").await).await.unwrap();
    assert_eq!(value(&store, "colour").await.as_deref(), Some("green"));
});

on_both_engines!(an_error_of_the_use_case_keeps_nothing, async |store| {
    let refused = async |tx: &mut Tx| -> Result<(), Refusal> {
        put(tx, "a", "1").await?;
        tx.rows(VALUE, ["a".into_value()]).await?;
        put(tx, "b", "2").await?;
        Err(Refusal::Refused)
    };
    assert!(matches!(store.write(refused).await, Err(Refusal::Refused)));
    assert_eq!(kept(&store).await, [""; 0]);
});

on_both_engines!(a_transaction_sees_what_it_wrote, async |store| {
    let seen = async |tx: &mut Tx| -> Result<String, StoreError> {
        put(tx, "a", "1").await?;
        tx.run(APPEND, ["2".into_value(), "a".into_value()]).await?;
        tx.one(VALUE, ["a".into_value()]).await?.take()
    };
    assert_eq!(store.write(seen).await.unwrap(), "12");
});

on_both_engines!(statements_run_in_the_order_they_were_given, async |store| {
    let expected: String = (0..200).map(|n| format!("{n},")).collect();
    let append = async |tx: &mut Tx| {
        put(tx, "digits", "").await?;
        for n in 0..200 {
            tx.run(APPEND, [format!("{n},").into_value(), "digits".into_value()]).await?;
        }
        Ok::<_, StoreError>(())
    };
    store.write(append).await.unwrap();
    assert_eq!(value(&store, "digits").await, Some(expected));
});

// PostgreSQL is sent these with COMMIT: the error must come back nevertheless, and undo what was before it.
on_both_engines!(an_error_that_shows_late_still_fails_the_transaction, async |store| {
    store.write(async |tx: &mut Tx| put(tx, "taken", "first").await).await.unwrap();
    let late = async |tx: &mut Tx| {
        put(tx, "before", "1").await?;
        put(tx, "taken", "second").await?;
        put(tx, "after", "1").await
    };
    assert!(matches!(store.write(late).await, Err(StoreError::Clash(_))));
    assert_eq!(kept(&store).await, ["taken"]);
    assert_eq!(value(&store, "taken").await.as_deref(), Some("first"));
});

on_both_engines!(a_failed_statement_cannot_be_shrugged_off, async |store| {
    store.write(async |tx: &mut Tx| put(tx, "taken", "first").await).await.unwrap();
    let shrugs = async |tx: &mut Tx| -> Result<&'static str, StoreError> {
        put(tx, "before", "1").await?;
        drop(tx.change(PUT, ["taken".into_value(), "second".into_value()]).await);
        Ok("never mind")
    };
    assert!(matches!(store.write(shrugs).await, Err(StoreError::Clash(_))));
    assert_eq!(kept(&store).await, ["taken"]);
});

// Errors are logged, and what is stored is people's.
on_both_engines!(an_error_does_not_tell_what_was_written, async |store| {
    store.write(async |tx: &mut Tx| put(tx, "+15555550100", "first").await).await.unwrap();
    let again = async |tx: &mut Tx| put(tx, "+15555550100", "second").await;
    let nameless = async |tx: &mut Tx| tx.run(PUT, [Value::Null, "+15555550100".into_value()]).await;
    for error in [store.write(again).await.unwrap_err(), store.write(nameless).await.unwrap_err()] {
        assert!(!format!("{error} {error:?}").contains("15555550100"), "{error}");
    }
});

on_both_engines!(a_broken_rule_of_the_schema_is_our_mistake_and_no_clash, async |store| {
    let nameless = async |tx: &mut Tx| tx.run(PUT, [Value::Null, "1".into_value()]).await;
    assert!(matches!(store.write(nameless).await, Err(StoreError::Statement(_))));
});

on_both_engines!(a_wrong_statement_keeps_nothing_and_harms_nobody, async |store| {
    let wrong = async |tx: &mut Tx| {
        put(tx, "a", "1").await?;
        tx.rows(VALUE, ["a".into_value()]).await?;
        tx.run(Sql("INSERT INTO no_such_table (a) VALUES ($1)"), ["1".into_value()]).await
    };
    assert!(matches!(store.write(wrong).await, Err(StoreError::Statement(_))));
    for n in 0..20 {
        store.write(async move |tx: &mut Tx| put(tx, &format!("neighbour {n}"), "1").await).await.unwrap();
    }
    assert_eq!(kept(&store).await.len(), 20);
});

on_both_engines!(a_panic_keeps_nothing_and_stops_nobody, async |store| {
    let panics = async |tx: &mut Tx| -> Result<(), StoreError> {
        put(tx, "a", "1").await?;
        tx.rows(VALUE, ["a".into_value()]).await?;
        panic!("on purpose")
    };
    assert!(matches!(store.write(panics).await, Err(StoreError::Statement(_))));
    let reads = async |_: &mut Tx| -> Result<(), StoreError> { panic!("on purpose") };
    assert!(matches!(store.read(reads).await, Err(StoreError::Statement(_))));
    store.write(async |tx: &mut Tx| put(tx, "b", "1").await).await.unwrap();
    assert_eq!(kept(&store).await, ["b"]);
});

on_both_engines!(a_read_must_not_write, async |store| {
    let writes = async |tx: &mut Tx| put(tx, "a", "1").await;
    assert!(matches!(store.read(writes).await, Err(StoreError::Statement(_))));
    assert_eq!(kept(&store).await, [""; 0]);
});

on_both_engines!(values_come_back_as_they_went_in, async |store| {
    const ECHO: Sql =
        Sql("SELECT CAST($1 AS BIGINT), CAST($2 AS TEXT), CAST($3 AS DOUBLE PRECISION), CAST($4 AS TEXT)");
    for int in [0, 1, -1, i64::MAX, i64::MIN] {
        for text in ["", "Grüße 你好 👋🏽", "'; DROP TABLE accounts; --", "a\nb\t\"c\"\\", &"x".repeat(100_000)]
        {
            let text = text.to_owned();
            let echo = async move |tx: &mut Tx| {
                let params = [int.into_value(), text.as_str().into_value(), 0.1_f64.into_value(), Value::Null];
                let mut row = tx.one(ECHO, params).await?;
                assert_eq!(row.take::<i64>()?, int);
                assert_eq!(row.take::<String>()?, text);
                assert_eq!(row.take::<f64>()?.to_bits(), 0.1_f64.to_bits());
                assert_eq!(row.take::<Option<String>>()?, None);
                assert!(matches!(row.take::<i64>(), Err(StoreError::Corrupt(_))));
                Ok::<_, StoreError>(())
            };
            store.read(echo).await.unwrap();
        }
    }
});

on_both_engines!(a_caller_that_goes_away_does_not_cut_its_transaction, async |store| {
    for n in 0..50 {
        let writer = store.clone();
        let write = tokio::spawn(async move {
            let work = async move |tx: &mut Tx| {
                put(tx, &format!("first {n:02}"), "1").await?;
                tx.rows(VALUE, ["x".into_value()]).await?;
                put(tx, &format!("second {n:02}"), "1").await
            };
            writer.write(work).await
        });
        tokio::task::yield_now().await;
        write.abort();
        drop(write.await);
    }
    // Whatever was begun before this one is over when it is.
    let settled = async |tx: &mut Tx| put(tx, "last", "1").await;
    store.write(settled).await.unwrap();
    for _ in 0..100 {
        let names = kept(&store).await;
        let count = |what: &str| names.iter().filter(|name| name.starts_with(what)).count();
        assert_eq!(count("first"), count("second"), "half a transaction: {names:?}");
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
});

/// A statement that can't be sent must not let COMMIT keep those around it. (SQLite takes any value in any column.)
#[tokio::test]
async fn a_parameter_of_the_wrong_type_keeps_nothing_on_postgres() {
    let store = Database::postgres().await.open_migrated().await;
    let wrong = async |tx: &mut Tx| {
        put(tx, "before", "1").await?;
        tx.run(PUT, ["+15555550100".into_value(), 5_i64.into_value()]).await?;
        put(tx, "after", "1").await
    };
    let error = store.write(wrong).await.unwrap_err();
    assert!(matches!(error, StoreError::Statement(_)));
    assert!(error.to_string().contains("\"text\", \"integer\"") && !error.to_string().contains("555"), "{error}");
    assert_eq!(kept(&store).await, [""; 0]);
}

/// SQLite's transactions share one thread: one that waits for the world would stop them all.
#[tokio::test]
async fn waiting_for_anything_but_the_store_is_refused_on_sqlite() {
    let store = Database::sqlite().open_migrated().await;
    let waits = async |tx: &mut Tx| {
        put(tx, "a", "1").await?;
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        Ok::<_, StoreError>(())
    };
    assert!(matches!(store.write(waits).await, Err(StoreError::Statement(_))));
    assert_eq!(kept(&store).await, [""; 0]);
}

on_both_engines!(a_transaction_knows_its_engine, async |store| {
    let engine = store.read(async |tx: &mut Tx| Ok::<_, StoreError>(tx.engine())).await.unwrap();
    let expected = match store {
        offhook_store::Store::Sqlite(_) => Engine::Sqlite,
        offhook_store::Store::Postgres(_) => Engine::Postgres,
    };
    assert_eq!(engine, expected);
});
