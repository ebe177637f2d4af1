//! Telephone calls over SIP that a webhook answers, with speech that costs nothing: set-up, turns, how many at once on one core,
//! and what they leave behind. The server has a core of its own; telephones, speech and the customer's server have the other.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::https::Https;
use crate::latency::Latencies;
use crate::phones::{Heard, Order, Phones, Watch};
use crate::receiver::{Receiver, ok};
use crate::server::{Data, Server};
use crate::table::{Goal, Table};

const NUMBER: &str = "+14155550100";
/// Where the server runs, and where all else does.
const CORE: usize = 0;
const OTHER_CORE: usize = 1;
const MOST_CALLERS: usize = 4_000;
/// What callers say: two sentences in six seconds, and six of silence.
const TALK: &[u8] = include_bytes!("../../../crates/voice/tests/speech/two_sentences.ul");
const PAUSE: usize = 6 * 8_000;
const SILENCE: u8 = 0xff;
/// What the agent says to it takes three seconds, at 24 kHz.
const ANSWER_SAMPLES: u32 = 3 * 24_000;
/// Rungs of the ladder.
const RUNGS: usize = 100;
const SPAN: Duration = Duration::from_secs(20);
const ALL_CALLS: usize = 100_000;

pub async fn run(table: &mut Table, data: &Data) {
    pin(OTHER_CORE);
    let name = data.name();
    // For who profiles.
    let profiled = setting("BENCH_CALLS_AT_ONCE");
    if let Some(calls) = profiled.or(setting("BENCH_CONVERSATIONS_AT_ONCE")) {
        let stage = Stage::set(data, profiled.is_none()).await;
        stage.rung(calls, stage.server.resident_mb()).await;
        stage.server.stop();
        return unpin();
    }
    let stage = Stage::set(data, true).await;
    stage.set_up(table, name).await;
    stage.turns(table, name).await;
    // What is left is the same whatever keeps the calls.
    if data.url.is_none() {
        let (calls, _) = stage.most_at_once().await;
        table.add(name, "conversations at once on one core, no packet late", calls as f64, "calls", Goal::None);
        stage.left_behind(table, name).await;
        stage.server.stop();
        let stage = Stage::set(&Data::sqlite().await, false).await;
        let (calls, memory) = stage.most_at_once().await;
        table.add(name, "calls at once on one core, no packet late", calls as f64, "calls", Goal::AtLeast(1_200.0));
        table.add(name, "memory of each of them", memory, "kB", Goal::AtMost(250.0));
        stage.server.stop();
    }
    unpin();
}

fn setting(name: &str) -> Option<usize> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// This program's threads: those that there are, and those that come.
fn pin(core: usize) {
    let pid = std::process::id().to_string();
    let done = Command::new("taskset").args(["-apc", &core.to_string(), &pid]).output().unwrap();
    assert!(done.status.success(), "taskset of util-linux is needed");
}

fn unpin() {
    let cores = format!("0-{}", std::thread::available_parallelism().map_or(1, usize::from).max(2) - 1);
    drop(Command::new("taskset").args(["-apc", &cores, &std::process::id().to_string()]).output());
}

struct Stage {
    server: Server,
    phones: Arc<std::sync::Mutex<Phones>>,
    watch: Arc<Watch>,
    _speech: Receiver,
    _agent: Receiver,
    _https: Https,
}

impl Stage {
    /// With speech, callers and agents talk with each other; without, callers are listened to and recorded.
    async fn set(data: &Data, speaks: bool) -> Self {
        let sip = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut talk = TALK.to_vec();
        talk.resize(TALK.len() + PAUSE, SILENCE);
        let phones = Phones::open(sip, NUMBER, MOST_CALLERS, talk);
        let https = Https::new();
        let agent = agent(phones.asking(), &https).await;
        let speech = speech().await;
        let configuration = data.folder.path().join("offhook.toml");
        let text = format!(
            "webhooks.allowed_networks = [\"127.0.0.0/8\"]\nprices.number_month_micros = 0\nprices.webhook_minute_micros = 0\n\
             prices.call_least_micros = 0\nregistration.required = false\nlimits.concurrent_calls = 100000\n\
             [voice]\nrecord = true\n[voice.sip]\nlisten = [\"udp:{sip}\"]\nmost_calls = 100000\n\
             [voice.media]\nlisten = \"127.0.0.1\"\nfirst_port = 0\nlast_port = 0\n\
             [carriers.line]\nkind = \"sip\"\nnetworks = [\"127.0.0.1/32\"]\n",
        );
        let with_speech = format!(
            "{text}[voice.speech]\nstt = \"openai\"\nstt_base_url = \"{speech}\"\nstt_model = \"ears\"\n\
             tts = \"openai\"\ntts_base_url = \"{speech}\"\ntts_model = \"mouth\"\n",
            speech = speech.url("/v1"),
        );
        let text = if speaks { with_speech } else { text };
        std::fs::write(&configuration, text).unwrap();
        let authority = https.authority();
        let settings =
            [("OFFHOOK_CONFIG", configuration.to_str().unwrap()), ("SSL_CERT_FILE", authority.to_str().unwrap())];
        let server = Server::serve_on(CORE, data, &settings).await;
        let numbers = data.folder.path().join("numbers.csv");
        std::fs::write(&numbers, format!("number\n{NUMBER}\n")).unwrap();
        server.command(data, &settings, &["numbers", "import", numbers.to_str().unwrap(), "--carrier", "line"]);
        let made = server.ask("POST", "/v1/agents", r#"{"name": "Desk"}"#).await;
        let number = json!({"phoneNumber": NUMBER, "agentId": made["id"]});
        server.ask("POST", "/v1/numbers", &number.to_string()).await;
        server.ask("POST", "/v1/webhooks", &json!({"url": agent.url("/hook"), "contextLimit": 0}).to_string()).await;
        let watch = phones.watch.clone();
        let phones = Arc::new(std::sync::Mutex::new(phones));
        Self { server, phones, watch, _speech: speech, _agent: agent, _https: https }
    }

    /// Telephones at work, on a thread of their own, while `meanwhile` looks on.
    async fn call<T>(&self, order: Order, meanwhile: impl AsyncFnOnce(&Self) -> T) -> (Heard, T) {
        let phones = self.phones.clone();
        let working = tokio::task::spawn_blocking(move || phones.lock().unwrap().run(order));
        let seen = meanwhile(self).await;
        (working.await.unwrap(), seen)
    }

    /// One call after the other, on a server that has nothing else to do.
    async fn set_up(&self, table: &mut Table, name: &'static str) {
        let order = Order {
            calls: 1_000,
            at_once: 10,
            rate: 20.0,
            // None ends in the moment in which another begins.
            held: Some(Duration::from_millis(125)),
            span: Duration::ZERO,
            talks: false,
        };
        let (mut heard, ()) = self.call(order, async |_| ()).await;
        assert_eq!(heard.unanswered, 0, "calls were not answered");
        table.add(name, "call set-up, p50", heard.set_up.millis(0.5), "ms", Goal::None);
        table.add(name, "call set-up, p99", heard.set_up.millis(0.99), "ms", Goal::AtMost(3.0));
    }

    /// What a turn costs beside the wait for the caller to go on, from the question to the first sound.
    async fn turns(&self, table: &mut Table, name: &'static str) {
        let order = Order { calls: 20, at_once: 20, rate: 7.0, held: None, span: Duration::from_secs(60), talks: true };
        let (mut heard, ()) = self.call(order, async |_| ()).await;
        let (mut asked, mut waited) = self.traced(20).await;
        table.add(name, "turns heard to their answer", asked.count() as f64, "", Goal::None);
        table.add(name, "end of speech to the question: the wait, p50", waited.millis(0.5), "ms", Goal::None);
        table.add(name, "question to the first sound, by the trace, p50", asked.millis(0.5), "ms", Goal::None);
        table.add(name, "question to the first sound, by the trace, p99", asked.millis(0.99), "ms", Goal::AtMost(30.0));
        let replies = &mut heard.replies;
        table.add(name, "question to the first sound, by the telephone, p50", replies.millis(0.5), "ms", Goal::None);
        table.add(name, "question to the first sound, by the telephone, p99", replies.millis(0.99), "ms", Goal::None);
    }

    /// From the question to the first sound, and from the end of speech to the question, in the newest calls.
    async fn traced(&self, calls: usize) -> (Latencies, Latencies) {
        let (mut asked, mut waited) = (Latencies::default(), Latencies::default());
        let newest = self.server.ask("GET", &format!("/v1/calls?limit={calls}"), "").await;
        for call in newest["data"].as_array().unwrap() {
            let trace = self.server.ask("GET", &format!("/v1/calls/{}/trace", call["id"].as_str().unwrap()), "").await;
            let (mut ended, mut question) = (None, None);
            for mark in trace["data"].as_array().unwrap() {
                let at = mark["atMs"].as_f64().unwrap();
                let since = |from: f64| Duration::from_secs_f64((at - from).max(0.0) / 1_000.0);
                match mark["name"].as_str().unwrap() {
                    "speech_ended" => ended = Some(at),
                    "brain_asked" => {
                        ended.take().into_iter().for_each(|from| waited.add(since(from)));
                        question = Some(at);
                    }
                    "turn_heard" => question.take().into_iter().for_each(|from| asked.add(since(from))),
                    _ => {}
                }
            }
        }
        (asked, waited)
    }

    /// More and more calls at once, until packets come late: how many went well, and what each took, in kB.
    async fn most_at_once(&self) -> (usize, f64) {
        let idle = self.server.resident_mb();
        let (mut held, mut memory) = (0, f64::NAN);
        for rung in 3.. {
            let calls = rung * RUNGS;
            if calls > MOST_CALLERS {
                break;
            }
            let Some(kilobytes) = self.rung(calls, idle).await else { break };
            (held, memory) = (calls, kilobytes);
        }
        (held, memory)
    }

    /// So many calls at once, and what each of them took, in kB; `None` where a packet was late.
    async fn rung(&self, calls: usize, idle: f64) -> Option<f64> {
        let order = Order { calls, at_once: calls, rate: 40.0, held: None, span: SPAN, talks: true };
        let look = async |stage: &Self| {
            while !stage.watch.measuring.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let (began, before) = (Instant::now(), stage.server.busy_seconds());
            tokio::time::sleep(SPAN - Duration::from_secs(1)).await;
            let busy = (stage.server.busy_seconds() - before) / began.elapsed().as_secs_f64();
            (busy, stage.server.resident_mb())
        };
        let (mut heard, (busy, resident)) = self.call(order, look).await;
        let share = |count: u64| count as f64 * 1e6 / heard.packets.max(1) as f64;
        let (late, latest) = (share(heard.late_20), heard.latest.as_secs_f64() * 1_000.0);
        println!(
            "   {calls} calls: {} up, core {:.0} % busy, {} packets, late by more than 5 ms {:.0}, than 20 ms {late:.0} \
                 of a million, latest {latest:.1} ms, missing {}, sent up to {:.1} ms late by the telephones; reply p50 {:.1} p99 {:.1} ms, \
                 {:.0} kB a call",
            heard.answered,
            busy * 100.0,
            heard.packets,
            share(heard.late_5),
            heard.missing,
            heard.behind.as_secs_f64() * 1_000.0,
            heard.replies.millis(0.5),
            heard.replies.millis(0.99),
            (resident - idle) * 1_024.0 / calls as f64,
        );
        let good = heard.unanswered == 0 && heard.late_20 == 0 && heard.missing == 0;
        good.then(|| (resident - idle) * 1_024.0 / calls as f64)
    }

    /// Call upon call: what the process has grown by.
    async fn left_behind(&self, table: &mut Table, name: &'static str) {
        let all = setting("BENCH_CALLS").unwrap_or(ALL_CALLS);
        let order = Order {
            calls: all,
            at_once: 100,
            rate: 10_000.0,
            held: Some(Duration::from_millis(100)),
            span: Duration::ZERO,
            talks: false,
        };
        let look = async |stage: &Self| {
            let mut tenths = Vec::new();
            for tenth in 1..=10 {
                while (stage.watch.over.load(Ordering::Relaxed) as usize) < all * tenth / 10 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                tenths.push(stage.server.resident_mb());
            }
            tenths
        };
        let began = Instant::now();
        let (heard, tenths) = self.call(order, look).await;
        println!("   resident by tenths of the way, MB: {tenths:.0?}; {} calls were not answered", heard.unanswered);
        table.add(
            name,
            "calls one upon another",
            heard.answered as f64 / began.elapsed().as_secs_f64(),
            "/s",
            Goal::None,
        );
        let grown = tenths[9] / tenths[1];
        table.add(name, format!("resident after {all} calls, over after a fifth"), grown, "", Goal::AtMost(1.1));
    }
}

/// The customer's server: it answers at once, and tells that it was asked.
async fn agent(asking: impl Fn(&str) + Send + Sync + 'static, https: &Https) -> Receiver {
    let silent = ok("application/json", b"{}");
    let says = ok("application/x-ndjson", b"{\"text\": \"Yes, there is a table for two at eight.\"}\n");
    let reply = move |_: &str, body: &[u8]| {
        let event: Value = serde_json::from_slice(body).unwrap_or_default();
        if event["event"] != "agent.message" {
            return silent.clone();
        }
        asking(event["data"]["from"].as_str().unwrap_or_default());
        says.clone()
    };
    Receiver::replying(0, Arc::new(reply), Some(https.acceptor.clone())).await
}

/// Understands whatever is said, and says whatever it is told, at once.
async fn speech() -> Receiver {
    let words = ok("application/json", br#"{"text": "Is there a table for two at eight?"}"#);
    let tone = |n: u32| ((f64::from(n) * 440.0 * std::f64::consts::TAU / 24_000.0).sin() * 8_000.0) as i16;
    let pcm: Vec<u8> = (0..ANSWER_SAMPLES).flat_map(|n| tone(n).to_le_bytes()).collect();
    let sound = ok("audio/pcm", &pcm);
    let reply = move |path: &str, _: &[u8]| if path.ends_with("/speech") { sound.clone() } else { words.clone() };
    Receiver::replying(0, Arc::new(reply), None).await
}
