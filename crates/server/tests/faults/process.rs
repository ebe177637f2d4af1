//! The server as a process of its own, which can be killed and started again on the same data.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use crate::client::Client;
use crate::database::Database;

const KEY: &str = "sk_test_faults_0123456789abcdef0123456789abcdef";
/// The same for all nodes of a database.
const SECRET_KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const READY_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// What the default would make the test wait for; and prices, so that there is money to count.
const SETTINGS: &[(&str, &str)] = &[
    ("OFFHOOK__WEBHOOKS__RETRY_SECONDS", "1,1,1,2,2"),
    ("OFFHOOK__SENDING__RETRY_SECONDS", "1"),
    ("OFFHOOK__LEASES__SECONDS", "3"),
    ("OFFHOOK__PRICES__SANDBOX_FREE", "false"),
    ("OFFHOOK__PRICES__SIGN_UP_CREDIT_MICROS", "1_000_000_000"),
    ("OFFHOOK__PRICES__SMS_SEGMENT_MICROS", "1_000"),
    ("OFFHOOK__LOGS__LEVEL", "info"),
];

pub struct Offhook {
    child: Child,
    settings: Vec<(String, String)>,
    base_url: String,
    log: PathBuf,
}

impl Offhook {
    pub async fn start(database: &Database) -> Self {
        Self::start_node(database, "offhook", &[]).await
    }

    /// One of several nodes, by its name, with settings of its own.
    pub async fn start_node(database: &Database, name: &str, own: &[(&str, &str)]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        let mut settings: Vec<(String, String)> = database.settings(name);
        let given =
            [("OFFHOOK_LISTEN", listen.as_str()), ("OFFHOOK_BOOTSTRAP_KEY", KEY), ("OFFHOOK_SECRET_KEY", SECRET_KEY)];
        let set = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        // The later of two wins.
        settings.extend(SETTINGS.iter().chain(&given).chain(own).map(set));
        let log = database.folder().join(format!("{name}.log"));
        let child = spawn(&settings, &log);
        let mut offhook = Self { child, settings, base_url: format!("http://{listen}"), log };
        offhook.wait_until_ready().await;
        offhook
    }

    pub fn client(&self) -> Client {
        Client::new(self.base_url.clone(), KEY.to_owned())
    }

    /// kill -9.
    pub async fn kill(&mut self) {
        self.check_runs();
        self.child.kill().await.unwrap();
    }

    /// It has not ended by itself.
    pub fn check_runs(&mut self) {
        if let Ok(Some(status)) = self.child.try_wait() {
            panic!("offhook ended by itself, {status}\n{}", self.log());
        }
    }

    pub async fn restart(&mut self) {
        self.child = spawn(&self.settings, &self.log);
        self.wait_until_ready().await;
    }

    /// Stops it where it stands: it does nothing any more, and its sockets stay open.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    /// The process's id.
    pub fn process(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    fn signal(&self, signal: &str) {
        let pid = self.process().to_string();
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// A stop that was asked for: everything under way is finished, and the exit code is 0.
    pub async fn stop(&mut self) {
        self.signal("-TERM");
        let status = tokio::time::timeout(STOP_WITHIN, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("still running after SIGTERM\n{}", self.log())).unwrap();
        assert!(status.success(), "{status}\n{}", self.log());
    }

    /// The end of what it has logged.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(200)..].join("\n")
    }

    async fn wait_until_ready(&mut self) {
        let client = self.client();
        let deadline = Instant::now() + READY_WITHIN;
        while !client.get("/readyz").await.is_ok_and(|answer| answer.status == 200) {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("offhook does not start, {status}\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "offhook is not ready\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn spawn(settings: &[(String, String)], log: &PathBuf) -> Child {
    let log = File::options().create(true).append(true).open(log).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_offhook"));
    command.arg("dev").env_clear().envs(settings.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).kill_on_drop(true);
    command.spawn().expect("the binary starts")
}
