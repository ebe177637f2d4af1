//! Offhook as a process: started, asked for its own counts, killed and started again on the same data.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use offhook_store::Store;
use serde_json::Value;
use tempfile::TempDir;

use crate::load::Target;
use crate::postgres::{Cluster, scratch};
use crate::wire::Wire;

/// The key that every server of a run knows.
pub const KEY: &str = "sk_test_bench_0123456789abcdef0123456789";

/// How stores are called in the table.
pub const SQLITE: &str = "SQLite";
pub const POSTGRES: &str = "PostgreSQL";

/// Where a server keeps what it knows.
pub struct Data {
    pub folder: TempDir,
    pub url: Option<String>,
}

impl Data {
    pub async fn sqlite() -> Self {
        Self { folder: folder(), url: None }
    }

    pub async fn postgres(cluster: &mut Cluster) -> Self {
        Self { folder: folder(), url: Some(cluster.database().await) }
    }

    /// How it is called in the table.
    pub fn name(&self) -> &'static str {
        if self.url.is_some() { POSTGRES } else { SQLITE }
    }

    /// Opens it, while no server runs on it.
    pub async fn open(&self) -> Store {
        match &self.url {
            Some(url) => Store::open_postgres(url, 4).await.unwrap(),
            None => Store::open_sqlite(&self.folder.path().join("offhook.db"), 1).unwrap(),
        }
    }

    /// Bytes of the SQLite file, without its log.
    pub fn file_size(&self) -> u64 {
        std::fs::metadata(self.folder.path().join("offhook.db")).map_or(0, |file| file.len())
    }
}

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("offhook-bench").tempdir_in(scratch()).unwrap()
}

/// A running server.
pub struct Server {
    child: Child,
    pub target: Target,
    /// From the start to the first `ready`.
    pub ready_after: Duration,
}

impl Server {
    /// In sandbox mode.
    pub async fn start(data: &Data, settings: &[(&str, &str)]) -> Self {
        Self::run(Command::new(binary()), "dev", data, settings).await
    }

    /// As configured.
    pub async fn serve(data: &Data, settings: &[(&str, &str)]) -> Self {
        Self::run(Command::new(binary()), "serve", data, settings).await
    }

    /// As configured, on one core.
    pub async fn serve_on(core: usize, data: &Data, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new("taskset");
        command.arg("-c").arg(core.to_string()).arg(binary());
        Self::run(command, "serve", data, settings).await
    }

    /// Has the program do something else beside it.
    pub fn command(&self, data: &Data, settings: &[(&str, &str)], words: &[&str]) {
        let mut command = Command::new(binary());
        command.args(words).env_clear().env("OFFHOOK_DATA", data.folder.path()).envs(settings.iter().copied());
        if let Some(url) = &data.url {
            command.env("DATABASE_URL", url);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    async fn run(mut command: Command, mode: &str, data: &Data, settings: &[(&str, &str)]) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let log = std::fs::File::options().create(true).append(true).open(data.folder.path().join("log")).unwrap();
        command.arg(mode).env_clear().stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command.env("OFFHOOK_LISTEN", &address).env("OFFHOOK_DATA", data.folder.path());
        command.env("OFFHOOK_BOOTSTRAP_KEY", KEY).env("OFFHOOK__LIMITS__NUMBERS_PER_ACCOUNT", "1000");
        command.envs(settings.iter().copied());
        if let Some(url) = &data.url {
            command.env("DATABASE_URL", url);
        }
        let began = Instant::now();
        let child = command.spawn().unwrap();
        let mut server = Self { child, target: Target { address, key: KEY }, ready_after: Duration::ZERO };
        while !server.is_ready().await {
            assert!(began.elapsed() < Duration::from_secs(120), "not ready: see {}", data.folder.path().display());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.ready_after = began.elapsed();
        server
    }

    async fn is_ready(&self) -> bool {
        let Ok(mut wire) = Wire::open(&self.target.address).await else { return false };
        wire.ask("GET", "/readyz", KEY, "").await.is_ok_and(|answer| answer.status == 200)
    }

    /// A request outside of any measurement.
    pub async fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let mut wire = Wire::open(&self.target.address).await.unwrap();
        let answer = wire.ask(method, path, KEY, body).await.unwrap();
        assert!(answer.status < 300, "{path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    /// The sum of a metric's series whose labels contain `label`.
    pub async fn metric(&self, name: &str, label: &str) -> f64 {
        let mut wire = Wire::open(&self.target.address).await.unwrap();
        let text = wire.ask("GET", "/metrics", KEY, "").await.unwrap().body;
        let text = String::from_utf8_lossy(&text).into_owned();
        text.lines()
            .filter(|line| line.starts_with(name) && line.contains(label))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Resident memory, in MB.
    pub fn resident_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }

    /// Seconds that it worked so far, all threads together.
    pub fn busy_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let behind_its_name = stat.rsplit(')').next().unwrap();
        let ticks: f64 =
            behind_its_name.split_whitespace().skip(11).take(2).map(|text| text.parse::<f64>().unwrap()).sum();
        // USER_HZ, which Linux has fixed at 100.
        ticks / 100.0
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A stop that was asked for.
    pub fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Beside this program.
fn binary() -> PathBuf {
    let beside = std::env::current_exe().unwrap().with_file_name("offhook");
    assert!(beside.exists(), "build it first: cargo build --release --bin offhook");
    beside
}
