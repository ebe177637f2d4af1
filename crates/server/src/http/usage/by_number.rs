//! `GET /v1/usage/by-number`

use axum::Json;
use axum::extract::State;
use offhook_domain::{AgentId, NumberId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};

/// A number and what it did since it was bought.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NumberUsage {
    #[schema(value_type = String)]
    number_id: NumberId,
    phone_number: String,
    country: String,
    /// `active` or `released`.
    status: String,
    #[schema(value_type = Option<String>)]
    agent_id: Option<AgentId>,
    agent_name: Option<String>,
    messages: i64,
    calls: i64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct UsageByNumber {
    data: Vec<NumberUsage>,
}

/// What each number did, the newest first, released ones too.
#[utoipa::path(
    get,
    path = "/v1/usage/by-number",
    operation_id = "getUsageByNumber",
    tag = "Usage",
    responses(
        (status = 200, body = UsageByNumber),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
    )
)]
pub async fn handle(State(app): State<App>, caller: Caller) -> Result<Json<UsageByNumber>, ApiError> {
    let used =
        app.store.read::<_, ApiError>(async move |tx| Ok(tx.of(&caller.account).usage_by_number().await?)).await?;
    let show = |used: offhook_store::usage::NumberUsage| NumberUsage {
        number_id: used.id,
        phone_number: used.phone_number.to_string(),
        country: used.country.to_string(),
        status: used.status,
        agent_id: used.agent_id,
        agent_name: used.agent_name,
        messages: used.messages,
        calls: used.calls,
    };
    Ok(Json(UsageByNumber { data: used.into_iter().map(show).collect() }))
}
