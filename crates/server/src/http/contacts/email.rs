//! An email address in a request.

use offhook_domain::phone::is_email;
use serde_json::Value;

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
