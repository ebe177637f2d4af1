//! A database for one test: SQLite in a temporary folder, or a database of its own on the PostgreSQL server that
//! `./test api` starts. `OFFHOOK_TEST_ENGINE=postgres` has the whole suite on the second.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use offhook_store::{Engine, Sql, Store, StoreError, Tx};
use tempfile::TempDir;

/// Enough for requests at the same time to meet each other.
const CONNECTIONS: usize = 6;
const READERS: usize = 2;

pub struct Database {
    folder: TempDir,
    /// PostgreSQL's name and URL.
    postgres: Option<(String, String)>,
}

/// The engine that the suite is run on.
pub fn engine_of_suite() -> Engine {
    match std::env::var("OFFHOOK_TEST_ENGINE").as_deref() {
        Ok("postgres") => Engine::Postgres,
        Ok("sqlite") | Err(_) => Engine::Sqlite,
        Ok(other) => panic!("OFFHOOK_TEST_ENGINE is {other}, and neither sqlite nor postgres"),
    }
}

impl Database {
    pub async fn make(engine: Engine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let postgres = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(new_database().await),
        };
        Self { folder, postgres }
    }

    pub async fn open(&self) -> Store {
        match &self.postgres {
            None => Store::open_sqlite(&self.folder.path().join("offhook.db"), READERS).unwrap(),
            Some((_, url)) => Store::open_postgres(url, CONNECTIONS).await.unwrap(),
        }
    }

    /// Its store once more, beside the one that is open; `None` on SQLite, where there can't be two.
    pub async fn open_another(&self) -> Option<Store> {
        match &self.postgres {
            None => None,
            Some((_, url)) => Some(Store::open_postgres(url, 1).await.unwrap()),
        }
    }

    /// What a process on it is configured with.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let data = ("OFFHOOK_DATA", self.folder.path().to_str().unwrap().to_owned());
        let url = self.postgres.iter().map(|(_, url)| ("DATABASE_URL", url.clone()));
        std::iter::once(data).chain(url).collect()
    }

    /// A folder goes by itself; a database is emptied for the next test of this process, which is a tenth of the work of
    /// dropping it and making another.
    pub async fn empty(&self) {
        let Some((name, url)) = &self.postgres else { return };
        let store = Store::open_postgres(url, 1).await.unwrap();
        let tables = async |tx: &mut Tx| {
            const TABLES: Sql = Sql("SELECT CAST(string_agg(tablename, ', ') AS TEXT) FROM pg_tables
                WHERE schemaname = 'public' AND tablename <> 'schema_migrations'");
            tx.one(TABLES, []).await?.take::<String>()
        };
        let tables = store.read::<_, StoreError>(tables).await.unwrap();
        let empty = Sql(format!("TRUNCATE {tables}").leak());
        store.write::<_, StoreError>(async move |tx: &mut Tx| tx.run(empty, []).await).await.unwrap();
        SPARE.lock().unwrap().push((name.clone(), url.clone()));
    }
}

/// Databases that are empty again.
static SPARE: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

async fn new_database() -> (String, String) {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let spare = SPARE.lock().unwrap().pop();
    if let Some(spare) = spare {
        return spare;
    }
    let name = format!("api_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    // A process id may come again within the life of a cluster.
    on_server(&[format!("DROP DATABASE IF EXISTS {name}"), format!("CREATE DATABASE {name}")]).await;
    let server = server();
    let (base, _) = server.rsplit_once('/').expect("postgres://user@host:port/database");
    let url = format!("{base}/{name}");
    (name, url)
}

fn server() -> String {
    std::env::var("OFFHOOK_TEST_POSTGRES")
        .expect("OFFHOOK_TEST_POSTGRES names no server: run `./test api`, which starts one")
}

async fn on_server(statements: &[String]) {
    let store = Store::open_postgres(&server(), 1).await.unwrap();
    for text in statements {
        // A read, because that runs without BEGIN.
        let statement = Sql(text.clone().leak());
        store.read(async move |tx: &mut Tx| tx.rows(statement, []).await.map(drop)).await.unwrap();
    }
}
