//! A throw-away PostgreSQL with its defaults (fsync on), or the one that BENCH_POSTGRES names.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A server that ends with the run.
pub struct Cluster {
    url: String,
    /// Where it is ours: its folder, and its programs.
    own: Option<(TempDir, PathBuf)>,
    made: u32,
}

impl Cluster {
    pub fn start() -> Self {
        if let Ok(url) = std::env::var("BENCH_POSTGRES") {
            return Self { url, own: None, made: 0 };
        }
        let programs = newest_programs();
        let folder = tempfile::Builder::new().prefix("offhook-bench-pg").tempdir_in(scratch()).unwrap();
        let data = folder.path().join("data");
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(folder.path()));
        }
        let init = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"];
        run(as_postgres(&programs.join("initdb")).args(init).arg("--pgdata").arg(&data));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={} -c max_connections=100",
            folder.path().display()
        );
        let log = folder.path().join("log");
        let start = ["--wait", "--silent", "--options", &options, "start"];
        run(as_postgres(&programs.join("pg_ctl")).arg("--pgdata").arg(&data).arg("--log").arg(&log).args(start));
        Self { url: format!("postgres://postgres@127.0.0.1:{port}/postgres"), own: Some((folder, programs)), made: 0 }
    }

    /// The URL of an empty database.
    pub async fn database(&mut self) -> String {
        self.made += 1;
        let name = format!("bench_{}_{}", std::process::id(), self.made);
        let store = offhook_store::Store::open_postgres(&self.url, 1).await.unwrap();
        let make = offhook_store::Sql(format!("CREATE DATABASE {name}").leak());
        // A read, because that runs without BEGIN.
        store.read(async move |tx: &mut offhook_store::Tx| tx.rows(make, []).await.map(drop)).await.unwrap();
        let (base, _) = self.url.rsplit_once('/').expect("postgres://user@host:port/database");
        format!("{base}/{name}")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some((folder, programs)) = &self.own {
            let stop = ["--silent", "--mode=immediate", "stop"];
            run(as_postgres(&programs.join("pg_ctl")).arg("--pgdata").arg(folder.path().join("data")).args(stop));
        }
    }
}

/// Where large files go: beside the build, not in a /tmp that may be memory.
pub fn scratch() -> PathBuf {
    let scratch = std::env::var_os("BENCH_SCRATCH").map_or_else(std::env::temp_dir, PathBuf::from);
    std::fs::create_dir_all(&scratch).unwrap();
    scratch
}

fn newest_programs() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("Debian's PostgreSQL in /usr/lib/postgresql, or BENCH_POSTGRES")
        .map(|entry| entry.unwrap().path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().expect("initdb below /usr/lib/postgresql")
}

fn as_postgres(program: &PathBuf) -> Command {
    let mut command = if is_root() {
        // Which PostgreSQL refuses to run as.
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/");
    command
}

fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").unwrap().contains("\nUid:\t0\t")
}

fn run(command: &mut Command) {
    let status = command.stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
}
