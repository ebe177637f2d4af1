//! Extractors: the JSON body, the query and ids from the path, with errors in our envelope.

use std::fmt;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use offhook_domain::Id;
use serde::Deserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::error::ApiError;
use super::fields::{Fields, Input};

/// The JSON body, read field by field. An empty body is an empty object.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: Input> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        // `limits` has read it whole, up to its limit.
        let bytes = axum::body::to_bytes(body, usize::MAX).await.map_err(|error| ApiError::internal(&error))?;
        if bytes.is_empty() {
            return Fields::of_json(Map::new(), T::CASING).read().map(Self);
        }
        check_content_type(&parts)?;
        read_json(&bytes).map(Self)
    }
}

/// # Errors
/// 422 that names every bad field.
pub fn read_json<T: Input>(bytes: &[u8]) -> Result<T, ApiError> {
    let Value::Object(object) = parse_json(bytes)? else {
        return Err(ApiError::invalid_field("body", "body", "must be a JSON object"));
    };
    Fields::of_json(object, T::CASING).read()
}

fn check_content_type(parts: &Parts) -> Result<(), ApiError> {
    let given = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    let message = "the body must be JSON: send Content-Type: application/json";
    Err(ApiError::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message))
}

fn parse_json(bytes: &[u8]) -> Result<Value, ApiError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let parsed = reader.deserialize_any(Strict).and_then(|value| reader.end().map(|()| value));
    parsed.map_err(|error| ApiError::invalid_field("body", "body", format!("must be JSON: {error}")))
}

/// Builds a [`Value`] and refuses an object that names a key twice: which of the two was meant?
struct Strict;

impl<'de> serde::de::DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Strict)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Strict)?;
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key {key:?} is given twice")));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// The query string, read field by field.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: Input> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Fields::of_query(parts.uri.query().unwrap_or_default(), T::CASING).read().map(Self)
    }
}

/// A kind of object that has routes, with the code it is missed under.
pub trait Named: Id {
    /// Such as `AGENT_NOT_FOUND`.
    const MISSING: &'static str;
    /// Such as `agent`.
    const NOUN: &'static str;

    /// The 404 for an object that is absent or another account's.
    #[must_use]
    fn missing() -> ApiError {
        ApiError::not_found(Self::MISSING, Self::NOUN)
    }
}

macro_rules! named {
    ($($id:ident $code:literal $noun:literal),+ $(,)?) => {$(
        impl Named for offhook_domain::$id {
            const MISSING: &'static str = $code;
            const NOUN: &'static str = $noun;
        }
    )+};
}

named!(
    // The only accounts that have routes are sub-accounts.
    AccountId "SUB_ACCOUNT_NOT_FOUND" "sub-account",
    ApiKeyId "KEY_NOT_FOUND" "key",
    AgentId "AGENT_NOT_FOUND" "agent",
    NumberId "PHONE_NUMBER_NOT_FOUND" "phone number",
    ConversationId "CONVERSATION_NOT_FOUND" "conversation",
    MessageId "MESSAGE_NOT_FOUND" "message",
    ContactId "CONTACT_NOT_FOUND" "contact",
    WebhookId "WEBHOOK_NOT_FOUND" "webhook",
    DeliveryId "DELIVERY_NOT_FOUND" "delivery",
    CallId "CALL_NOT_FOUND" "call",
    OptOutId "OPT_OUT_NOT_FOUND" "opt-out",
    TrunkId "SIP_TRUNK_NOT_FOUND" "SIP trunk",
    VerificationId "VERIFICATION_NOT_FOUND" "verification",
);

/// The id in a path with one placeholder. Text that can't be such an id names nothing: 404.
pub struct PathId<I>(pub I);

impl<S: Send + Sync, I: Named + Send> FromRequestParts<S> for PathId<I> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| I::missing())?;
        I::parse(&text).map(Self).map_err(|_| I::missing())
    }
}

/// The ids in a path with two placeholders.
pub struct PathIds<I, J>(pub I, pub J);

impl<S: Send + Sync, I: Named + Send, J: Named + Send> FromRequestParts<S> for PathIds<I, J> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let texts = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((first, second)) = texts.map_err(|_| I::missing())?;
        let first = I::parse(&first).map_err(|_| I::missing())?;
        let second = J::parse(&second).map_err(|_| J::missing())?;
        Ok(Self(first, second))
    }
}
