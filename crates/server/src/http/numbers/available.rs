//! `GET /v1/numbers/available`

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use offhook_carriers::{AvailableNumber, NumberSearch};
use offhook_domain::Country;
use serde::Serialize;
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use super::{AreaCode, area_code_elsewhere};
use crate::app::App;
use crate::app::carriers::for_purchases;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Query;
use crate::http::fields::{Casing, Fields, Input};
use crate::http::values::{Number, Text};

/// A carrier's search takes no longer.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct AvailableQuery {
    /// Three digits; US and CA only.
    #[param(inline)]
    area_code: Option<AreaCode>,
    #[param(inline)]
    city: Option<Text<1, 100>>,
    /// State or province, two letters.
    #[param(inline)]
    state: Option<Text<1, 100>>,
    /// Postal code; numbers of its neighbourhood are found.
    #[param(inline)]
    zip: Option<Text<1, 20>>,
    /// ISO 3166-1 alpha-2.
    #[param(value_type = Option<String>, required = false, default = "US", pattern = "^[A-Z]{2}$")]
    country: Country,
    /// How many numbers at the most.
    #[param(inline, required = false, default = 20)]
    limit: Number<1, 100>,
}

impl Input for AvailableQuery {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        let country = fields.or("country", Country::US);
        let area_code: Option<AreaCode> = fields.optional("area_code");
        if area_code.is_some() && country != Country::US && country != Country::CA {
            fields.complain("area_code", area_code_elsewhere());
        }
        Some(Self {
            area_code,
            city: fields.optional("city"),
            state: fields.optional("state"),
            zip: fields.optional("zip"),
            country,
            limit: fields.or("limit", Number(20)),
        })
    }
}

/// A number on offer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AvailableNumber)]
pub struct AvailableView {
    phone_number: String,
    city: Option<String>,
    state: Option<String>,
    rate_center: Option<String>,
    area_code: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct AvailableNumbers {
    data: Vec<AvailableView>,
}

/// Numbers that could be bought now.
#[utoipa::path(
    get,
    path = "/v1/numbers/available",
    operation_id = "listAvailableNumbers",
    tag = "Numbers",
    params(AvailableQuery),
    responses(
        (status = 200, body = AvailableNumbers),
        (status = 400, body = ErrorEnvelope, description = "No carrier is configured"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 422, body = ErrorEnvelope, description = "A parameter is malformed"),
        (status = 502, body = ErrorEnvelope, description = "The carrier failed for the moment"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    _: Caller,
    Query(query): Query<AvailableQuery>,
) -> Result<Json<AvailableNumbers>, ApiError> {
    let carrier = for_purchases(&app, query.country).await?;
    let carrier = carrier.ok_or_else(|| ApiError::refused("no carrier is configured, so no number can be bought"))?;
    let search = NumberSearch {
        country: query.country,
        area_code: query.area_code.map(|code| code.0),
        city: query.city.map(|text| text.0),
        region: query.state.map(|text| text.0),
        postal_code: query.zip.map(|text| text.0),
        limit: usize::try_from(query.limit.0).unwrap_or(1),
    };
    let found = timeout(PATIENCE, carrier.search(&search)).await;
    let found = found.map_err(|_| ApiError::carrier("the carrier did not answer in time"))?;
    let found = found.map_err(|error| ApiError::carrier(format!("the carrier could not be searched: {error}")))?;
    Ok(Json(AvailableNumbers { data: found.into_iter().map(AvailableView::from).collect() }))
}

impl From<AvailableNumber> for AvailableView {
    fn from(offer: AvailableNumber) -> Self {
        Self {
            phone_number: offer.phone_number.to_string(),
            city: offer.city,
            state: offer.region,
            rate_center: offer.rate_center,
            area_code: offer.area_code,
        }
    }
}
