//! `GET /v1/register`

use axum::Json;
use axum::extract::State;
use offhook_domain::{AccountId, Timestamp};
use offhook_store::campaigns::Campaign;
use serde::Serialize;
use utoipa::ToSchema;

use super::form::Form;
use super::{RegistrationStatus, cents, open, sub_account};
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};

/// A registration with all that was handed in, but for most of the tax number.
#[derive(Debug, Serialize, ToSchema)]
pub struct RegistrationDetail {
    #[serde(flatten)]
    status: RegistrationStatus,
    /// What the carriers take it for, which decides on its limits: null until it is approved.
    campaign_class: Option<&'static str>,
    /// Messages a second that all its numbers may send together.
    messages_per_second: Option<f64>,
    /// Segments a day, from the carriers' midnight.
    segments_per_day: Option<i64>,
    /// Why it was rejected.
    rejection_reason: Option<String>,
    #[schema(value_type = Option<String>)]
    sub_account_id: Option<AccountId>,
    /// All that was paid for it.
    fee_cents: i64,
    #[schema(value_type = Option<String>, format = DateTime)]
    submitted_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    decided_at: Option<Timestamp>,
    #[serde(flatten)]
    form: Form,
}

/// The account's registration.
#[utoipa::path(
    get,
    path = "/v1/register",
    operation_id = "getRegistration",
    tag = "Registration",
    responses(
        (status = 200, body = RegistrationDetail),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
    )
)]
pub async fn handle(State(app): State<App>, caller: Caller) -> Result<Json<RegistrationDetail>, ApiError> {
    let campaign = app.store.read::<_, ApiError>(async move |tx| Ok(tx.of(&caller.account).campaign().await?)).await?;
    let form = campaign.as_ref().map(|campaign| open(&app, campaign)).transpose()?.unwrap_or_default();
    Ok(Json(detail(campaign.as_ref(), form.masked())))
}

fn detail(campaign: Option<&Campaign>, form: Form) -> RegistrationDetail {
    use offhook_domain::campaign::CampaignStatus::Approved;
    let class = campaign.filter(|campaign| campaign.status == Approved).map(|campaign| campaign.class);
    RegistrationDetail {
        status: RegistrationStatus::of(campaign),
        campaign_class: class.map(offhook_domain::campaign::CampaignClass::as_str),
        messages_per_second: class.map(|class| class.thousandths_per_second() as f64 / 1000.0),
        segments_per_day: class.and_then(|class| class.limit().segments_per_day),
        rejection_reason: campaign.and_then(|campaign| campaign.reason.clone()),
        sub_account_id: campaign.and_then(sub_account),
        fee_cents: campaign.map_or(0, |campaign| cents(campaign.fee)),
        submitted_at: campaign.map(|campaign| campaign.submitted_at),
        decided_at: campaign.and_then(|campaign| campaign.decided_at),
        form,
    }
}
