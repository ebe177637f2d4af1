//! Custom tools: what the built-in model may call in a conversation.

use std::collections::BTreeSet;

use axum::http::{HeaderName, HeaderValue};
use offhook_domain::agent::{CustomTool, MAX_CUSTOM_TOOLS, ToolMethod};
use serde_json::{Map, Value};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::http::fields::{Casing, Fields, FromField, Input, Problem};
use crate::http::values::{Number, Text, choice};

const DEFAULT_TIMEOUT_MS: i64 = 30_000;
const MAX_URL: usize = 2048;

/// All tools of an agent.
#[derive(Debug, Clone)]
pub struct Tools(pub Vec<CustomTool>);

impl Tools {
    /// Reads a list of tools, naming every bad field of every one.
    pub fn read(fields: &mut Fields, name: &str) -> Option<Self> {
        let items = fields.optional::<Vec<Value>>(name)?;
        if items.len() > MAX_CUSTOM_TOOLS {
            fields.complain(name, Problem::value(format!("must have at most {MAX_CUSTOM_TOOLS} items")));
            return None;
        }
        let mut names = BTreeSet::new();
        let mut tools = Vec::with_capacity(items.len());
        for (i, item) in items.into_iter().enumerate() {
            let Value::Object(object) = item else {
                fields.complain(&format!("{name}.{i}"), Problem::wrong_type("an object"));
                continue;
            };
            let Some(tool) = fields.nested::<ToolInput>(&format!("customTools.{i}"), object) else { continue };
            if !names.insert(tool.name.0.clone()) {
                fields.complain(&format!("{name}.{i}.name"), Problem::value("is the name of two tools"));
            }
            tools.push(tool.into_tool());
        }
        Some(Self(tools))
    }
}

/// A tool the built-in model may call: it fills in the arguments and reads the answer.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase", as = CustomTool)]
pub struct ToolInput {
    name: ToolName,
    /// What the tool does and when to use it, for the model.
    description: Text<1, 2000>,
    url: HttpsUrl,
    #[schema(value_type = Option<choice::ToolMethod>, default = "POST")]
    method: ToolMethod,
    /// Sent with the request.
    #[schema(value_type = Option<Object>)]
    headers: Headers,
    /// A JSON Schema of the arguments.
    #[schema(value_type = Option<Object>)]
    parameters: Map<String, Value>,
    #[schema(value_type = Option<Number<1000, 120_000>>, default = 30_000)]
    timeout_ms: Number<1000, 120_000>,
    /// Whether `executionMessage` is said while the tool runs.
    #[schema(value_type = Option<bool>, default = false)]
    speak_during_execution: bool,
    execution_message: Option<Text<0, 1000>>,
}

impl Input for ToolInput {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        let (name, description, url) =
            (fields.required("name"), fields.required("description"), fields.required("url"));
        let method = fields.or("method", ToolMethod::Post);
        let headers = fields.or("headers", Headers(Map::new()));
        let parameters = fields.or("parameters", Map::new());
        let timeout_ms = fields.or("timeout_ms", Number(DEFAULT_TIMEOUT_MS));
        let speak_during_execution = fields.or("speak_during_execution", false);
        let execution_message = fields.optional("execution_message");
        Some(Self {
            name: name?,
            description: description?,
            url: url?,
            method,
            headers,
            parameters,
            timeout_ms,
            speak_during_execution,
            execution_message,
        })
    }
}

impl ToolInput {
    fn into_tool(self) -> CustomTool {
        CustomTool {
            name: self.name.0,
            description: self.description.0,
            url: self.url.0,
            method: self.method,
            headers: self.headers.0,
            parameters: self.parameters,
            timeout_ms: self.timeout_ms.0,
            speak_during_execution: self.speak_during_execution,
            execution_message: self.execution_message.map(|text| text.0),
        }
    }
}

/// What the model calls the tool by.
#[derive(Debug)]
struct ToolName(String);

impl FromField for ToolName {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().ok_or_else(|| Problem::wrong_type("a string"))?;
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if matches!(text.len(), 1..=64) && text.bytes().all(legal) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Problem::value("must be 1 to 64 letters, digits, _ or -"))
        }
    }
}

impl PartialSchema for ToolName {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).pattern(Some("^[A-Za-z0-9_-]{1,64}$")).into()
    }
}

impl ToSchema for ToolName {}

/// Where the tool is. Whether that may be called is judged when it is.
#[derive(Debug)]
struct HttpsUrl(String);

impl FromField for HttpsUrl {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().ok_or_else(|| Problem::wrong_type("a string"))?;
        let parsed = url::Url::parse(text).ok().filter(|url| url.scheme() == "https" && url.has_host());
        match parsed {
            Some(_) if text.len() <= MAX_URL && !text.contains(char::is_control) => Ok(Self(text.to_owned())),
            _ => Err(Problem::value(format!("must be an https URL of at most {MAX_URL} characters"))),
        }
    }
}

impl PartialSchema for HttpsUrl {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .format(Some(SchemaFormat::Custom("uri".to_owned())))
            .pattern(Some("^https://"))
            .max_length(Some(MAX_URL))
            .into()
    }
}

impl ToSchema for HttpsUrl {}

/// Names and values that can be sent as headers. A null value is left out, as the SDKs' types allow it.
#[derive(Debug)]
struct Headers(Map<String, Value>);

impl FromField for Headers {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let object = value.as_object().ok_or_else(|| Problem::wrong_type("an object"))?;
        let mut headers = Map::new();
        for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
            let text = value.as_str().ok_or_else(|| Problem::wrong_type("an object of strings"))?;
            if HeaderName::from_bytes(name.as_bytes()).is_err() || HeaderValue::from_str(text).is_err() {
                return Err(Problem::value("must have names and values that can be sent as HTTP headers"));
            }
            headers.insert(name.clone(), value.clone());
        }
        Ok(Self(headers))
    }
}
