//! `PATCH /v1/register`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::campaign::CampaignStatus;

use super::form::{CHANGEABLE, Form};
use super::{Submitted, count_try, invalid, open, seal};
use crate::app::App;
use crate::app::registration::{Entry, Refused, change};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Body;
use crate::http::fields::{Casing, Fields, Input};
use crate::http::once::{Once, Reply};

impl Input for Form {
    const CASING: Casing = Casing::Snake;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self::read(fields))
    }
}

/// Changes the fields that are sent. A rejected registration is handed in again with that; of an approved one, only how you
/// can be reached and your links can be changed; of one that is being looked at, all but its type.
#[utoipa::path(
    patch,
    path = "/v1/register",
    operation_id = "updateRegistration",
    tag = "Registration",
    request_body = Form,
    responses(
        (status = 200, body = Submitted),
        (status = 400, body = ErrorEnvelope, description = "These fields can't be changed now, or the account has spent what it may today"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 402, body = ErrorEnvelope, description = "The balance does not cover the fee"),
        (status = 404, body = ErrorEnvelope, description = "Nothing is registered"),
        (status = 422, body = ErrorEnvelope, description = "Fields are malformed, or do not go together"),
        (status = 429, body = ErrorEnvelope, description = "More than five in an hour"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    Body(changes): Body<Form>,
) -> Result<Response, ApiError> {
    count_try(&app, &caller, &once).await?;
    let (doors, account) = (app.clone(), caller.account.clone());
    once.write(&app, &caller, async move |tx| {
        let campaign = tx.of(&account).campaign().await?.ok_or(Refused::Nothing)?;
        let before = campaign.status;
        if before == CampaignStatus::Approved {
            let fixed: Vec<_> =
                changes.names().into_iter().filter(|name| !CHANGEABLE.contains(&name.as_str())).collect();
            if !fixed.is_empty() {
                let message = format!("{} can't be changed once it is approved", fixed.join(", "));
                return Err(ApiError::refused(message));
            }
        }
        let whole = open(&doors, &campaign)?.overlaid(&changes);
        let violations = whole.violations();
        let Some(registered) = whole.registered().filter(|_| violations.is_empty()) else {
            return Err(invalid(violations));
        };
        let entry = Entry { registered, sealed_form: seal(&doors, &whole)?, create_sub_account: false, name: None };
        let (campaign, fee) = change(&doors, tx, &account, &campaign.id, entry).await??;
        let message = match before {
            CampaignStatus::Rejected => "The registration was handed in again.",
            CampaignStatus::Pending | CampaignStatus::Approved => "The registration was changed.",
        };
        Reply::ok(&Submitted::of(&campaign, fee, message))
    })
    .await
}
