//! An email address in a request.

use offhook_domain::phone::is_email;
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::http::fields::{FromField, Problem};

/// Text that has the shape of an email address. Whether mail arrives is not for us to know.
#[derive(Debug, Clone)]
pub struct Email(pub String);

impl FromField for Email {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().ok_or_else(|| Problem::wrong_type("a string"))?;
        if is_email(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Problem::value("must be an email address such as ada@example.org"))
        }
    }
}

impl PartialSchema for Email {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).max_length(Some(254));
        text.format(Some(SchemaFormat::Custom("email".to_owned()))).into()
    }
}

impl ToSchema for Email {}

/// Stands for an email address that the empty text clears, in the OpenAPI document.
pub struct EmailOrNone;

impl PartialSchema for EmailOrNone {
    fn schema() -> RefOr<Schema> {
        let none = ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).max_length(Some(0));
        OneOfBuilder::new().item(Email::schema()).item(none).into()
    }
}

impl ToSchema for EmailOrNone {}
