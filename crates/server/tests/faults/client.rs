//! Requests to one server, which may be cut off at any moment.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Clone)]
pub struct Client {
    http: Http<HttpConnector, Full<Bytes>>,
    base_url: String,
    key: String,
}

/// No answer came: nobody knows what was done.
#[derive(Debug)]
pub struct Cut;

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub json: Value,
}

impl Answer {
    /// The body of a success.
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.json);
        self.json
    }
}

impl Client {
    pub fn new(base_url: String, key: String) -> Self {
        let http = Http::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(5)).build_http();
        Self { http, base_url, key }
    }

    pub async fn get(&self, path: &str) -> Result<Answer, Cut> {
        self.call("GET", path, None, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, Cut> {
        self.call("POST", path, Some(body), None).await
    }

    pub async fn post_once(&self, path: &str, body: &Value, key: &str) -> Result<Answer, Cut> {
        self.call("POST", path, Some(body), Some(key)).await
    }

    pub async fn delete(&self, path: &str) -> Result<Answer, Cut> {
        self.call("DELETE", path, None, None).await
    }

    /// A page that is no JSON.
    pub async fn get_text(&self, path: &str) -> Result<String, Cut> {
        let url = format!("{}{path}", self.base_url).parse().expect("a good URL");
        let exchange = async {
            let response = self.http.get(url).await.map_err(|_| Cut)?;
            let bytes = response.into_body().collect().await.map_err(|_| Cut)?.to_bytes();
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        tokio::time::timeout(TIMEOUT, exchange).await.unwrap_or(Err(Cut))
    }

    async fn call(&self, method: &str, path: &str, body: Option<&Value>, once: Option<&str>) -> Result<Answer, Cut> {
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
            let response = self.http.request(request).await.map_err(|_| Cut)?;
            let status = response.status().as_u16();
            let bytes = response.into_body().collect().await.map_err(|_| Cut)?.to_bytes();
            let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            Ok(Answer { status, json })
        };
        tokio::time::timeout(TIMEOUT, exchange).await.unwrap_or(Err(Cut))
    }
}
