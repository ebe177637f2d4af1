//! A fresh store per test and engine.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use offhook_store::{Store, migrate};
use tempfile::TempDir;

/// Connections per store: enough for transactions to meet each other.
const CONNECTIONS: usize = 8;
const READERS: usize = 2;

/// Tells one story on both engines: `on_both_engines!(name, async |store| { … });`, as the tests `name::sqlite` and
/// `name::postgres`.
macro_rules! on_both_engines {
    ($(#[$meta:meta])* $name:ident, $story:expr $(,)?) => {
        $(#[$meta])*
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                crate::engines::tell(crate::engines::Database::sqlite(), $story).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                crate::engines::tell(crate::engines::Database::postgres().await, $story).await;
            }
        }
    };
}

/// Runs a story on the migrated store of a fresh database.
pub async fn tell(database: Database, story: impl AsyncFnOnce(Store)) {
    let store = database.open().await;
    migrate(&store).await.expect("a fresh database migrates");
    story(store).await;
}

/// An empty database, of this test alone.
pub enum Database {
    Sqlite { folder: TempDir },
    Postgres { url: String },
}

impl Database {
    pub fn sqlite() -> Self {
        Self::Sqlite { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub async fn postgres() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let Ok(server) = std::env::var("OFFHOOK_TEST_POSTGRES") else {
            panic!("OFFHOOK_TEST_POSTGRES names no server: run `./test store`, which starts one");
        };
        let name = format!("contract_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let client = connect(&server).await;
        // A process id may come again within the life of a cluster.
        client.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).await.expect("DROP DATABASE");
        client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("CREATE DATABASE");
        let (base, _) = server.rsplit_once('/').expect("postgres://user@host:port/database");
        Self::Postgres { url: format!("{base}/{name}") }
    }

    /// Opens it as one process would. Not migrated.
    pub async fn open(&self) -> Store {
        match self {
            Self::Sqlite { .. } => Store::open_sqlite(&self.file(), READERS).expect("the file opens"),
            Self::Postgres { url } => Store::open_postgres(url, CONNECTIONS).await.expect("the server answers"),
        }
    }

    /// Opens it and brings the schema up to date.
    pub async fn open_migrated(&self) -> Store {
        let store = self.open().await;
        migrate(&store).await.expect("the database migrates");
        store
    }

    /// SQLite's file.
    pub fn file(&self) -> PathBuf {
        match self {
            Self::Sqlite { folder } => folder.path().join("offhook.db"),
            Self::Postgres { .. } => panic!("PostgreSQL has no file"),
        }
    }

    /// PostgreSQL's URL.
    pub fn url(&self) -> &str {
        match self {
            Self::Sqlite { .. } => panic!("SQLite has no URL"),
            Self::Postgres { url } => url,
        }
    }
}

/// A connection past the store, for what only a test or an operator does.
pub async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    client
}
