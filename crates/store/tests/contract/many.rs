//! Statements over many rows of parameters mean the same for none, for a few and for many.

use offhook_domain::message::{Failure, ReceiptStatus};
use offhook_store::engine::{IntoValue, Value};
use offhook_store::outcomes::{EarlyReceipt, KeptReceipt};
use offhook_store::{Sql, SqlMany, Store, StoreError, Tx};

use crate::fixtures::NOON;

/// None, one, as many as PostgreSQL is given one by one, one more, and a page full.
const COUNTS: [usize; 5] = [0, 1, 4, 5, 300];

const KEEP: SqlMany = SqlMany {
    one: Sql("INSERT INTO settings (name, value) VALUES ($1, $2)"),
    all: Sql("INSERT INTO settings (name, value) SELECT * FROM unnest($1::TEXT[], $2::TEXT[])"),
};
const CHANGE: SqlMany = SqlMany {
    one: Sql("UPDATE settings SET value = $1 WHERE name = $2"),
    all: Sql("UPDATE settings s SET value = e.value
        FROM unnest($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS e (value, name, n) WHERE s.name = e.name RETURNING e.n"),
};
const FIND: SqlMany = SqlMany {
    one: Sql("SELECT name, value FROM settings WHERE name LIKE $1 || '%' ORDER BY name"),
    all: Sql("SELECT e.n, s.name, s.value FROM unnest($1::TEXT[]) WITH ORDINALITY AS e (name, n)
        JOIN settings s ON s.name LIKE e.name || '%' ORDER BY e.n, s.name"),
};

fn name(n: usize) -> String {
    format!("n{n:03}.")
}

async fn fill(store: &Store, count: usize) {
    let each: Vec<[Value; 2]> = (0..count)
        .flat_map(|n| [1, 2].map(|part| [format!("{}{part}", name(n)).into_value(), "old".into_value()]))
        .collect();
    let fill = async move |tx: &mut Tx| tx.run_each(KEEP, each.clone()).await;
    store.write::<_, StoreError>(fill).await.unwrap();
}

on_both_engines!(each_row_of_parameters_is_told_whether_it_changed_anything, async |store| {
    fill(&store, 300).await;
    for count in COUNTS {
        // Every third is not there.
        let there = |n: &usize| !n.is_multiple_of(3);
        let target = move |n: usize| if there(&n) { format!("{}1", name(n)) } else { format!("nobody {n}") };
        let each: Vec<[Value; 2]> = (0..count).map(|n| ["new".into_value(), target(n).into_value()]).collect();
        let change = async move |tx: &mut Tx| tx.change_each(CHANGE, each.clone()).await;
        let changed = store.write::<_, StoreError>(change).await.unwrap();
        assert_eq!(changed, (0..count).map(|n| there(&n)).collect::<Vec<_>>(), "{count} rows");
    }
});

on_both_engines!(each_row_of_parameters_gets_its_own_rows_in_order, async |store| {
    fill(&store, 300).await;
    for count in COUNTS {
        // Backwards, and every third finds nothing.
        let asked = |n: usize| if n.is_multiple_of(3) { format!("nobody {n}") } else { name(299 - n) };
        let each: Vec<[Value; 1]> = (0..count).map(|n| [asked(n).into_value()]).collect();
        let find = async move |tx: &mut Tx| {
            let found = tx.rows_each(FIND, each.clone()).await?;
            let first = |mut row: offhook_store::engine::Row| row.take::<String>();
            found.into_iter().map(|rows| rows.into_iter().map(first).collect::<Result<Vec<_>, _>>()).collect()
        };
        let found: Vec<Vec<String>> = store.read::<_, StoreError>(find).await.unwrap();
        let parts = |n: usize| [1, 2].map(|part| format!("{}{part}", name(299 - n))).to_vec();
        let expected: Vec<_> = (0..count).map(|n| if n.is_multiple_of(3) { vec![] } else { parts(n) }).collect();
        assert_eq!(found, expected, "{count} rows");
    }
});

on_both_engines!(a_failing_row_keeps_none, async |store| {
    for count in COUNTS.into_iter().filter(|count| *count > 0) {
        // The last takes the name of the first.
        let names = (0..count).chain([0]).map(name);
        let each: Vec<[Value; 2]> = names.map(|name| [name.into_value(), "twice".into_value()]).collect();
        let keep = async move |tx: &mut Tx| tx.run_each(KEEP, each.clone()).await;
        assert!(matches!(store.write::<(), StoreError>(keep).await, Err(StoreError::Clash(_))), "{count} rows");
        let left = async |tx: &mut Tx| {
            tx.one(Sql("SELECT COUNT(*) FROM settings WHERE value = 'twice'"), []).await?.take::<i64>()
        };
        assert_eq!(store.read::<_, StoreError>(left).await.unwrap(), 0, "{count} rows");
    }
});

on_both_engines!(a_column_may_be_null_in_some_rows_or_in_all, async |store| {
    for (prefix, with_failure) in [("none", false), ("some", true)] {
        let receipt = move |n: usize| KeptReceipt {
            carrier_message_id: format!("{prefix} {n}"),
            status: ReceiptStatus::Delivered,
            failure: (with_failure && n.is_multiple_of(2)).then(|| Failure::new("30003", "unreachable")),
            at: NOON,
        };
        let keep = async move |tx: &mut Tx| {
            let early = |n| EarlyReceipt { carrier: "sandbox", message: None, receipt: receipt(n) };
            tx.keep_receipts(&(0..9).map(early).collect::<Vec<_>>()).await
        };
        store.write::<_, StoreError>(keep).await.unwrap();
        let take = async move |tx: &mut Tx| {
            let ids: Vec<String> = (0..9).map(|n| format!("{prefix} {n}")).collect();
            let asked: Vec<_> = ids.iter().map(|id| ("sandbox", id.as_str())).collect();
            tx.take_early_receipts(&asked).await
        };
        let taken: Vec<Vec<KeptReceipt>> = store.write::<_, StoreError>(take).await.unwrap();
        let failures = |receipts: &[KeptReceipt]| receipts.iter().filter(|receipt| receipt.failure.is_some()).count();
        assert_eq!(taken.iter().map(Vec::len).collect::<Vec<_>>(), [1; 9]);
        assert_eq!(taken.iter().map(|list| failures(list)).sum::<usize>(), if with_failure { 5 } else { 0 });
    }
});
