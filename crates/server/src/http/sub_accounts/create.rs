//! `POST /v1/sub-accounts`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::{AccountId, Id};
use offhook_store::sub_accounts::SubAccount;
use utoipa::ToSchema;

use super::SubAccountView;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Body;
use crate::http::fields::{Casing, Fields, Input};
use crate::http::once::{Once, Reply};
use crate::http::values::Name;

#[derive(Debug, ToSchema)]
pub struct CreateSubAccount {
    name: Name<1, 100>,
}

impl Input for CreateSubAccount {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { name: fields.required("name")? })
    }
}

/// Opens a sub-account: apart from all others in everything but the wallet, which is its master's.
#[utoipa::path(
    post,
    path = "/v1/sub-accounts",
    operation_id = "createSubAccount",
    tag = "Sub-accounts",
    request_body = CreateSubAccount,
    responses(
        (status = 201, body = SubAccountView),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 403, body = ErrorEnvelope, description = "The key lacks the scope admin, or acts for a sub-account"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    Body(input): Body<CreateSubAccount>,
) -> Result<Response, ApiError> {
    if caller.is_sub_account() {
        return Err(ApiError::forbidden("a sub-account has no sub-accounts of its own"));
    }
    let (now, master) = (app.now(), caller.account.clone());
    let opened = SubAccount { id: AccountId::generate(now), name: input.name.0, created_at: now };
    once.write(&app, &caller, async move |tx| {
        tx.of(&master).create_sub_account(&opened.id, &opened.name, now).await?;
        Reply::created(&SubAccountView::of(opened.clone()))
    })
    .await
}
