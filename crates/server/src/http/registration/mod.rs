//! `/v1/register`: registration with the US carriers (10DLC).

mod choices;
mod form;
pub mod get;
pub mod status;
pub mod submit;
pub mod update;

use offhook_domain::campaign::CampaignStatus;
use offhook_domain::{AccountId, Micros};
use offhook_store::campaigns::Campaign;
use serde::Serialize;
use utoipa::ToSchema;

use self::form::Form;
use super::error::{ApiError, FieldError};
use super::extract::Named;
use super::fields::Problem;
use crate::app::App;
use crate::app::registration::Refused;
use crate::http::auth::Caller;
use crate::http::once::Once;

/// How a registration stands (contract, "Account").
#[derive(Debug, Serialize, ToSchema)]
pub struct RegistrationStatus {
    /// `none`, `pending`, `approved` or `rejected`.
    campaign_status: &'static str,
    /// In words; of a rejected one, why.
    message: String,
    /// `not_started`, `review`, `live` or `action_required`.
    stage: &'static str,
}

impl RegistrationStatus {
    fn of(campaign: Option<&Campaign>) -> Self {
        let (campaign_status, stage, message) = match campaign.map(|campaign| (campaign.status, campaign)) {
            None => ("none", "not_started", "Nothing is registered. Register with POST /v1/register.".to_owned()),
            Some((CampaignStatus::Pending, _)) => {
                ("pending", "review", "The registration is being looked at.".to_owned())
            }
            Some((CampaignStatus::Approved, _)) => ("approved", "live", "US numbers can send.".to_owned()),
            Some((CampaignStatus::Rejected, campaign)) => {
                let reason = campaign.reason.as_deref().unwrap_or("no reason was given");
                let message =
                    format!("Rejected: {reason}. Correct it with PATCH /v1/register, which hands it in again.");
                ("rejected", "action_required", message)
            }
        };
        Self { campaign_status, message, stage }
    }
}

/// What came of handing a registration in.
#[derive(Debug, Serialize, ToSchema)]
pub struct Submitted {
    ok: bool,
    message: String,
    /// `pending`, or `approved` where an approved one was changed.
    campaign_status: &'static str,
    /// The account whose numbers it is for, where one was made for it.
    #[schema(value_type = Option<String>)]
    sub_account_id: Option<AccountId>,
    /// What it cost now. It is not refunded.
    fee_cents: i64,
}

impl Submitted {
    fn of(campaign: &Campaign, fee: Micros, message: &str) -> Self {
        Self {
            ok: true,
            message: message.to_owned(),
            campaign_status: campaign.status.as_str(),
            sub_account_id: sub_account(campaign),
            fee_cents: cents(fee),
        }
    }
}

fn sub_account(campaign: &Campaign) -> Option<AccountId> {
    (campaign.account_id != campaign.submitted_by).then(|| campaign.account_id.clone())
}

/// Rounded up: nobody is told less than he pays.
fn cents(amount: Micros) -> i64 {
    (amount.0 + 9_999).div_euclid(10_000)
}

/// Opens the sealed form of a registration.
fn open(app: &App, campaign: &Campaign) -> Result<Form, ApiError> {
    let text = app.sealer.open(&campaign.sealed_form).map_err(|error| ApiError::internal(&error))?;
    serde_json::from_str(&text).map_err(|error| ApiError::internal(&error))
}

fn seal(app: &App, form: &Form) -> Result<String, ApiError> {
    serde_json::to_string(form).map(|text| app.sealer.seal(&text)).map_err(|error| ApiError::internal(&error))
}

fn invalid(violations: Vec<(&'static str, Problem)>) -> ApiError {
    let details = violations.into_iter().map(|(field, problem)| FieldError {
        place: "body",
        field: field.to_owned(),
        message: problem.message,
        rule: problem.rule,
    });
    ApiError::invalid(details.collect())
}

/// Counts a request against the account's five an hour, in a transaction of its own: a refused one counts too. One that
/// was answered before does not.
async fn count_try(app: &App, caller: &Caller, once: &Once) -> Result<(), ApiError> {
    let (account, now, once) = (caller.account.clone(), app.now(), once.clone());
    let counted = app.store.write::<_, ApiError>(async move |tx| {
        if once.look(tx, &account, now).await?.is_some() {
            return Ok(None);
        }
        Ok(tx.of(&account).try_registration(now).await?)
    });
    match counted.await? {
        None => Ok(()),
        Some(at) => {
            Err(ApiError::rate_limited(at.since(now), "a registration can be handed in or changed five times an hour"))
        }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match &refused {
            Refused::Pending | Refused::Approved => Self::conflict("CONFLICT", refused.to_string()),
            Refused::TypeWhilePending => Self::refused_field("registration_type", refused.to_string()),
            Refused::InsufficientBalance { .. } => Self::insufficient_balance(refused.to_string()),
            Refused::SpendLimit(reached) => (*reached).into(),
            Refused::AccountClosed => AccountId::missing(),
            Refused::Nothing => Self::not_found("REGISTRATION_NOT_FOUND", "registration"),
        }
    }
}
