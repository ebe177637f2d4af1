//! `offhook listen`: stands in for a customer's server. It has events sent to it, checks their signatures and
//! prints them.

use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Failure, http_client, print, read_json};
use crate::webhook_signature;

#[derive(Debug, Args)]
pub struct Listen {
    /// The server's base URL.
    #[arg(long, env = "OFFHOOK_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The account's API key.
    #[arg(long, env = "OFFHOOK_KEY")]
    key: String,
    /// Listens for one agent's events; without it for the account's.
    #[arg(long)]
    agent: Option<String>,
    /// The port to listen on, on this machine; a free one where none is given.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

impl Listen {
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await?;
        let here = format!("http://{}/", listener.local_addr()?);
        let base = self.url.trim_end_matches('/');
        let path = self.agent.map_or_else(|| "webhooks".to_owned(), |agent| format!("agents/{agent}/webhook"));
        let events = ["agent.message", "agent.call_ended", "agent.reaction", "message.status", "number.released"];
        let request = http_client()?.post(format!("{base}/v1/{path}")).bearer_auth(&self.key);
        let webhook = read_json(request.json(&json!({"url": here, "events": events})).send().await?).await?;
        let secret: Arc<str> = webhook["secret"].as_str().unwrap_or_default().into();
        print(&format!("Events of {base} come to {here} now. Ctrl-C ends; the webhook stays set.\n"));
        let router = Router::new().fallback(receive).with_state(secret);
        axum::serve(listener, router).await?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn receive(State(secret): State<Arc<str>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let verdict = if is_genuine(&secret, &headers, &body) { "genuine" } else { "NOT GENUINE" };
    let event: Value = serde_json::from_slice(&body).unwrap_or_default();
    let pretty = serde_json::to_string_pretty(&event).unwrap_or_default();
    print(&format!(
        "{}  {}\nX-Webhook-Signature: {}  ({verdict})\n{pretty}\n",
        header("x-webhook-event"),
        header("x-webhook-id"),
        header("x-webhook-signature"),
    ));
    StatusCode::NO_CONTENT
}

/// Signs what came with the webhook's secret and compares.
fn is_genuine(secret: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Ok(at) = header("x-webhook-timestamp").parse::<i64>() else { return false };
    let signed = webhook_signature::sign(secret, header("x-webhook-id"), at, body, header("x-webhook-event"));
    signed.is_ok_and(|expected| {
        ["x-webhook-signature", "webhook-signature"].iter().all(|name| expected.get(*name) == headers.get(*name))
    })
}
