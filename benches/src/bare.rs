//! What a list of numbers costs where nothing stands between axum and rusqlite: the measure for `GET /v1/numbers`.

use std::cell::OnceCell;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The first argument with which this program is that server, before its address and its file.
pub const COMMAND: &str = "serve-bare";

/// Columns as the API shows them.
const NUMBERS: &str = "SELECT id, phone_number, country, status, kind, agent_id, external_id, purchased_at FROM numbers
    WHERE account_id = ?1 AND status = 'active' ORDER BY id DESC LIMIT 20";

/// Makes the file: one account with so many numbers.
pub fn make(file: &std::path::Path, numbers: usize) {
    let connection = Connection::open(file).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE numbers (id TEXT PRIMARY KEY, account_id TEXT, phone_number TEXT, country TEXT, status TEXT,
                kind TEXT, agent_id TEXT, external_id TEXT, purchased_at INTEGER) WITHOUT ROWID;
            CREATE INDEX numbers_by_account ON numbers (account_id, status, id);",
        )
        .unwrap();
    for n in 0..numbers {
        let made = i64::try_from(n).unwrap();
        let row = (format!("num_{n:030}"), "acct", format!("+1415555{n:04}"), "US", "active", "local", "agt_x", made);
        connection.execute("INSERT INTO numbers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL, ?8)", row).unwrap();
    }
}

pub async fn serve(arguments: &[String]) {
    let [address, file] = arguments else { panic!("an address and a file") };
    let router = Router::new().route("/v1/numbers", get(list)).with_state(Arc::from(file.as_str()));
    axum::serve(TcpListener::bind(address).await.unwrap(), router).await.unwrap();
}

thread_local! {
    static CONNECTION: OnceCell<Connection> = const { OnceCell::new() };
}

async fn list(State(file): State<Arc<str>>) -> Json<Value> {
    CONNECTION.with(|connection| read(connection.get_or_init(|| Connection::open(&*file).unwrap())))
}

fn read(connection: &Connection) -> Json<Value> {
    let mut statement = connection.prepare_cached(NUMBERS).unwrap();
    let rows = statement.query_map(["acct"], |row| {
        Ok(json!({
            "id": row.get::<_, String>(0)?,
            "phoneNumber": row.get::<_, String>(1)?,
            "country": row.get::<_, String>(2)?,
            "status": row.get::<_, String>(3)?,
            "type": row.get::<_, String>(4)?,
            "agentId": row.get::<_, Option<String>>(5)?,
            "externalId": row.get::<_, Option<String>>(6)?,
            "createdAt": row.get::<_, i64>(7)?,
        }))
    });
    let data: Vec<Value> = rows.unwrap().map(Result::unwrap).collect();
    Json(json!({"data": data, "hasMore": false, "total": data.len()}))
}
