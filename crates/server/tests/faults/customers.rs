//! Customers' servers at their worst: ten thousand of them dead in every way there is, others that stream without end,
//! drip, or speak another language. Who has one that works hears of his texts as if they weren't there.

use std::time::{Duration, Instant};

use offhook_testkit::webhook_receiver::{Mode, WebhookReceiver};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::cast::text;
use crate::client::Client;
use crate::crowd::Crowd;
use crate::database::Database;
use crate::process::{Launch, Offhook};
use crate::{vitals, waiting};

/// Endpoints of dead customers, and events that wait for each when the server starts.
const DEAD: usize = 9_999;
const WAITING: usize = 3;
/// Servers of each kind that is alive enough to be connected to.
const SERVERS: usize = 40;
/// Texts for the one whose server works.
const TEXTS: usize = 120;
const PACE: Duration = Duration::from_millis(25);
/// So many attempts are enough to say that they are being called.
const CALLED: u64 = 250;

/// What a node with ten thousand endpoints may take in all. Idle, a debug build has some 40 MB; SQLite's caches may take
/// 48 MB, what is known of ten thousand endpoints and their servers some 20 MB, threads and posts under way the rest.
const MOST_KIB: u64 = 192 * 1024;
/// Tokio's own, the store's, and 128 that wait for name servers.
const MOST_THREADS: u64 = 160;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_endpoints_of_which_one_works() {
    let database = Database::sqlite();
    let well = WebhookReceiver::start().await.with_deadline(Duration::from_secs(60));
    let dead = Dead::start().await;
    // A limit of open files as low as they come.
    let before = ["prlimit", "--nofile=1024:1024", "--"].map(str::to_owned).to_vec();
    let mut offhook = Offhook::launch(&database, Launch { before, ..Launch::default() }).await;
    let number = prepare(&offhook.client(), &well).await;
    offhook.stop().await;
    let crowd = Crowd::of(&database, &well.url()).await;
    crowd.grow((0..DEAD).map(|n| dead.url(n)), WAITING).await;
    drop(crowd);

    offhook.restart().await;
    let client = offhook.client();
    waiting::until("the dead are called", async || attempts(&client).await > CALLED).await;
    let mut vitals = Vitals::default();
    let times = deliver(&client, &number, &well, || vitals.look(offhook.pid())).await;
    println!("with {DEAD} dead endpoints: {}, {vitals}, {} attempts", times, attempts(&client).await);
    assert!(vitals.memory < MOST_KIB && vitals.threads < MOST_THREADS, "{vitals}");
    let log = offhook.whole_log();
    assert!(!log.contains("os error 24"), "it ran out of files\n{}", offhook.log());
    offhook.stop().await;
}

/// Each kind at many endpoints, each with a backlog.
const OF_EACH: usize = 20;
const BACKLOG: usize = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_misbehave_cost_little_and_delay_nobody() {
    let database = Database::sqlite();
    let well = WebhookReceiver::start().await.with_deadline(Duration::from_secs(60));
    let bad = Misbehaving::start().await;
    let own_networks = ("OFFHOOK__WEBHOOKS__ALLOWED_NETWORKS".to_owned(), r#"["127.0.0.0/8"]"#.to_owned());
    let launch = Launch { settings: vec![own_networks], ..Launch::default() };
    let mut offhook = Offhook::launch(&database, launch).await;
    let number = prepare(&offhook.client(), &well).await;
    offhook.stop().await;
    let crowd = Crowd::of(&database, &well.url()).await;
    crowd.grow((0..OF_EACH).flat_map(|_| bad.urls()), BACKLOG).await;
    drop(crowd);

    offhook.restart().await;
    let client = offhook.client();
    let idle = vitals::memory(offhook.pid());
    waiting::until("they are called", async || attempts(&client).await > CALLED).await;
    let mut vitals = Vitals::default();
    let times = deliver(&client, &number, &well, || vitals.look(offhook.pid())).await;
    println!("with servers that misbehave: {times}, {vitals}, {} MB before", idle >> 10);
    assert!(vitals.memory < MOST_KIB, "{vitals}");
    assert!(bad.elsewhere.received().is_empty(), "a redirect was followed");
    offhook.stop().await;
}

/// A number of nobody's agent and the account's webhook.
async fn prepare(client: &Client, well: &WebhookReceiver) -> String {
    client.post("/v1/webhooks", &json!({"url": well.url()})).await.unwrap().ok();
    text(&client.post("/v1/numbers", &json!({"areaCode": "415"})).await.unwrap().ok()["phoneNumber"])
}

/// Texts the number at an even pace, and measures from each text to its event.
async fn deliver(client: &Client, number: &str, well: &WebhookReceiver, mut look: impl FnMut()) -> Times {
    let mut sent = Vec::with_capacity(TEXTS);
    for n in 0..TEXTS {
        let message = json!({"from": format!("+1415201{:04}", n % 50), "to": number, "body": n.to_string()});
        sent.push(Instant::now());
        client.post("/sandbox/messages", &message).await.unwrap().ok();
        look();
        tokio::time::sleep(PACE).await;
    }
    let received = well.wait_until(|all| all.iter().filter(|one| one.json["test"].is_null()).count() >= TEXTS).await;
    let mut times = Vec::with_capacity(TEXTS);
    for one in received.iter().filter(|one| one.json["data"]["to"] == number) {
        let n: usize = text(&one.json["data"]["message"]).parse().unwrap();
        times.push(one.at.saturating_duration_since(sent[n]));
    }
    look();
    assert_eq!(times.len(), TEXTS, "each comes once");
    times.sort_unstable();
    Times(times)
}

/// From a handset's text to its event.
struct Times(Vec<Duration>);

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |percent: usize| self.0[(self.0.len() * percent / 100).min(self.0.len() - 1)];
        write!(f, "p50 {:?}, p99 {:?}, longest {:?}", at(50), at(99), at(100))
    }
}

/// The most that was seen.
#[derive(Default)]
struct Vitals {
    memory: u64,
    threads: u64,
    files: usize,
}

impl Vitals {
    fn look(&mut self, pid: u32) {
        self.memory = vitals::peak_memory(pid);
        self.threads = self.threads.max(vitals::threads(pid));
        self.files = self.files.max(vitals::open_files(pid));
    }
}

impl std::fmt::Display for Vitals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} MB, {} threads, {} open files", self.memory >> 10, self.threads, self.files)
    }
}

/// Attempts to deliver so far.
async fn attempts(client: &Client) -> u64 {
    client.metric("offhook_webhook_deliveries_total").await.map_or(0, |count| count as u64)
}

/// Servers that hang, reset and fail; others are not there at all.
struct Dead {
    servers: Vec<[WebhookReceiver; 3]>,
}

impl Dead {
    async fn start() -> Self {
        let mut servers = Vec::new();
        for _ in 0..SERVERS {
            let all = [WebhookReceiver::start().await, WebhookReceiver::start().await, WebhookReceiver::start().await];
            all[0].hang();
            all[1].reset();
            all[2].answer(500);
            servers.push(all);
        }
        Self { servers }
    }

    fn url(&self, n: usize) -> String {
        let [hangs, resets, fails] = &self.servers[n % SERVERS];
        match n % 5 {
            // Each a host of its own, on which nobody listens.
            0 => format!("http://127.1.{}.{}:1/", n / 250, 1 + n % 250),
            1 => format!("https://customer-{n}.invalid/hook"),
            2 => hangs.url(),
            3 => resets.url(),
            _ => fails.url(),
        }
    }
}

/// Servers that take a connection and do something else than answer.
struct Misbehaving {
    servers: Vec<WebhookReceiver>,
    raw: Vec<String>,
    /// Where redirects lead.
    elsewhere: WebhookReceiver,
}

impl Misbehaving {
    async fn start() -> Self {
        let elsewhere = WebhookReceiver::start().await;
        let modes = [
            Mode::StreamForever,
            Mode::Huge(1 << 30),
            Mode::Drip(Duration::from_millis(200)),
            Mode::Redirect(elsewhere.url()),
            Mode::ResetMidway,
            Mode::Reset,
        ];
        let mut servers = Vec::new();
        for mode in modes {
            let server = WebhookReceiver::start().await;
            server.set_mode(mode);
            servers.push(server);
        }
        let slow = WebhookReceiver::start().await;
        slow.delay(Duration::from_secs(3));
        servers.push(slow);
        let half_closed = serve_raw(|mut stream: TcpStream| async move {
            // It says that it has nothing more to say, and listens on.
            let _ = stream.shutdown().await;
            let mut buffer = vec![0; 4096];
            while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
        });
        let garbage = serve_raw(|mut stream: TcpStream| async move {
            while stream.write_all(&[0x16, 0x03, 0xff, 0x00, 0xff].repeat(1000)).await.is_ok() {}
        });
        let raw = vec![
            format!("http://{}/", half_closed.await),
            format!("https://{}/", garbage.await),
            format!("https://{}/", servers[0].address()),
        ];
        Self { servers, raw, elsewhere }
    }

    fn urls(&self) -> Vec<String> {
        self.servers.iter().map(WebhookReceiver::url).chain(self.raw.iter().cloned()).collect()
    }
}

async fn serve_raw<F: Future<Output = ()> + Send + 'static>(
    converse: impl Fn(TcpStream) -> F + Send + 'static,
) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream));
        }
    });
    address
}
