//! Texts accepted over HTTP, submitted over SMPP, and their receipts told to the customer's server: ours, and Kannel's beside it,
//! with the same message centre in a process of its own, the same load and the same two cores.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::https::Https;
use crate::kannel::{Kannel, Store};
use crate::latency::median;
use crate::load::{self, Ask, Target};
use crate::receiver::Receiver;
use crate::server::{Data, Server};
use crate::table::{Goal, Table};

const CONNECTIONS: usize = 64;
const WARM_UP: u64 = 2_000;
const TURNS: u64 = 3;
const EACH: u64 = 20_000;
const CONVERSATIONS: u64 = 1_000;
const WINDOW: u32 = 50;
/// Receipts come so long after the answer: a receipt right behind it is one that Kannel does not find.
const RECEIPTS_AFTER_MILLIS: &str = "500";
/// After so much silence, what has not come is lost.
const SILENCE: Duration = Duration::from_secs(10);

/// How one of the two did.
struct Rates {
    accepted: f64,
    through: f64,
    /// Whose receipt was never told, of all.
    lost: f64,
}

pub async fn run(table: &mut Table, data: &Data) {
    let ours = offhook(data).await;
    let store = data.name();
    table.add(store, "texts accepted, to go over SMPP", ours.accepted, "/s", Goal::None);
    table.add(store, "texts over SMPP through to the webhook of their receipt", ours.through, "/s", Goal::None);
    assert!(ours.lost == 0.0, "{} of ours were lost", ours.lost);
    for (kept, name) in [(Store::None, "keeping nothing"), (Store::Spool, "with its spool")] {
        let Some(theirs) = kannel(kept).await else {
            println!("Kannel is not installed: apt-get install kannel");
            return;
        };
        table.add("Kannel", format!("the same, Kannel {name}, accepted"), theirs.accepted, "/s", Goal::None);
        table.add("Kannel", format!("the same, Kannel {name}, through"), theirs.through, "/s", Goal::None);
        table.add("Kannel", format!("receipts that Kannel {name} never told"), theirs.lost * 100.0, "%", Goal::None);
        let goal = if data.url.is_none() { Goal::AtLeast(1.5) } else { Goal::None };
        table.add(store, format!("ours over Kannel's {name}"), ours.through / theirs.through, "", goal);
    }
}

async fn offhook(data: &Data) -> Rates {
    let (smsc, https, delivered) = (Smsc::start(), Https::new(), Arc::new(AtomicU64::new(0)));
    let seen = delivered.clone();
    let take = move |_: &str, body: &[u8]| {
        if body.windows(DELIVERED.len()).any(|window| window == DELIVERED) {
            seen.fetch_add(1, Ordering::Relaxed);
        }
    };
    let receiver = Receiver::start_with(0, Arc::new(take), Some(https.acceptor.clone())).await;
    let configuration = data.folder.path().join("offhook.toml");
    let text = format!(
        "webhooks.allowed_networks = [\"127.0.0.0/8\"]\nprices.number_month_micros = 0\nprices.sms_segment_micros = 0\n\
         registration.required = false\nrate_limits.messages_per_minute = 0\nrate_limits.writes_per_minute = 0\n\
         guards.per_destination_per_minute = 0\nguards.per_destination_per_hour = 0\n\
         [carriers.smsc]\nkind = \"smpp\"\naddress = \"127.0.0.1:{}\"\nsystem_id = \"offhook\"\n\
         password = \"env:SMSC_PASSWORD\"\nwindow = {WINDOW}\n",
        smsc.port
    );
    std::fs::write(&configuration, text).unwrap();
    let authority = https.authority();
    let settings = [
        ("OFFHOOK_CONFIG", configuration.to_str().unwrap()),
        ("SSL_CERT_FILE", authority.to_str().unwrap()),
        ("SMSC_PASSWORD", "secret"),
    ];
    let server = Server::serve(data, &settings).await;
    let numbers = data.folder.path().join("numbers.csv");
    std::fs::write(&numbers, "number\n+14155550100\n").unwrap();
    server.command(data, &settings, &["numbers", "import", numbers.to_str().unwrap(), "--carrier", "smsc"]);
    server.ask("POST", "/v1/numbers", r#"{"country": "US"}"#).await;
    let hook = json!({"url": receiver.url("/hook"), "contextLimit": 0, "events": ["message.status"]});
    server.ask("POST", "/v1/webhooks", &hook.to_string()).await;
    let ask = |n: u64| {
        let to = format!("+1415201{:04}", n % CONVERSATIONS);
        let body = format!("Your table is ready, number {n}.");
        let text = json!({"from_number": "+14155550100", "to_number": to, "body": body});
        ("POST", "/v1/messages".to_owned(), text.to_string())
    };
    let rates = measure(&server.target, &delivered, ask).await;
    server.stop();
    rates
}

const DELIVERED: &[u8] = b"\"status\":\"delivered\"";

async fn kannel(store: Store) -> Option<Rates> {
    let (smsc, told) = (Smsc::start(), Arc::new(AtomicU64::new(0)));
    let seen = told.clone();
    let take = move |_: &str, _: &[u8]| {
        seen.fetch_add(1, Ordering::Relaxed);
    };
    let receiver = Receiver::start(0, Arc::new(take)).await;
    let kannel = Kannel::start(smsc.port, WINDOW, store)?;
    let hook = receiver.url("/dlr").replace(':', "%3A").replace('/', "%2F");
    let ask = move |n: u64| {
        let path = format!(
            "/cgi-bin/sendsms?username=us&password=secret&from=%2B14155550100&to=%2B1415201{:04}\
             &text=Your+table+is+ready,+number+{n}.&dlr-mask=1&dlr-url={hook}",
            n % CONVERSATIONS
        );
        ("GET", path, String::new())
    };
    Some(measure(&kannel.target, &told, ask).await)
}

/// Medians of turns: requests as fast as they are answered, until the last receipt is told.
async fn measure(target: &Target, told: &AtomicU64, ask: impl Fn(u64) -> Ask + Clone + 'static) -> Rates {
    load::closed(target, CONNECTIONS, WARM_UP, ask.clone()).await;
    let mut lost = WARM_UP - until(told, WARM_UP).await.0;
    let (mut accepted, mut through) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let (before, began) = (told.load(Ordering::Relaxed), Instant::now());
        let outcome = load::closed(target, CONNECTIONS, EACH, ask.clone()).await;
        let (came, at) = until(told, before + EACH).await;
        lost += before + EACH - came;
        through.push((came - before) as f64 / (at - began).as_secs_f64());
        accepted.push(outcome.per_second());
    }
    let all = (WARM_UP + TURNS * EACH) as f64;
    Rates { accepted: median(accepted), through: median(through), lost: lost as f64 / all }
}

/// Waits until so many came, or none for a while; how many, and when the last did.
async fn until(told: &AtomicU64, count: u64) -> (u64, Instant) {
    let (mut came, mut at) = (told.load(Ordering::Relaxed), Instant::now());
    while came < count && at.elapsed() < SILENCE {
        tokio::time::sleep(Duration::from_millis(2)).await;
        let now = told.load(Ordering::Relaxed);
        if now > came {
            (came, at) = (now, Instant::now());
        }
    }
    (came, at)
}

/// The testkit's message centre, beside this program.
struct Smsc {
    child: Child,
    port: u16,
}

impl Smsc {
    fn start() -> Self {
        let program = std::env::current_exe().unwrap().with_file_name("examples").join("smsc");
        assert!(program.exists(), "build it first: cargo build --release -p offhook-testkit --example smsc");
        let mut command = Command::new(program);
        command.args([RECEIPTS_AFTER_MILLIS, "--quiet"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        // It says more, which somebody has to read.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, port: first["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap() }
    }
}

impl Drop for Smsc {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
