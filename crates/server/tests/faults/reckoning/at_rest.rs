//! What only the database can tell, with the servers stopped.

use std::collections::BTreeMap;

use offhook_store::{Engine, Sql, Store, StoreError, Tx};

use crate::database::{column, one};
use crate::ledger_of_deeds::{Deeds, Order, Outcome};

/// Rows that must not exist: a query for them, and what they would mean.
const NEVER: &[(&str, &str)] = &[
    ("SELECT message_id FROM send_jobs", "a message left to send"),
    ("SELECT id FROM sandbox_air", "something left in the air"),
    ("SELECT carrier_message_id FROM early_receipts", "a receipt that was never applied"),
    ("SELECT id FROM deliveries WHERE status NOT IN ('success', 'failed')", "an event left to deliver"),
    ("SELECT id FROM purchases WHERE state IN ('reserved', 'unconfirmed')", "a purchase left half way"),
    ("SELECT number_id FROM carrier_releases", "a number not given back"),
    (
        "SELECT id FROM accounts a WHERE numbers_held <>
            (SELECT COUNT(*) FROM numbers n WHERE n.account_id = a.id AND n.status = 'active')",
        "a wrong count of numbers held",
    ),
    (
        "SELECT phone_number FROM numbers WHERE status = 'active'
            AND phone_number NOT IN (SELECT phone_number FROM sandbox_numbers)",
        "a number stored, but not bought",
    ),
    (
        "SELECT phone_number FROM sandbox_numbers
            WHERE phone_number NOT IN (SELECT phone_number FROM numbers WHERE status = 'active')",
        "a number bought, but not stored",
    ),
    (
        "SELECT id FROM conversations c
            WHERE message_count <> (SELECT COUNT(*) FROM messages m WHERE m.conversation_id = c.id)",
        "a wrong count of messages",
    ),
    (
        "SELECT reference FROM ledger_entries WHERE kind IN ('message_out', 'message_in', 'message_refund')
            GROUP BY reference, kind HAVING COUNT(*) > 1",
        "a message charged or refunded twice",
    ),
    (
        "SELECT id FROM messages m WHERE price <> COALESCE((SELECT amount FROM ledger_entries
            WHERE reference = m.id AND kind IN ('message_out', 'message_in')), 0)",
        "a message not charged at its price",
    ),
    // The codes of what a carrier took and then filtered begin with 3000.
    (
        "SELECT id FROM messages m
            WHERE CASE WHEN status = 'failed' AND error_code IN ('21211', '30004') THEN price ELSE 0 END
            <> COALESCE((SELECT amount FROM ledger_entries WHERE reference = m.id AND kind = 'message_refund'), 0)",
        "a message refused and not refunded, or refunded and not refused",
    ),
    (
        "SELECT reference FROM ledger_entries WHERE kind LIKE 'message_%'
            AND reference NOT IN (SELECT id FROM messages)",
        "money for a message that is not there",
    ),
    (
        "SELECT id FROM numbers n WHERE
            COALESCE((SELECT CAST(SUM(messages_in) AS BIGINT) FROM usage_hours u WHERE u.number_id = n.id), 0)
                <> (SELECT COUNT(*) FROM messages m WHERE m.number_id = n.id AND m.direction = 'inbound')
            OR COALESCE((SELECT CAST(SUM(messages_out) AS BIGINT) FROM usage_hours u WHERE u.number_id = n.id), 0)
                <> (SELECT COUNT(*) FROM messages m WHERE m.number_id = n.id AND m.direction = 'outbound')
            OR COALESCE((SELECT CAST(SUM(segments) AS BIGINT) FROM usage_hours u WHERE u.number_id = n.id), 0)
                <> COALESCE((SELECT CAST(SUM(segments) AS BIGINT) FROM messages m WHERE m.number_id = n.id), 0)",
        "a number whose messages are miscounted",
    ),
    ("SELECT key FROM idempotency WHERE status IS NULL", "a key left claimed"),
];

/// Counts that must be equal.
const EQUAL: &[(&str, &str)] = &[
    ("SELECT CAST(SUM(webhooks) AS BIGINT) FROM usage_hours", "SELECT COUNT(*) FROM deliveries"),
    (
        "SELECT CAST(SUM(webhooks_succeeded) AS BIGINT) FROM usage_hours",
        "SELECT COUNT(*) FROM deliveries WHERE status = 'success'",
    ),
    (
        "SELECT CAST(SUM(webhooks_failed) AS BIGINT) FROM usage_hours",
        "SELECT COUNT(*) FROM deliveries WHERE status = 'failed'",
    ),
    ("SELECT CAST(SUM(balance) AS BIGINT) FROM books", "SELECT CAST(0 AS BIGINT)"),
    ("SELECT balance FROM books WHERE book = 'held'", "SELECT CAST(0 AS BIGINT)"),
    // What was earned, counted from what was sold.
    (
        "SELECT balance FROM books WHERE book = 'revenue'",
        "SELECT CAST((SELECT SUM(price) FROM messages WHERE status <> 'failed' OR error_code = '30007')
            + (SELECT SUM(price) FROM purchases WHERE state = 'stored') AS BIGINT)",
    ),
];

/// Nothing is left half way, and everything adds up.
pub async fn check(store: &Store) {
    for (rows, meaning) in NEVER {
        let found: Vec<String> = column(store, rows).await;
        assert!(found.is_empty(), "{meaning}: {found:?}");
    }
    for (left, right) in EQUAL {
        let (a, b): (i64, i64) = (one(store, left).await, one(store, right).await);
        assert_eq!(a, b, "{left} against {right}");
    }
    if store.engine() == Engine::Postgres {
        let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        assert_eq!(one::<i64>(store, deadlocks).await, 0, "transactions waited for each other: see PostgreSQL's log");
    }
    let disagreeing = store.read(async |tx: &mut Tx| tx.disagreeing_books().await).await.unwrap();
    assert!(disagreeing.is_empty(), "books that their lines don't add up to: {disagreeing:?}");
}

/// Every number that was asked for is there as the answer says, and none twice.
pub async fn check_orders(store: &Store, deeds: &Deeds) {
    const NUMBERS: Sql = Sql("SELECT external_id, id FROM numbers WHERE external_id IS NOT NULL");
    let read = async move |tx: &mut Tx| -> Result<Vec<(String, String)>, StoreError> {
        let rows = tx.rows(NUMBERS, []).await?;
        rows.into_iter().map(|mut row| Ok((row.take()?, row.take()?))).collect()
    };
    let mut there: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (external_id, id) in store.read(read).await.unwrap() {
        there.entry(external_id).or_default().push(id);
    }
    for Order { external_id, outcome } in deeds.all_ordered() {
        let found = there.remove(&external_id).unwrap_or_default();
        match outcome {
            Outcome::Done(id) => assert_eq!(found, [id], "{external_id}"),
            Outcome::Refused => assert_eq!(found, [""; 0], "{external_id}: answered that nothing was bought"),
            Outcome::Open => assert!(found.len() <= 1, "{external_id}: bought more than once: {found:?}"),
        }
    }
    assert!(there.is_empty(), "numbers that nobody asked for: {there:?}");
}

/// What the rows add up to, against which the API's figures are held.
pub struct Sums {
    pub messages: i64,
    pub segments: i64,
    pub deliveries: i64,
    pub delivered: i64,
    pub failed: i64,
    pub wallet: i64,
    pub numbers: i64,
}

impl Sums {
    pub async fn read(store: &Store) -> Self {
        Self {
            messages: one(store, "SELECT COUNT(*) FROM messages").await,
            segments: one(store, "SELECT CAST(SUM(segments) AS BIGINT) FROM messages").await,
            deliveries: one(store, "SELECT COUNT(*) FROM deliveries").await,
            delivered: one(store, "SELECT COUNT(*) FROM deliveries WHERE status = 'success'").await,
            failed: one(store, "SELECT COUNT(*) FROM deliveries WHERE status = 'failed'").await,
            wallet: one(store, "SELECT balance FROM books WHERE book = 'wallet'").await,
            numbers: one(store, "SELECT COUNT(*) FROM numbers WHERE status = 'active'").await,
        }
    }
}
