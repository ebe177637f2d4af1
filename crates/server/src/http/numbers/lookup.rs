//! `GET /v1/numbers/lookup`

use axum::Json;
use offhook_domain::E164;
use offhook_domain::phone::LineType;
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Query;
use crate::http::fields::{Casing, Fields, FromField, Input, Problem};

/// As many numbers as one request may ask about.
const MOST: usize = 25;

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct LookupQuery {
    /// Up to 25 phone numbers, separated by commas.
    #[param(value_type = String, example = "+14155550100,+442079460000")]
    phone_numbers: PhoneNumbers,
}

impl Input for LookupQuery {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { phone_numbers: fields.required("phone_numbers")? })
    }
}

#[derive(Debug)]
struct PhoneNumbers(Vec<E164>);

impl FromField for PhoneNumbers {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().ok_or_else(|| Problem::wrong_type("a string"))?;
        let texts: Vec<&str> = text.split(',').map(str::trim).filter(|text| !text.is_empty()).collect();
        if texts.is_empty() || texts.len() > MOST {
            return Err(Problem::value(format!("must be 1 to {MOST} phone numbers, separated by commas")));
        }
        let bad: Vec<&str> = texts.iter().copied().filter(|text| E164::parse(text).is_err()).collect();
        if !bad.is_empty() {
            return Err(Problem::value(format!("has what is no phone number: {}", bad.join(", "))));
        }
        Ok(Self(texts.into_iter().filter_map(|text| E164::parse(text).ok()).collect()))
    }
}

/// What a number's digits tell.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LookedUp {
    phone_number: String,
    /// `mobile`, `landline`, `fixed_line_or_mobile`, `toll_free`, `premium`, `voip`, `personal` or `unknown`.
    #[schema(value_type = String)]
    line_type: LineType,
    country: Option<String>,
    rcs_enabled: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Lookup {
    data: Vec<LookedUp>,
}

/// What is known of any phone numbers, in the order they were sent.
#[utoipa::path(
    get,
    path = "/v1/numbers/lookup",
    operation_id = "lookupNumbers",
    tag = "Numbers",
    params(LookupQuery),
    responses(
        (status = 200, body = Lookup),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 422, body = ErrorEnvelope, description = "More than 25 numbers, or one that is none"),
    )
)]
pub async fn handle(_: Caller, Query(query): Query<LookupQuery>) -> Result<Json<Lookup>, ApiError> {
    let look_up = |number: E164| LookedUp {
        line_type: number.line_type(),
        country: number.country().map(|country| country.to_string()),
        phone_number: number.to_string(),
        rcs_enabled: false,
    };
    Ok(Json(Lookup { data: query.phone_numbers.0.into_iter().map(look_up).collect() }))
}
