//! `offhook phone`: a virtual handset of the sandbox network on the command line.

mod sound;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{Failure, http_client, print, read_json};

/// How often an open chat looks for new texts.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often somebody who calls listens.
const LISTEN_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub struct Phone {
    /// The server's base URL.
    #[arg(long, global = true, env = "OFFHOOK_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Texts a number of the platform from a handset.
    Text {
        /// The handset's number: any that the platform does not hold.
        #[arg(long, default_value = "+14155551234")]
        from: String,
        #[arg(long)]
        to: String,
        /// A picture's URL; may be given more than once.
        #[arg(long)]
        media: Vec<String>,
        #[arg(default_value = "")]
        body: String,
    },
    /// Shows what a handset sent and received, the oldest first.
    Inbox { handset: String },
    /// Calls a number of the platform: type to talk, read what the agent says. `/press 12#` presses keys; the end of the
    /// input hangs up.
    Call {
        #[arg(long, default_value = "+14155551234")]
        from: String,
        /// Characters that the agent says in a second: people speak about 15. 0: everything at once.
        #[arg(long, default_value_t = 60)]
        pace: u32,
        /// Talk with sound: a WAV that is said. The server must listen for SIP (voice.sip.listen) and welcome strangers.
        #[arg(long, requires = "keep")]
        say: Option<PathBuf>,
        /// A WAV that is written: on the left what was said, on the right what was heard.
        #[arg(long, requires = "say")]
        keep: Option<PathBuf>,
        /// Where the server listens for SIP over UDP.
        #[arg(long, env = "OFFHOOK_SIP", default_value = "127.0.0.1:5060")]
        sip: SocketAddr,
        /// The number to call.
        to: String,
    },
    /// A conversation: type to text, read what comes back. Ends with the input.
    Chat {
        #[arg(long, default_value = "+14155551234")]
        from: String,
        #[arg(long)]
        to: String,
    },
}

#[derive(Debug, Deserialize)]
struct Inbox {
    data: Vec<Shown>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    id: String,
    from: String,
    to: String,
    body: String,
    media_urls: Vec<String>,
    at: String,
}

impl Phone {
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let network = Network::new(&self.url)?;
        match self.action {
            Action::Text { from, to, media, body } => {
                network.text(&from, &to, &body, &media).await?;
                print("Sent. The platform has it.");
            }
            Action::Inbox { handset } => {
                for message in network.inbox(&handset).await?.into_iter().rev() {
                    print(&line(&message));
                }
            }
            Action::Call { from, to, say: Some(says), keep: Some(keeps), sip: server, .. } => {
                sound::call(sound::Call { from, to, says, keeps, server }).await?;
            }
            Action::Call { from, pace, to, .. } => call(&network, &from, pace, &to).await?,
            Action::Chat { from, to } => chat(&network, &from, &to).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn line(message: &Shown) -> String {
    let media: String = message.media_urls.iter().map(|url| format!("\n    {url}")).collect();
    format!("{}  {} → {}: {}{media}", message.at, message.from, message.to, message.body)
}

async fn chat(network: &Network, from: &str, to: &str) -> Result<(), Failure> {
    print(&format!("You are {from}, texting {to}. Type and press Enter; Ctrl-D ends."));
    let mut seen: HashSet<String> = network.inbox(from).await?.into_iter().map(|m| m.id).collect();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            typed = lines.next_line() => match typed? {
                Some(text) if text.trim().is_empty() => {}
                Some(text) => network.text(from, to, &text, &[]).await?,
                None => return Ok(()),
            },
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        for message in network.inbox(from).await?.into_iter().rev() {
            if seen.insert(message.id.clone()) && message.to == from {
                print(&line(&message));
            }
        }
    }
}

async fn call(network: &Network, from: &str, pace: u32, to: &str) -> Result<(), Failure> {
    let call = network.call(from, pace, to).await?;
    let path = format!("/sandbox/calls/{}", call["id"].as_str().unwrap_or_default());
    print(&format!(
        "You are {from}, calling {to}. Type and press Enter to talk; /press 12# for keys; Ctrl-D hangs up."
    ));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let (mut seen, mut listening) = (0, true);
    loop {
        let call = network.get(&path).await?;
        let heard = call["heard"].as_array().map(Vec::as_slice).unwrap_or_default();
        heard.iter().skip(seen).filter_map(told).for_each(|line| print(&line));
        seen = heard.len();
        if call["over"] == true {
            return Ok(());
        }
        tokio::select! {
            typed = lines.next_line(), if listening => {
                let Some(text) = typed? else {
                    listening = false;
                    network.act(&path, "hangup", &json!({})).await?;
                    continue;
                };
                match text.trim().strip_prefix("/press") {
                    _ if text.trim().is_empty() => {}
                    Some(keys) => network.act(&path, "press", &json!({"digits": keys.trim()})).await?,
                    None => network.act(&path, "say", &json!({"text": text})).await?,
                }
            }
            () = tokio::time::sleep(LISTEN_EVERY) => {}
        }
    }
}

/// What a handset heard, for people; nothing of what goes without saying.
fn told(heard: &serde_json::Value) -> Option<String> {
    let text = heard["text"].as_str().unwrap_or_default();
    Some(match heard["type"].as_str()? {
        "ringing" => "… it rings".to_owned(),
        "answered" => "… they answer".to_owned(),
        "says" => format!("  agent: {text}"),
        "hushed" => "  (you interrupted)".to_owned(),
        "pressed" => format!("  (the agent pressed {text})"),
        "transferred" => format!("… you are handed over to {text}"),
        "refused" => format!("… the call is refused ({text})"),
        "ended" => "… the call is over".to_owned(),
        _ => return None,
    })
}

/// The sandbox network over its HTTP door.
#[expect(clippy::disallowed_types, reason = "to a server of the person's own choice")]
struct Network {
    base: String,
    client: reqwest::Client,
}

impl Network {
    fn new(url: &str) -> Result<Self, Failure> {
        Ok(Self { base: url.trim_end_matches('/').to_owned(), client: http_client()? })
    }

    async fn text(&self, from: &str, to: &str, body: &str, media: &[String]) -> Result<(), Failure> {
        let mut text = json!({"from": from, "to": to, "body": body});
        if !media.is_empty() {
            text["media_urls"] = json!(media);
        }
        let url = format!("{}/sandbox/messages", self.base);
        read_json(self.client.post(url).json(&text).send().await?).await.map(drop)
    }

    async fn call(&self, from: &str, pace: u32, to: &str) -> Result<serde_json::Value, Failure> {
        let call = json!({"from": from, "to": to, "characters_per_second": pace});
        read_json(self.client.post(format!("{}/sandbox/calls", self.base)).json(&call).send().await?).await
    }

    async fn get(&self, path: &str) -> Result<serde_json::Value, Failure> {
        read_json(self.client.get(format!("{}{path}", self.base)).send().await?).await
    }

    /// What is too late for a call that is over is no failure; of what is not understood the call is not the worse.
    async fn act(&self, path: &str, what: &str, body: &serde_json::Value) -> Result<(), Failure> {
        let answer = self.client.post(format!("{}{path}/{what}", self.base)).json(body).send().await?;
        let status = answer.status();
        if status == reqwest::StatusCode::BAD_REQUEST {
            return Ok(());
        }
        match read_json(answer).await {
            Err(error) if status == reqwest::StatusCode::UNPROCESSABLE_ENTITY => {
                print(&format!("  (not done: {error})"))
            }
            done => drop(done?),
        }
        Ok(())
    }

    async fn inbox(&self, handset: &str) -> Result<Vec<Shown>, Failure> {
        let url = format!("{}/sandbox/handsets/{}/messages?limit=100", self.base, handset.replace('+', "%2B"));
        let inbox = read_json(self.client.get(url).send().await?).await?;
        Ok(serde_json::from_value::<Inbox>(inbox)?.data)
    }
}
