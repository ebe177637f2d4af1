//! `/v1/privacy`: what is kept of one person, handed out or erased. The number goes in the body: addresses are logged by
//! many who stand between.

pub mod erase;
pub mod export;

use offhook_domain::E164;
use serde_json::Value;
use utoipa::ToSchema;

use super::fields::{Casing, Fields, FromField, Input, Problem};

/// Whom it is about.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Person {
    /// In any usual format; a short code too.
    #[schema(value_type = String, format = "phone", example = "+14155550100")]
    phone_number: Participant,
}

/// The other side of conversations: a number in E.164, or a short code.
#[derive(Debug, Clone)]
struct Participant(String);

impl FromField for Participant {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let is_code = |text: &str| (3..=6).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit());
        match value.as_str().map(str::trim).filter(|text| is_code(text)) {
            Some(code) => Ok(Self(code.to_owned())),
            None => E164::from_field(value).map(|number| Self(number.to_string())),
        }
    }
}

impl Input for Person {
    const CASING: Casing = Casing::Either;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { phone_number: fields.required("phone_number")? })
    }
}
