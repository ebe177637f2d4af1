//! A PostgreSQL server of a test's own, which can be stopped and started again.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// How PostgreSQL is stopped (`pg_ctl stop -m`).
#[derive(Debug, Clone, Copy)]
pub enum Stop {
    /// Sessions are ended with a word, and the data is written down.
    Fast,
    /// Everything is dropped on the spot; the next start recovers.
    Immediate,
}

pub struct Cluster {
    home: TempDir,
    port: u16,
}

impl Cluster {
    /// Makes one and starts it.
    pub fn start() -> Self {
        let home = tempfile::Builder::new().prefix("offhook-cluster.").tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let cluster = Self { home, port };
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(cluster.home.path()));
        }
        let auth = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"];
        run(cluster.command("initdb").args(auth).arg("--pgdata").arg(cluster.data()));
        cluster.start_again();
        cluster
    }

    pub fn start_again(&self) {
        let home = self.home.path().display();
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories={home} -c max_connections=100",
            self.port
        );
        let log = self.home.path().join("log");
        run(self.pg_ctl().arg("--log").arg(log).arg("--options").arg(options).arg("start"));
    }

    pub fn stop(&self, how: Stop) {
        let mode = match how {
            Stop::Fast => "--mode=fast",
            Stop::Immediate => "--mode=immediate",
        };
        run(self.pg_ctl().arg(mode).arg("stop"));
    }

    /// The URL of its first database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn pg_ctl(&self) -> Command {
        let mut command = self.command("pg_ctl");
        command.args(["--wait", "--silent", "--timeout=60", "--pgdata"]).arg(self.data());
        command
    }

    /// A program of PostgreSQL's, as a user that it accepts: it refuses to run as root.
    fn command(&self, program: &str) -> Command {
        let program = newest_bin().join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // Its working directory may be closed to that user.
        command.current_dir("/");
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It may be stopped already.
        drop(self.pg_ctl().arg("--mode=immediate").arg("stop").stderr(Stdio::null()).status());
    }
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(output.success(), "{output}: {command:?}");
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Debian's own programs of the newest version there is.
fn newest_bin() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").unwrap_or_else(|error| panic!("no PostgreSQL: {error}"));
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|entry| entry.unwrap().path()).max_by_key(version);
    newest.unwrap_or_else(|| panic!("no PostgreSQL in /usr/lib/postgresql")).join("bin")
}
