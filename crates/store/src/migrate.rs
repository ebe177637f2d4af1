//! Embedded migrations, append-only, run at start under a lock: expand first, contract a release later.

use crate::engine::{Engine, IntoValue, Sql, Store, Tx};
use crate::error::StoreError;

/// One step of the schema. Its text may hold `{clustered}` (see `migrations/0001_core.sql`) and `{now}` (see `0002`).
struct Migration {
    version: i64,
    name: &'static str,
    sql: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "core", sql: include_str!("../migrations/0001_core.sql") },
    Migration { version: 2, name: "database clock", sql: include_str!("../migrations/0002_database_clock.sql") },
    Migration { version: 3, name: "tenancy", sql: include_str!("../migrations/0003_tenancy.sql") },
    Migration { version: 4, name: "campaigns", sql: include_str!("../migrations/0004_campaigns.sql") },
    Migration { version: 5, name: "opt-outs", sql: include_str!("../migrations/0005_opt_outs.sql") },
    Migration { version: 6, name: "sign-up", sql: include_str!("../migrations/0006_sign_up.sql") },
    Migration { version: 7, name: "rate limits", sql: include_str!("../migrations/0007_rate_limits.sql") },
    Migration { version: 8, name: "limits of payers", sql: include_str!("../migrations/0008_limits_of_payers.sql") },
    Migration { version: 9, name: "inventory", sql: include_str!("../migrations/0009_inventory.sql") },
    Migration { version: 10, name: "inbound parts", sql: include_str!("../migrations/0010_inbound_parts.sql") },
    Migration { version: 12, name: "media", sql: include_str!("../migrations/0012_media.sql") },
    Migration { version: 13, name: "parts of a person", sql: include_str!("../migrations/0013_parts_of_a_person.sql") },
    Migration { version: 14, name: "calls", sql: include_str!("../migrations/0014_calls.sql") },
    Migration { version: 15, name: "SIP trunks", sql: include_str!("../migrations/0015_sip_trunks.sql") },
];

const TABLE: Sql = Sql(
    "CREATE TABLE IF NOT EXISTS schema_migrations (version BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL)",
);
/// Any number; the same for every node of one database.
const LOCK: Sql = Sql("SELECT 1::BIGINT FROM (SELECT pg_advisory_xact_lock(7203511)) AS locked");
/// Another node's migration may take long.
const PATIENCE: Sql = Sql("SET LOCAL lock_timeout = 0");
const APPLIED: Sql = Sql("SELECT version, checksum FROM schema_migrations ORDER BY version");
const RECORD: Sql = Sql("INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)");

/// Brings the schema up to date, all steps in one transaction, and tells how many steps that took.
///
/// # Errors
/// [`StoreError::Corrupt`] when the database was written by a newer Offhook or a step was edited since.
pub async fn migrate(backend: &Store) -> Result<usize, StoreError> {
    backend.write(run).await
}

async fn run(tx: &mut Tx) -> Result<usize, StoreError> {
    if tx.engine() == Engine::Postgres {
        tx.run(PATIENCE, []).await?;
        tx.rows(LOCK, []).await?;
    }
    tx.change(TABLE, []).await?;
    let mut applied = Vec::new();
    for mut row in tx.rows(APPLIED, []).await? {
        applied.push((row.take::<i64>()?, row.take::<String>()?));
    }
    if let Some((version, _)) = applied.iter().find(|(version, _)| MIGRATIONS.iter().all(|m| m.version != *version)) {
        return Err(StoreError::Corrupt(format!(
            "the database has schema version {version}, which this Offhook does not know"
        )));
    }
    let mut steps = 0;
    for migration in MIGRATIONS {
        let checksum = checksum(migration.sql);
        match applied.iter().find(|(version, _)| *version == migration.version) {
            Some((_, known)) if *known == checksum => {}
            Some(_) => {
                return Err(StoreError::Corrupt(format!(
                    "migration {} was edited after it ran here",
                    migration.version
                )));
            }
            None => {
                apply(tx, migration.sql).await?;
                tx.change(RECORD, [migration.version.into_value(), migration.name.into_value(), checksum.into_value()])
                    .await?;
                steps += 1;
            }
        }
    }
    Ok(steps)
}

async fn apply(tx: &mut Tx, sql: &'static str) -> Result<(), StoreError> {
    let (clustered, now) = match tx.engine() {
        Engine::Sqlite => ("WITHOUT ROWID", "CAST(unixepoch('subsec') * 1000000 AS INTEGER)"),
        Engine::Postgres => ("", "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"),
    };
    for statement in statements(sql) {
        tx.define(&statement.replace("{clustered}", clustered).replace("{now}", now)).await?;
    }
    Ok(())
}

/// Splits a migration at the semicolons that end a line, without its comments.
fn statements(sql: &str) -> impl Iterator<Item = String> {
    let code: String =
        sql.lines().filter(|line| !line.trim_start().starts_with("--")).flat_map(|line| [line, "\n"]).collect();
    code.split(";\n").map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// FNV-1a: tells an edited migration from the one that ran. Not a secret, not security.
fn checksum(sql: &str) -> String {
    let hash = sql.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}
