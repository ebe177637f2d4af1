//! Every statement is one that both engines take.

use offhook_store::engine::IntoValue;
use offhook_store::{Sql, StoreError, Tx, every_statement};

on_both_engines!(every_statement_prepares, async |store| {
    let mut wrong = Vec::new();
    for sql in every_statement(store.engine()) {
        if let Err(error) = store.write(async move |tx: &mut Tx| tx.prepare(sql).await).await {
            wrong.push(format!("{error}\n  {}", sql.0));
        }
    }
    assert!(wrong.is_empty(), "{} statements:\n{}", wrong.len(), wrong.join("\n"));
});

on_both_engines!(parameters_in_another_order_are_noticed, async |store| {
    let swapped = Sql("SELECT value FROM settings WHERE name = $2 AND value = $1");
    let prepared = store.write(async move |tx: &mut Tx| tx.prepare(swapped).await).await;
    match &store {
        offhook_store::Store::Sqlite(_) => assert!(matches!(prepared, Err(StoreError::Statement(_)))),
        // PostgreSQL binds by number: only SQLite has to be watched.
        offhook_store::Store::Postgres(_) => prepared.unwrap(),
    }
});

on_both_engines!(a_statement_with_too_few_parameters_fails, async |store| {
    let few = async |tx: &mut Tx| {
        tx.rows(Sql("SELECT value FROM settings WHERE name = $1 AND value = $2"), ["a".into_value()]).await
    };
    assert!(matches!(store.read(few).await, Err(StoreError::Statement(_))));
});
