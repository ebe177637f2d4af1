//! `POST /v1/location/refresh`

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use offhook_domain::E164;
use offhook_store::{StoreError, Window};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Body;
use crate::http::fields::{Casing, Fields, Input};

/// The most numbers that are asked for at once.
const MOST: i64 = 1_000;

/// Whether somebody is looking.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocationRefresh {
    /// False where no carrier of your numbers can tell.
    success: bool,
    /// After how long to ask.
    poll_after_seconds: Option<u64>,
}

/// Nothing is asked: fields are ignored, as everywhere.
pub struct Refresh;

impl Input for Refresh {
    const CASING: Casing = Casing::Camel;

    fn read(_: &mut Fields) -> Option<Self> {
        Some(Self)
    }
}

/// Has the carriers look anew where the devices of your numbers are.
#[utoipa::path(
    post,
    path = "/v1/location/refresh",
    operation_id = "refreshLocations",
    tag = "Location",
    responses(
        (status = 200, body = LocationRefresh),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 422, body = ErrorEnvelope, description = "The body is not a JSON object"),
        (status = 502, body = ErrorEnvelope, description = "A carrier failed for the moment"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    _: Body<Refresh>,
) -> Result<Json<LocationRefresh>, ApiError> {
    let window = Window { limit: MOST, offset: 0 };
    let held = async move |tx: &mut offhook_store::Tx| tx.of(&caller.account).active_numbers(window).await;
    let held = app.store.read::<_, StoreError>(held).await?.items;
    let mut latest: Option<Duration> = None;
    let mut names: Vec<&str> = held.iter().map(|number| number.carrier.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let Some(carrier) = app.carriers.named(name) else { continue };
        let its: Vec<E164> =
            held.iter().filter(|number| number.carrier == name).map(|number| number.phone_number.clone()).collect();
        let wait = carrier.refresh_locations(&its).await.map_err(|error| ApiError::carrier(error.to_string()))?;
        latest = [latest, wait].into_iter().flatten().max();
    }
    Ok(Json(LocationRefresh { success: latest.is_some(), poll_after_seconds: latest.map(|wait| wait.as_secs()) }))
}
