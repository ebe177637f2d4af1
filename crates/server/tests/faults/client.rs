//! Requests to one server, which may be cut off at any moment.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Longer than the server takes for any request.
const PATIENCE: Duration = Duration::from_secs(40);

#[derive(Clone)]
pub struct Client {
    http: Http<HttpConnector, Full<Bytes>>,
    base_url: String,
    key: String,
    patience: Duration,
}

/// No answer came: nobody knows what was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// The connection broke, or there was none.
    Cut,
    /// Nothing was heard for as long as the client waits.
    Silence,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub json: Value,
}

impl Answer {
    /// The body of a success.
    pub fn ok(self) -> Value {
        assert!(self.is_success(), "{} {}", self.status, self.json);
        self.json
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether it says that nothing happened.
    pub fn says_nothing_happened(&self) -> bool {
        (500..600).contains(&self.status)
    }
}

impl Client {
    pub fn new(base_url: String, key: String) -> Self {
        let http = Http::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(5)).build_http();
        Self { http, base_url, key, patience: PATIENCE }
    }

    /// One that does not wait longer than this.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub async fn get(&self, path: &str) -> Result<Answer, NoAnswer> {
        self.call("GET", path, None, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, NoAnswer> {
        self.call("POST", path, Some(body), None).await
    }

    /// With an `Idempotency-Key`, where one is given.
    pub async fn post_once(&self, path: &str, body: &Value, key: Option<&str>) -> Result<Answer, NoAnswer> {
        self.call("POST", path, Some(body), key).await
    }

    pub async fn delete(&self, path: &str) -> Result<Answer, NoAnswer> {
        self.call("DELETE", path, None, None).await
    }

    /// A figure of `/metrics`, summed over the labels that its line starts with.
    pub async fn metric(&self, line: &str) -> Result<f64, NoAnswer> {
        let (_, text) = self.exchange("GET", "/metrics", None, None).await?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let values = text.lines().filter(|one| one.starts_with(line)).filter_map(|one| one.rsplit(' ').next());
        Ok(values.filter_map(|value| value.parse::<f64>().ok()).sum())
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        once: Option<&str>,
    ) -> Result<Answer, NoAnswer> {
        let (status, bytes) = self.exchange(method, path, body, once).await?;
        Ok(Answer { status, json: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        once: Option<&str>,
    ) -> Result<(u16, Bytes), NoAnswer> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base_url))
            .header("authorization", format!("Bearer {}", self.key));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        if let Some(key) = once {
            request = request.header("idempotency-key", key);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(Full::from(body)).expect("a good request");
        let exchange = async {
            let response = self.http.request(request).await.map_err(|_| NoAnswer::Cut)?;
            let status = response.status().as_u16();
            let bytes = response.into_body().collect().await.map_err(|_| NoAnswer::Cut)?.to_bytes();
            Ok((status, bytes))
        };
        tokio::time::timeout(self.patience, exchange).await.unwrap_or(Err(NoAnswer::Silence))
    }
}
