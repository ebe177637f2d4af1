//! Where a server under test keeps what it knows, and a look into it while the server is down.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use offhook_store::engine::{FromValue, IntoValue};
use offhook_store::{Sql, Store, StoreError, Tx};
use tempfile::TempDir;

use crate::cluster::Cluster;

const SETTLED_WITHIN: Duration = Duration::from_secs(60);

pub enum Database {
    Sqlite { folder: TempDir },
    Postgres { folder: TempDir, url: String },
}

impl Database {
    pub fn sqlite() -> Self {
        Self::Sqlite { folder: tempfile::tempdir().unwrap() }
    }

    pub async fn postgres() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let Ok(server) = std::env::var("OFFHOOK_TEST_POSTGRES") else {
            panic!("OFFHOOK_TEST_POSTGRES names no server: run `./test faults`, which starts one");
        };
        let name = format!("faults_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let store = Store::open_postgres(&server, 1).await.unwrap();
        for verb in ["DROP DATABASE IF EXISTS", "CREATE DATABASE"] {
            // A read, because that runs without BEGIN.
            let statement = Sql(format!("{verb} {name}").leak());
            store.read(async move |tx: &mut Tx| tx.rows(statement, []).await.map(drop)).await.unwrap();
        }
        let (base, _) = server.rsplit_once('/').expect("postgres://user@host:port/database");
        Self::Postgres { folder: tempfile::tempdir().unwrap(), url: format!("{base}/{name}") }
    }

    /// In a server of the test's own.
    pub fn in_cluster(cluster: &Cluster) -> Self {
        Self::Postgres { folder: tempfile::tempdir().unwrap(), url: cluster.url() }
    }

    pub fn folder(&self) -> &Path {
        match self {
            Self::Sqlite { folder } | Self::Postgres { folder, .. } => folder.path(),
        }
    }

    /// The host and port of PostgreSQL.
    pub fn server(&self) -> &str {
        self.around_server().1
    }

    /// The URL of this database, asked for at another address such as a proxy's.
    pub fn url_at(&self, address: SocketAddr) -> String {
        let (before, _, after) = self.around_server();
        format!("{before}@{address}/{after}")
    }

    fn around_server(&self) -> (&str, &str, &str) {
        let Self::Postgres { url, .. } = self else { panic!("SQLite has no server") };
        let (before, rest) = url.split_once('@').expect("postgres://user@host:port/database");
        let (server, after) = rest.split_once('/').expect("postgres://user@host:port/database");
        (before, server, after)
    }

    /// The environment of a server on this database.
    pub fn settings(&self, node: &str) -> Vec<(String, String)> {
        let data = ("OFFHOOK_DATA".to_owned(), self.data_dir(node).display().to_string());
        match self {
            Self::Sqlite { .. } => vec![data],
            Self::Postgres { url, .. } => vec![data, ("DATABASE_URL".to_owned(), url.clone())],
        }
    }

    /// Opens it; no server may be running on it.
    pub async fn open(&self) -> Store {
        match self {
            Self::Sqlite { .. } => Store::open_sqlite(&self.data_dir("offhook").join("offhook.db"), 1).unwrap(),
            Self::Postgres { url, .. } => Store::open_postgres(url, 1).await.unwrap(),
        }
    }

    /// Two hours go by while nobody buys, as far as the server can tell: whoever was buying has had his time, and what a
    /// carrier was asked to take back is asked for again.
    pub async fn let_time_pass(&self) {
        // A purchase knows its key by when both began.
        const CLAIMED: Sql = Sql("UPDATE idempotency SET at = at - 7200000000 WHERE status IS NULL");
        const BUYING: Sql = Sql("UPDATE purchases SET settle_after = settle_after - 7200000000,
            created_at = created_at - 7200000000 WHERE state IN ('reserved', 'unconfirmed')");
        const GIVING_BACK: Sql = Sql("UPDATE carrier_releases SET due_at = due_at - 7200000000");
        let age = async |tx: &mut Tx| {
            tx.run(CLAIMED, []).await?;
            tx.run(BUYING, []).await?;
            tx.run(GIVING_BACK, []).await
        };
        self.open().await.write(age).await.unwrap();
    }

    /// Waits until a running server has ended the purchases and releases that are due. SQLite's can't be looked into; it
    /// does so right at its start.
    pub async fn wait_until_numbers_are_settled(&self) {
        const OPEN: &str = "SELECT (SELECT COUNT(*) FROM purchases WHERE state IN ('reserved', 'unconfirmed'))
            + (SELECT COUNT(*) FROM carrier_releases)";
        let Self::Postgres { .. } = self else { return };
        let (store, deadline) = (self.open().await, Instant::now() + SETTLED_WITHIN);
        while one::<i64>(&store, OPEN).await > 0 {
            assert!(Instant::now() < deadline, "purchases or releases are left half way");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn data_dir(&self, node: &str) -> PathBuf {
        self.folder().join(node)
    }
}

impl Drop for Database {
    /// What a failure left is kept, to be looked at.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (Self::Sqlite { folder } | Self::Postgres { folder, .. }) = self;
            folder.disable_cleanup(true);
            println!("kept: {}", folder.path().display());
        }
    }
}

/// How many rows a query with one parameter counts.
pub async fn count(store: &Store, sql: &'static str, parameter: &str) -> i64 {
    let parameter = parameter.to_owned();
    let read = async move |tx: &mut Tx| tx.one(Sql(sql), [parameter.clone().into_value()]).await?.take();
    store.read(read).await.unwrap_or_else(|error: StoreError| panic!("{error}: {sql}"))
}

/// The only column of a query's rows.
pub async fn column<T: FromValue + Send + 'static>(store: &Store, sql: &'static str) -> Vec<T> {
    let read = async move |tx: &mut Tx| -> Result<Vec<T>, StoreError> {
        tx.rows(Sql(sql), []).await?.into_iter().map(|mut row| row.take()).collect()
    };
    store.read(read).await.unwrap_or_else(|error| panic!("{error}: {sql}"))
}

/// The only value of a query.
pub async fn one<T: FromValue + Send + 'static>(store: &Store, sql: &'static str) -> T {
    column(store, sql).await.into_iter().next().expect("a row")
}
