//! `GET /v1/location/{phoneNumber}`

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use offhook_carriers::Located;
use offhook_domain::{E164, NumberId, Timestamp};
use offhook_store::numbers::NumberSought;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Named;

const NEVER: Timestamp = Timestamp::from_micros(0);

/// Where a number was last seen.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Location {
    phone_number: String,
    /// `located`, `unknown`, or `unsupported` where the number's carrier can't tell.
    status: &'static str,
    /// When that was, in seconds since 1970; 0 where it never was.
    last_updated: i64,
    latitude: Option<f64>,
    longitude: Option<f64>,
}

/// The number in the path. Text that is none names nothing: 404.
pub struct Digits(E164);

impl<S: Send + Sync> FromRequestParts<S> for Digits {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| NumberId::missing())?;
        E164::parse(&text).map(Self).map_err(|_| NumberId::missing())
    }
}

/// Tells where the device of one of your numbers was last seen. Most carriers can't tell; then the status says so.
#[utoipa::path(
    get,
    path = "/v1/location/{phoneNumber}",
    operation_id = "getLocation",
    tag = "Location",
    params(("phoneNumber" = String, Path, description = "One of your numbers, in E.164")),
    responses(
        (status = 200, body = Location),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such number of yours"),
        (status = 502, body = ErrorEnvelope, description = "The carrier failed for the moment"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    Digits(phone_number): Digits,
) -> Result<Json<Location>, ApiError> {
    let account = caller.account;
    let sought = NumberSought::Digits(phone_number.clone());
    let found = async move |tx: &mut offhook_store::Tx| {
        Ok::<_, ApiError>(tx.numbers_sought(&[(&account, &sought)]).await?.into_iter().next().flatten())
    };
    let number = app.store.read(found).await?.ok_or_else(NumberId::missing)?;
    // The carrier of one that was given up may have sold it to somebody else.
    let located = match app.carriers.named(&number.carrier).filter(|_| number.is_active()) {
        Some(carrier) => {
            carrier.locate(&number.phone_number).await.map_err(|error| ApiError::carrier(error.to_string()))?
        }
        None => Located::Unsupported,
    };
    let (status, at, place) = match located {
        Located::Unsupported => ("unsupported", NEVER, None),
        Located::Unknown => ("unknown", NEVER, None),
        Located::At { latitude, longitude, at } => ("located", at, Some((latitude, longitude))),
    };
    let (latitude, longitude) = place.unzip();
    let last_updated = at.as_micros() / 1_000_000;
    Ok(Json(Location { phone_number: phone_number.to_string(), status, last_updated, latitude, longitude }))
}
