//! `GET /v1/contacts/capabilities`

use axum::Json;
use axum::extract::State;
use offhook_domain::phone::LineType;
use offhook_domain::{E164, Timestamp};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Query;
use crate::http::fields::{Casing, Fields, Input};

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CapabilitiesQuery {
    /// In any usual format.
    #[param(value_type = String, format = "phone", example = "+14155550100")]
    phone_number: E164,
}

impl Input for CapabilitiesQuery {
    const CASING: Casing = Casing::Snake;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { phone_number: fields.required("phone_number")? })
    }
}

/// What a number can receive.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactCapabilities {
    #[schema(value_type = String)]
    phone_number: E164,
    capabilities: CapabilityFlags,
    #[schema(value_type = String, format = DateTime)]
    checked_at: Timestamp,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CapabilityFlags {
    imessage: bool,
    sms: bool,
}

/// Tells what a number can receive, as far as its digits tell. Nobody is asked.
#[utoipa::path(
    get,
    path = "/v1/contacts/capabilities",
    operation_id = "getContactCapabilities",
    tag = "Contacts",
    params(CapabilitiesQuery),
    responses(
        (status = 200, body = ContactCapabilities),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 422, body = ErrorEnvelope, description = "phone_number is missing or malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    _: Caller,
    Query(query): Query<CapabilitiesQuery>,
) -> Result<Json<ContactCapabilities>, ApiError> {
    let sms = !matches!(query.phone_number.line_type(), LineType::Landline | LineType::Premium);
    let capabilities = CapabilityFlags { imessage: false, sms };
    Ok(Json(ContactCapabilities { phone_number: query.phone_number, capabilities, checked_at: app.now() }))
}
