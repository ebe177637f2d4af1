//! How the engines look things up: no statement may read a whole table, or sort what an index has in order.
//!
//! SQLite is asked with EXPLAIN QUERY PLAN. PostgreSQL is asked for its plan with everything disabled that an index
//! makes unnecessary; what then still scans or sorts has no index to use. Both look at every statement there is.

use offhook_store::{Engine, Sql, every_statement};
use tokio_postgres::SimpleQueryMessage;

use crate::engines::{Database, connect};

/// Statements that read more than an index would need, by intent: a part of the text, and why.
const BY_INTENT: &[(&str, &str)] = &[
    ("FROM accounts ORDER BY id LIMIT 1", "at start: the first in the order of the key"),
    ("FROM books b WHERE b.balance <>", "the operator's check adds everything up"),
    ("FROM sandbox_air ORDER BY due_at LIMIT 1", "the first of an index"),
    ("FROM early_receipts WHERE carrier =", "sorts the few receipts of one message"),
    ("FROM early_receipts WHERE message_id =", "sorts the few receipts of one message"),
    ("FROM early_receipts e CROSS JOIN messages", "reads all early receipts, which are few, and finds their messages"),
    ("AND phone_number = $2 ORDER BY status, id DESC", "sorts the few times an account held one number"),
    ("SELECT line, due_at FROM heads WHERE", "sorts one row per endpoint that has something waiting"),
    ("SELECT DISTINCT line FROM send_jobs WHERE epoch IS NOT NULL", "an index of nothing but what is being sent now"),
    ("SELECT COUNT(*), MIN(at) FROM send_jobs", "a gauge: counts what waits"),
    (
        "FROM numbers n JOIN accounts a ON",
        "reads the index of unpaid numbers, which are few, and finds their payers' wallets",
    ),
    ("FROM sip_trunks WHERE NOT EXISTS", "reads all trunks, once one of them changed"),
    ("FROM leases WHERE owner <>", "one row per line being worked on"),
];

/// Tables that stay small, because what is done with is dropped from them.
const SMALL: &[&str] = &["early_receipts", "leases"];

#[tokio::test]
async fn sqlite_looks_everything_up_by_an_index() {
    let database = Database::sqlite();
    drop(database.open_migrated().await);
    let connection = rusqlite::Connection::open(database.file()).unwrap();
    let mut bad = Vec::new();
    for Sql(text) in looked_at(Engine::Sqlite) {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {text}")).unwrap();
        let count = statement.parameter_count();
        let nothing = rusqlite::params_from_iter(std::iter::repeat_n(rusqlite::types::Null, count));
        let steps: Vec<String> =
            statement.query_map(nothing, |row| row.get(3)).unwrap().collect::<Result<_, _>>().unwrap();
        // What the statement itself makes up is not a table.
        let made_up: Vec<&str> =
            steps.iter().filter_map(|s| s.strip_prefix("CO-ROUTINE ").or(s.strip_prefix("MATERIALIZE "))).collect();
        let wasteful = |step: &String| match step.strip_prefix("SCAN ") {
            Some("CONSTANT ROW") => false,
            Some(scanned) => !made_up.iter().any(|name| scanned.split(' ').next() == Some(name)),
            None => step.contains("USE TEMP B-TREE FOR ORDER BY"),
        };
        if steps.iter().any(wasteful) {
            bad.push(format!("{text}\n    {}", steps.join("\n    ")));
        }
    }
    assert!(bad.is_empty(), "{} statements lack an index:\n{}", bad.len(), bad.join("\n"));
}

/// What waits behind one conversation's first message is found among a hundred thousand of its line's.
#[tokio::test]
async fn sqlite_finds_a_conversations_sends_by_the_conversation() {
    let database = Database::sqlite();
    drop(database.open_migrated().await);
    let connection = rusqlite::Connection::open(database.file()).unwrap();
    let of_one =
        ["AND j.conversation_id = $2 AND j.epoch IS NULL", "UPDATE send_jobs SET due_at", "MIN(conversation_id)"];
    for part in of_one {
        let text = every_statement(Engine::Sqlite).into_iter().find(|Sql(text)| text.contains(part)).expect(part).0;
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {text}")).unwrap();
        let nothing =
            rusqlite::params_from_iter(std::iter::repeat_n(rusqlite::types::Null, statement.parameter_count()));
        let steps: Vec<String> =
            statement.query_map(nothing, |row| row.get(3)).unwrap().collect::<Result<_, _>>().unwrap();
        assert!(steps.iter().any(|step| step.contains("send_jobs_by_conversation (line=? AND")), "{text}\n{steps:#?}");
    }
}

#[tokio::test]
async fn postgres_looks_everything_up_by_an_index() {
    let database = Database::postgres().await;
    drop(database.open_migrated().await);
    let client = connect(database.url()).await;
    fill_every_table(&client).await;
    for way in ["seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin"] {
        client.batch_execute(&format!("SET enable_{way} = off")).await.unwrap();
    }
    client.batch_execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
    let mut bad = Vec::new();
    for (n, Sql(text)) in looked_at(Engine::Postgres).into_iter().enumerate() {
        let parameters = client.prepare(text).await.unwrap().params().len();
        client.batch_execute(&format!("PREPARE looked_at_{n} AS {text}")).await.unwrap();
        let nothing =
            if parameters == 0 { String::new() } else { format!("({})", vec!["NULL"; parameters].join(", ")) };
        let lines = explain(&client, &format!("EXECUTE looked_at_{n}{nothing}")).await;
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        if wasteful(&lines) {
            bad.push(format!("{text}\n    {}", lines.join("\n    ")));
        }
    }
    assert!(bad.is_empty(), "{} statements lack an index:\n{}", bad.len(), bad.join("\n"));
}

/// A backlog comes suddenly: where nothing was pending when PostgreSQL last counted, it must not take the indexes of what
/// is pending for empty, and go through them for each outcome.
#[tokio::test]
async fn postgres_finds_what_was_delivered_by_its_id_though_nothing_was_pending_before() {
    let database = Database::postgres().await;
    drop(database.open_migrated().await);
    let client = connect(database.url()).await;
    fill_every_table(&client).await;
    client.batch_execute("UPDATE deliveries SET status = 'success'").await.unwrap();
    client.batch_execute("VACUUM FULL ANALYZE deliveries").await.unwrap();
    for way in ["seqscan", "hashjoin", "mergejoin"] {
        client.batch_execute(&format!("SET enable_{way} = off")).await.unwrap();
    }
    let record = |Sql(text): &Sql| text.starts_with("UPDATE deliveries") && text.contains("response_ms");
    let statements: Vec<Sql> = every_statement(Engine::Postgres).into_iter().filter(record).collect();
    assert_eq!(statements.len(), 2, "for one, and for many");
    for (n, Sql(text)) in statements.into_iter().enumerate() {
        let nothing = vec!["NULL"; client.prepare(text).await.unwrap().params().len()].join(", ");
        client.batch_execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
        client.batch_execute(&format!("PREPARE records_{n} AS {text}")).await.unwrap();
        let plan = explain(&client, &format!("EXECUTE records_{n}({nothing})")).await.join("\n");
        assert!(plan.contains("deliveries_pkey") && !plan.contains("deliveries_pending"), "{text}\n{plan}");
    }
}

/// The lines of a plan.
async fn explain(client: &tokio_postgres::Client, statement: &str) -> Vec<String> {
    let answer = client.simple_query(&format!("EXPLAIN (COSTS OFF) {statement}")).await.unwrap();
    let lines = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    lines.collect()
}

/// Rows enough for the planner to prefer the best index: a hundred accounts, three states, half of what may be NULL,
/// and all else different, in no order. Of what an account has one of, a hundred.
async fn fill_every_table(client: &tokio_postgres::Client) {
    let columns = "SELECT table_name::TEXT, string_agg(
            CASE WHEN is_nullable = 'YES' THEN 'CASE WHEN i % 2 = 0 THEN ' ELSE '(' END
            || CASE
                WHEN column_name = 'account_id' THEN '''acct_'' || i % 100'
                WHEN data_type <> 'text' THEN '(i * 7919) % 5003'
                WHEN column_name IN ('status', 'state') THEN '(ARRAY[''active'', ''pending'', ''reserved''])[i % 3 + 1]'
                ELSE 'md5(i::TEXT)' END
            || CASE WHEN is_nullable = 'YES' THEN ' END' ELSE ')' END, ', ' ORDER BY ordinal_position)
        FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'schema_migrations'
        AND is_updatable = 'YES'
        GROUP BY table_name";
    for table in client.query(columns, &[]).await.unwrap() {
        let (name, values): (String, String) = (table.get(0), table.get(1));
        let rows = if SMALL.contains(&name.as_str()) { 20 } else { 5000 };
        let fill =
            format!("INSERT INTO {name} SELECT {values} FROM generate_series(1, {rows}) AS i ON CONFLICT DO NOTHING");
        client.batch_execute(&fill).await.unwrap_or_else(|error| panic!("{fill}: {error:?}"));
    }
    client.batch_execute("ANALYZE").await.unwrap();
}

/// A sequential scan, a sort without any help, or an index that is read from end to end.
fn wasteful(lines: &[&str]) -> bool {
    lines.iter().enumerate().any(|(n, line)| {
        let node = line.trim_start().trim_start_matches("->").trim_start();
        let below = lines.get(n + 1).copied().unwrap_or_default().trim_start();
        let by_index = node.starts_with("Index Scan") || node.starts_with("Index Only Scan");
        node.starts_with("Seq Scan") || node == "Sort" || (by_index && !below.starts_with("Index Cond:"))
    })
}

fn looked_at(engine: Engine) -> Vec<Sql> {
    let looks = |text: &str| ["SELECT", "UPDATE", "DELETE", "WITH"].iter().any(|verb| text.starts_with(verb));
    let intended = |text: &str| BY_INTENT.iter().any(|(part, _)| on_one_line(text).contains(part));
    every_statement(engine).into_iter().filter(|Sql(text)| looks(text) && !intended(text)).collect()
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_scans_by_intent_still_exists() {
    let all = [every_statement(Engine::Sqlite), every_statement(Engine::Postgres)].concat();
    for (part, reason) in BY_INTENT {
        let exists = all.iter().any(|Sql(text)| on_one_line(text).contains(part));
        assert!(exists, "no statement says {part} any more ({reason})");
    }
}
