//! With peers that nobody here wrote. They are where `OFFHOOK_INTEROP_PEERS` says; without it, there is nothing to do here:
//! `tests/interop-sms/peers.sh` installs them and runs this.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use offhook_carriers::Carrier;
use offhook_carriers::smpp::{Coding, Concatenation, MessageIds, SmppCarrier, SmppSettings};
use offhook_domain::SystemClock;
use offhook_domain::message::{ReceiptStatus, SendOutcome};
use offhook_smpp::{Fragment, Udh, decode};
use offhook_testkit::smsc::Smsc;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

use super::remembered::Platform;
use super::{OURS, THEIRS, submission, text};

fn peers() -> Option<PathBuf> {
    std::env::var_os("OFFHOOK_INTEROP_PEERS").map(PathBuf::from)
}

/// A peer that says JSON, a line at a time.
struct Peer {
    _process: Child,
    tell: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    fn start(program: impl AsRef<std::ffi::OsStr>, script: &str, argument: &str) -> Self {
        let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop-sms");
        let mut command = Command::new(program);
        command.arg(scripts.join(script)).arg(argument).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        if let Some(peers) = peers() {
            command.env("NODE_PATH", peers.join("node_modules"));
        }
        let mut process = command.spawn().unwrap();
        let (tell, said) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { _process: process, tell, said: BufReader::new(said).lines() }
    }

    /// The next line that has this key, and its value.
    async fn hear(&mut self, key: &str) -> Value {
        let hearing = async {
            loop {
                let line = self.said.next_line().await.unwrap().expect("it still speaks");
                let said: Value = serde_json::from_str(&line).unwrap();
                if said.get(key).is_some() {
                    return said;
                }
            }
        };
        let heard = tokio::time::timeout(Duration::from_secs(30), hearing).await;
        heard.unwrap_or_else(|_| panic!("the peer does not say {key}"))
    }

    async fn tell(&mut self, what: &Value) {
        self.tell.write_all(format!("{what}\n").as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn a_message_centre_of_npm_and_we_understand_each_other() {
    if peers().is_none() {
        return;
    }
    let mut peer = Peer::start("node", "smsc.js", "");
    let port = u16::try_from(peer.hear("port").await["port"].as_u64().unwrap()).unwrap();
    let platform = Arc::new(Platform::default());
    let bodies = ["Grüße {€} @£$", "☎ 😀", &"☎ grüße ".repeat(82), &"plain, and long. ".repeat(30)];
    for (round, concatenation) in (0_u8..).zip([Concatenation::Udh, Concatenation::Sar, Concatenation::Payload]) {
        let mut settings = SmppSettings::new("smpp", "127.0.0.1", port, "us", "secret");
        settings.message_ids = MessageIds::HexInAnswers;
        settings.concatenation = concatenation;
        let carrier = SmppCarrier::new(settings, platform.clone(), Arc::new(SystemClock::default()));
        let (runner, sink, stop) = (carrier.clone(), platform.clone(), CancellationToken::new());
        let stopping = stop.clone();
        let running = tokio::spawn(async move { runner.run(sink, stopping).await });
        for body in bodies {
            let sent = submission(body);
            let outcome = carrier.send(&sent).await;
            let SendOutcome::Accepted { carrier_message_id } = outcome else { panic!("{outcome:?}") };
            let parts = carrier_message_id.split_once('+').map_or(1, |(_, more)| more.parse::<usize>().unwrap() + 1);
            let mut heard = Vec::new();
            for _ in 0..parts {
                let said = peer.hear("submitted").await;
                assert_eq!((said["from"].as_str(), said["to"].as_str()), (Some(&OURS[1..]), Some(&THEIRS[1..])));
                let number = said["udh"].as_str().map_or(said["sar"].as_u64().unwrap_or(1), |udh| {
                    u64::from_str_radix(&udh[udh.len() - 2..], 16).unwrap()
                });
                heard.push((number, said["submitted"].as_str().unwrap().to_owned()));
            }
            heard.sort();
            assert_eq!(heard.into_iter().map(|(_, text)| text).collect::<String>(), body, "{concatenation:?}");
            // Its receipt, whether it came before its answer was kept or behind it.
            let its_own = |receipt: &offhook_carriers::Receipt| {
                receipt.carrier_message_id == carrier_message_id && receipt.status == ReceiptStatus::Delivered
            };
            let mut count = 1;
            loop {
                let all = platform.receipts(count).await;
                if all.iter().any(its_own) {
                    break;
                }
                count = all.len() + 1;
            }
        }
        let before = platform.messages_so_far().len();
        let fields = |text: &str| {
            json!({"source_addr": &THEIRS[1..], "source_addr_ton": 1,
            "destination_addr": &OURS[1..], "dest_addr_ton": 1, "text": text})
        };
        let part = |number: u8, text: &str| {
            let mut all = fields(text);
            all["udh"] = json!(format!("050003{round:02x}02{number:02x}"));
            all["esm_class"] = json!(0x40);
            all["data_coding"] = json!(8);
            all
        };
        peer.tell(&json!([fields("from npm {€}"), part(2, "☎ two"), part(1, "one 😀 ")])).await;
        for _ in 0..3 {
            assert_eq!(peer.hear("answered").await["answered"], 0);
        }
        let arrived = platform.messages(before + 2).await.split_off(before);
        let arrived: Vec<_> = arrived.iter().map(|one| (one.from.as_str(), one.body.as_str())).collect();
        assert_eq!(arrived, [(THEIRS, "from npm {€}"), (THEIRS, "one 😀 ☎ two")]);
        stop.cancel();
        assert_eq!(peer.hear("unbound").await["unbound"], true);
        running.await.unwrap();
    }
}

#[tokio::test]
async fn many_texts_go_to_a_message_centre_of_npm_at_once() {
    if peers().is_none() {
        return;
    }
    let mut peer = Peer::start("node", "smsc.js", "");
    let port = u16::try_from(peer.hear("port").await["port"].as_u64().unwrap()).unwrap();
    let platform = Arc::new(Platform::default());
    let mut settings = SmppSettings::new("smpp", "127.0.0.1", port, "us", "secret");
    settings.message_ids = MessageIds::HexInAnswers;
    let carrier = SmppCarrier::new(settings, platform.clone(), Arc::new(SystemClock::default()));
    let (runner, sink, stop) = (carrier.clone(), platform.clone(), CancellationToken::new());
    let stopping = stop.clone();
    let running = tokio::spawn(async move { runner.run(sink, stopping).await });
    let draining = tokio::spawn(async move {
        while peer.said.next_line().await.unwrap().is_some() {}
        peer
    });
    let texts: Vec<_> = (0..1_000).map(|n| submission(&format!("number {n}"))).collect();
    let outcomes = join_all(texts.iter().map(|text| carrier.send(text))).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, SendOutcome::Accepted { .. })));
    let mut told: Vec<_> = platform.receipts(1_000).await.into_iter().map(|one| one.carrier_message_id).collect();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 1_000);
    stop.cancel();
    running.await.unwrap();
    draining.abort();
}

/// The other way round: what stands for message centres in our tests is one for others too.
#[tokio::test]
async fn an_esme_of_pypi_and_our_message_centre_understand_each_other() {
    let Some(peers) = peers() else { return };
    let smsc = Smsc::start().await;
    let mut peer = Peer::start(peers.join("venv/bin/python"), "esme.py", &smsc.port().to_string());
    assert_eq!(peer.hear("parts").await["parts"], 10);
    let mut parts: Vec<_> = smsc.taken(10).await.into_iter().map(|one| one.message).collect();
    parts.sort_by_key(|part| Fragment::of(part).unwrap().number);
    let joined: String = parts.iter().map(|part| decode(Udh::read(part.payload()).text, Coding::Ucs2, 0)).collect();
    assert_eq!(joined, "☎ grüße ".repeat(82));
    for _ in 0..10 {
        let receipt = peer.hear("receipt").await;
        assert!(receipt["receipt"].as_str().unwrap().contains("stat:DELIVRD"), "{receipt}");
    }
    smsc.bring(text("hello"));
    assert_eq!(peer.hear("brought").await["brought"], "hello");
    smsc.bring(text("bye"));
    peer.hear("left").await;
}
