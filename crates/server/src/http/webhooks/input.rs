//! What a client sets about a webhook. In: the sent fields. Out: parsed values.

use offhook_domain::webhook::EventType;
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::guarded_http::EgressPolicy;
use crate::http::fields::{Casing, Fields, FromField, Input, Problem};
use crate::http::values::{List, Number, Text};

/// An endpoint for events. What isn't sent gets its default, also when there is a webhook already.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct SetWebhook {
    /// https, to a public address; in sandbox mode also http to loopback.
    #[schema(value_type = String, format = "uri", max_length = 2048, example = "https://example.com/hook")]
    pub url: HookUrl,
    /// How many earlier messages an event carries.
    #[schema(value_type = Option<Number<0, 50>>, default = 10)]
    pub context_limit: Number<0, 50>,
    /// Seconds an attempt may take.
    #[schema(value_type = Option<Number<5, 120>>, default = 30)]
    pub timeout: Number<5, 120>,
    /// The events that the endpoint gets; without it all but `message.status` and `number.released`.
    #[schema(value_type = Option<Vec<EventName>>, min_items = 1, max_items = 5)]
    pub events: Option<List<EventName, 5>>,
    /// Your own id.
    pub external_id: Option<Text<0, 255>>,
    /// `false` keeps the secret of a webhook that is replaced.
    #[schema(value_type = Option<bool>, default = true)]
    pub rotate_secret: bool,
}

impl Input for SetWebhook {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        let url = fields.required("url");
        let input = Self {
            context_limit: fields.or("context_limit", Number(10)),
            timeout: fields.or("timeout", Number(30)),
            events: fields.optional("events"),
            external_id: fields.optional("external_id"),
            rotate_secret: fields.or("rotate_secret", true),
            url: HookUrl(String::new()),
        };
        if input.events.as_ref().is_some_and(|events| events.0.is_empty()) {
            fields.complain("events", Problem::value("must name at least one event"));
        }
        Some(Self { url: url?, ..input })
    }
}

impl SetWebhook {
    /// The events wanted, each once.
    pub fn wanted(&self) -> Vec<EventType> {
        let named = |events: &List<EventName, 5>| {
            EventType::ALL.into_iter().filter(|event| events.0.contains(&EventName(*event))).collect()
        };
        self.events.as_ref().map_or_else(|| EventType::DEFAULT.to_vec(), named)
    }
}

/// A URL that could be called by some installation. Whether this one calls it, its own policy says.
#[derive(Debug, Clone)]
pub struct HookUrl(pub String);

impl FromField for HookUrl {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().ok_or_else(|| Problem::wrong_type("a string"))?;
        EgressPolicy::most_lenient().check(text).map_err(|refused| Problem::value(refused.to_string()))?;
        Ok(Self(text.to_owned()))
    }
}

/// The name of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventName(pub EventType);

impl FromField for EventName {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().ok_or_else(|| Problem::wrong_type("a string"))?;
        let names = || EventType::ALL.map(EventType::as_str).join(", ");
        EventType::parse(text).map(Self).ok_or_else(|| Problem::value(format!("must be one of {}", names())))
    }
}

impl PartialSchema for EventName {
    fn schema() -> RefOr<Schema> {
        let texts = EventType::ALL.map(EventType::as_str);
        ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).enum_values(Some(texts)).into()
    }
}

impl ToSchema for EventName {}
