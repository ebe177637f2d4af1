//! `offhook phone`: a virtual handset of the sandbox network on the command line.

use std::collections::HashSet;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{Failure, http_client, print, read_json};

/// How often an open chat looks for new texts.
const LOOK_EVERY: Duration = Duration::from_millis(500);

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

    async fn inbox(&self, handset: &str) -> Result<Vec<Shown>, Failure> {
        let url = format!("{}/sandbox/handsets/{}/messages?limit=100", self.base, handset.replace('+', "%2B"));
        let inbox = read_json(self.client.get(url).send().await?).await?;
        Ok(serde_json::from_value::<Inbox>(inbox)?.data)
    }
}
