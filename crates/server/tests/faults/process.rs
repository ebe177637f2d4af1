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

/// How a server is started that is not started the usual way.
#[derive(Default, Clone)]
pub struct Launch {
    /// The words before the binary's name, such as those that take it to a disk of its own.
    pub before: Vec<String>,
    /// Settings over the usual ones.
    pub settings: Vec<(String, String)>,
}

pub struct Offhook {
    child: Child,
    before: Vec<String>,
    settings: Vec<(String, String)>,
    base_url: String,
    log: PathBuf,
}

impl Offhook {
    pub async fn start(database: &Database) -> Self {
        Self::launch(database, Launch::default()).await
    }

    /// One of several nodes, by its name, with settings of its own.
    pub async fn start_node(database: &Database, name: &str, own: &[(&str, &str)]) -> Self {
        let settings = own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut offhook = Self::begin(database, name, Launch { before: Vec::new(), settings });
        offhook.wait_until_ready().await;
        offhook
    }

    pub async fn launch(database: &Database, launch: Launch) -> Self {
        let mut offhook = Self::launch_unready(database, launch);
        offhook.wait_until_ready().await;
        offhook
    }

    /// Starts it, whether it gets ready or not.
    pub fn launch_unready(database: &Database, launch: Launch) -> Self {
        Self::begin(database, "offhook", launch)
    }

    fn begin(database: &Database, name: &str, launch: Launch) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        let mut settings: Vec<(String, String)> = database.settings(name);
        let given =
            [("OFFHOOK_LISTEN", listen.as_str()), ("OFFHOOK_BOOTSTRAP_KEY", KEY), ("OFFHOOK_SECRET_KEY", SECRET_KEY)];
        let set = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        // The later of two wins.
        settings.extend(SETTINGS.iter().chain(&given).map(set).chain(launch.settings));
        let log = database.folder().join(format!("{name}.log"));
        let child = spawn(&launch.before, &settings, &log);
        Self { child, before: launch.before, settings, base_url: format!("http://{listen}"), log }
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub fn base_url(&self) -> &str {
        &self.base_url
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
        self.start_again();
        self.wait_until_ready().await;
    }

    /// Starts it again, whether it gets ready or not.
    pub fn start_again(&mut self) {
        self.child = spawn(&self.before, &self.settings, &self.log);
    }

    /// Waits until it has ended by itself; its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let status = tokio::time::timeout(STOP_WITHIN, self.child.wait()).await;
        status.unwrap_or_else(|_| panic!("still running\n{}", self.log())).unwrap().code()
    }

    /// Stops it where it stands: it does nothing any more, and its sockets stay open.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// A stop that was asked for: everything under way is finished, and the exit code is 0.
    pub async fn stop(&mut self) {
        self.signal("-TERM");
        let status = tokio::time::timeout(STOP_WITHIN, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("still running after SIGTERM\n{}", self.log())).unwrap();
        assert!(status.success(), "{status}\n{}", self.log());
    }

    /// Everything it has logged.
    pub fn whole_log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The end of what it has logged.
    pub fn log(&self) -> String {
        let text = self.whole_log();
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

fn spawn(before: &[String], settings: &[(String, String)], log: &PathBuf) -> Child {
    let log = File::options().create(true).append(true).open(log).unwrap();
    let words: Vec<&str> = before.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_offhook"), "dev"]).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env_clear().envs(settings.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).kill_on_drop(true);
    command.spawn().expect("the binary starts")
}
