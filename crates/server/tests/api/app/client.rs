//! One account's requests and their answers.

use std::pin::Pin;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use offhook_domain::{AccountId, Id};
use offhook_server::app::App;
use serde_json::Value;
use tower::ServiceExt;

/// Asks as one account.
#[derive(Clone)]
pub struct Client {
    pub app: App,
    pub account: AccountId,
    router: Router,
    key: Option<String>,
    /// Sent as `X-Sub-Account-Id`.
    sub_account: Option<AccountId>,
}

impl Client {
    pub fn new(app: App, router: Router, account: AccountId, key: Option<String>) -> Self {
        Self { app, account, router, key, sub_account: None }
    }

    /// The same client at another process.
    pub fn at(&self, app: App, router: Router) -> Self {
        Self { app, router, ..self.clone() }
    }

    /// The same key's requests for a sub-account.
    pub fn acting_for(&self, sub_account: &str) -> Self {
        let sub_account = AccountId::parse(sub_account).unwrap();
        Self { account: sub_account.clone(), sub_account: Some(sub_account), ..self.clone() }
    }

    /// The account's id as text.
    pub fn account_id(&self) -> &str {
        self.account.as_str()
    }

    /// The same account's requests with another key.
    pub fn with_secret(&self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), sub_account: None, ..self.clone() }
    }

    /// The key it asks with.
    pub fn secret(&self) -> &str {
        self.key.as_deref().unwrap_or_default()
    }

    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    pub fn post(&self, path: &str) -> Call {
        self.call(Method::POST, path)
    }

    pub fn patch(&self, path: &str) -> Call {
        self.call(Method::PATCH, path)
    }

    pub fn put(&self, path: &str) -> Call {
        self.call(Method::PUT, path)
    }

    pub fn delete(&self, path: &str) -> Call {
        self.call(Method::DELETE, path)
    }

    pub fn call(&self, method: Method, path: &str) -> Call {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        if let Some(key) = &self.key {
            request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {key}").parse().unwrap());
        }
        if let Some(sub_account) = &self.sub_account {
            request.headers_mut().insert("x-sub-account-id", sub_account.as_str().parse().unwrap());
        }
        Call { router: self.router.clone(), request }
    }
}

/// A request about to be made; awaiting it makes it.
#[must_use = "a request is made by awaiting it"]
pub struct Call {
    router: Router,
    request: Request<Body>,
}

impl Call {
    pub fn json(self, body: Value) -> Self {
        self.header("content-type", "application/json").text(body.to_string())
    }

    /// A body as it stands, with no content type of its own.
    pub fn text(mut self, body: impl Into<String>) -> Self {
        *self.request.body_mut() = Body::from(body.into());
        self
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().insert(name, value.parse().unwrap());
        self
    }

    /// With an `Idempotency-Key`.
    pub fn once(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }
}

impl IntoFuture for Call {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let asked = format!("{} {}", self.request.method(), self.request.uri());
            let (parts, body) = self.router.oneshot(self.request).await.unwrap().into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            Answer { asked, status: parts.status, headers: parts.headers, text }
        })
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    asked: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body of a 200.
    #[track_caller]
    pub fn ok(&self) -> Value {
        self.with(200)
    }

    /// The body of a 201.
    #[track_caller]
    pub fn created(&self) -> Value {
        self.with(201)
    }

    /// A 204 without a body.
    #[track_caller]
    pub fn no_content(&self) {
        assert_eq!((self.status.as_u16(), self.text.as_str()), (204, ""), "{}", self.asked);
    }

    /// The error of a refusal, checked to be the one envelope; the code and the message.
    #[track_caller]
    pub fn refused(&self, status: u16) -> Refusal {
        let body = self.with(status);
        let error = &body["error"];
        let text = |name: &str| error[name].as_str().unwrap_or_else(|| panic!("{name} in {body}")).to_owned();
        let refusal = Refusal { code: text("code"), message: text("message"), bad_fields: bad_fields(&body) };
        // A replayed body names the request it first answered.
        let told = if self.replayed() { text("requestId") } else { self.header("x-request-id") };
        assert_eq!(told, text("requestId"), "{}", self.asked);
        if status == 422 {
            assert!(body["detail"].is_array(), "{body}");
        } else {
            assert_eq!(body["detail"], error["message"], "{body}");
        }
        refusal
    }

    /// The fields a 422 complains of, in their order.
    #[track_caller]
    pub fn bad_fields(&self) -> Vec<String> {
        self.refused(422).bad_fields
    }

    /// Whether it is the kept answer of an earlier request with the same `Idempotency-Key`.
    pub fn replayed(&self) -> bool {
        self.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> String {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("{}: no {name}", self.asked));
        value.to_str().unwrap().to_owned()
    }

    #[track_caller]
    fn with(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.asked, self.text);
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{}: {error}: {:?}", self.asked, self.text))
    }
}

/// An error as a client reads it.
#[derive(Debug)]
pub struct Refusal {
    pub code: String,
    pub message: String,
    pub bad_fields: Vec<String>,
}

fn bad_fields(body: &Value) -> Vec<String> {
    let details = body["error"]["details"].as_array().unwrap_or_else(|| panic!("details in {body}"));
    details.iter().map(|detail| detail["field"].as_str().unwrap().to_owned()).collect()
}

/// The `id` of a body.
#[track_caller]
pub fn id(body: &Value) -> String {
    body["id"].as_str().unwrap_or_else(|| panic!("no id in {body}")).to_owned()
}
